"""The freshest of a stream, and how many come a second."""

from agents.pulling.freshest import Freshest
from agents.pulling.pace import Pace


def test_the_oldest_gives_way_to_the_newest() -> None:
    frames: Freshest[int] = Freshest(3)
    assert [frames.put(number) for number in range(5)] == [False, False, False, True, True]
    assert [frames.take() for _ in range(4)] == [2, 3, 4, None]


def test_what_is_let_go_at_the_end_is_counted() -> None:
    frames: Freshest[int] = Freshest(3)
    frames.put(1)
    frames.put(2)
    assert (frames.clear(), len(frames)) == (2, 0)


def test_a_pace_is_that_of_the_last_seconds() -> None:
    pace = Pace(stretch_s=10)
    assert pace.rate(0) == 0
    for second in range(100):
        pace.add(second, 5)
    assert pace.rate(99) == 5
    assert pace.rate(104) == 2.5
    assert pace.rate(200) == 0


def test_a_pace_that_has_just_begun_is_not_a_tenth_of_itself() -> None:
    pace = Pace(stretch_s=10)
    for number in range(10):
        pace.add(number / 5, 1)
    assert pace.rate(2) == 5
