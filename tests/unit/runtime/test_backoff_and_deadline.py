from itertools import islice

from agents.runtime.backoff import Backoff
from agents.runtime.deadline import Deadline


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_pauses_double_up_to_the_longest() -> None:
    assert list(islice(Backoff(0.5, 3.0).pauses(), 6)) == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]


def test_every_wait_begins_with_the_first_pause() -> None:
    backoff = Backoff(0.2)
    assert list(islice(backoff.pauses(), 2)) == list(islice(backoff.pauses(), 2))


def test_the_longest_pause_is_ten_seconds_by_default() -> None:
    assert max(islice(Backoff(0.2).pauses(), 100)) == 10.0


def test_a_deadline_is_shared_by_the_steps_before_it() -> None:
    clock = Clock()
    deadline = Deadline.after(10.0, clock)
    clock.now += 4.0
    assert deadline.remaining_s == 6.0
    assert not deadline.expired
    clock.now += 6.0
    assert deadline.expired


def test_after_the_deadline_no_time_is_left_and_never_less() -> None:
    clock = Clock()
    deadline = Deadline.after(1.0, clock)
    clock.now += 50.0
    assert deadline.remaining_s == 0.0


def test_a_deadline_of_now_has_passed() -> None:
    assert Deadline.after(0.0, Clock()).expired
