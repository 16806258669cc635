import pytest

from agents.restarts import NEVER, RestartPolicy

POLICY = RestartPolicy(most_ends=4, within_s=100.0, first_pause_s=1.0, most_pause_s=3.0, final_at_first=frozenset({3}))


def test_pauses_double_up_to_the_longest() -> None:
    assert [POLICY.pause_s([0.0, 5.0, 10.0][:count]) for count in (1, 2, 3)] == [1.0, 2.0, 3.0]


def test_too_many_ends_within_the_time_give_a_worker_up() -> None:
    assert POLICY.pause_s([0.0, 10.0, 20.0, 99.0]) is None


def test_ends_that_are_long_past_do_not_count() -> None:
    assert POLICY.pause_s([0.0, 10.0, 20.0, 100.0]) == 3.0
    assert POLICY.pause_s([0.0, 1000.0, 2000.0, 3000.0, 4000.0]) == 1.0


def test_a_worker_that_is_slow_to_fail_is_given_up_too() -> None:
    ends = [90.0 * number for number in range(1, 7)]
    assert RestartPolicy().pause_s(ends[:5]) == 16.0
    assert RestartPolicy().pause_s(ends) is None


@pytest.mark.parametrize(("ends", "code", "pause_s"), [([0.0], 3, None), ([0.0], 9, 1.0), ([0.0, 50.0], 3, 2.0)])
def test_what_a_worker_complains_of_at_its_first_start_stays_wrong(
    ends: list[float], code: int, pause_s: float | None
) -> None:
    assert POLICY.pause_s(ends, code) == pause_s


def test_never_means_never() -> None:
    assert NEVER.pause_s([0.0]) is None
