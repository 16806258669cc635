"""Which frames are looked at: never more than asked, as evenly as they come."""

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from agents.pulling.sampling import ByTime, EveryNth, KeyFrames, Pacing, sampling


def taken(fps: float, times: Sequence[float]) -> list[float]:
    by_time = ByTime(fps)
    return [at_s for at_s in times if by_time.takes(at_s)]


def at_rate(fps: float, seconds: float) -> list[float]:
    return [number / fps for number in range(int(fps * seconds))]


@pytest.mark.parametrize("input_fps", [24, 25, 30, 59.94, 240])
@pytest.mark.parametrize("fps", [0.5, 1, 5, 12])
def test_so_many_a_second_are_taken_whatever_the_input_gives(input_fps: float, fps: float) -> None:
    assert len(taken(fps, at_rate(input_fps, 60))) == pytest.approx(60 * fps, abs=1.5)


@given(
    fps=st.floats(0.1, 60),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=200),
    first=st.integers(0, 199),
    last=st.integers(0, 199),
)
def test_in_no_stretch_of_time_are_more_taken_than_asked(fps: float, gaps: list[float], first: int, last: int) -> None:
    times = [sum(gaps[:number]) for number in range(len(gaps))]
    found = taken(fps, times)[first : last + 1]
    if len(found) > 1:
        assert len(found) <= fps * (found[-1] - found[0]) + 2 + 1e-6


def test_a_key_frame_a_second_that_comes_a_little_early_is_not_missed() -> None:
    times = [number + (0.01 if number % 2 else -0.01) for number in range(60)]
    assert len(taken(1, times)) == 60


def test_what_was_missed_in_a_pause_is_not_made_up_for() -> None:
    found = taken(1, [*at_rate(25, 1.5), *(30 + at_s for at_s in at_rate(25, 1.5))])
    assert [round(at_s) for at_s in found] == [0, 1, 30, 31]


def test_of_every_third_frame_the_first_is_taken_and_then_each_third() -> None:
    third = EveryNth(3)
    assert [number for number in range(10) if third.takes(number / 10)] == [0, 3, 6, 9]


def test_every_frame_of_a_flood_is_not_taken() -> None:
    every = sampling(1, 1)
    assert sum(every.takes(at_s) for at_s in at_rate(240, 10)) == pytest.approx(600, abs=2)


class TestKeyFrames:
    def test_are_enough_once_their_distance_is_known_and_short(self) -> None:
        keys = KeyFrames(wanted_s=1)
        assert [keys.came(at_s) for at_s in (0, 1, 2, 3)] == [False, False, True, True]

    def test_are_not_enough_where_they_come_too_seldom(self) -> None:
        keys = KeyFrames(wanted_s=1)
        assert not any(keys.came(2.0 * number) for number in range(10))

    def test_are_not_enough_any_more_once_one_is_overdue(self) -> None:
        keys = KeyFrames(wanted_s=1)
        assert [keys.came(at_s) for at_s in (0, 1, 2)][-1]
        assert not keys.missing(3)
        assert keys.missing(3.5)
        assert not keys.came(4)

    def test_are_never_enough_for_every_nth_frame(self) -> None:
        keys = KeyFrames(wanted_s=0)
        assert not any(keys.came(number / 25) for number in range(50))


class TestPacing:
    def test_a_burst_is_given_at_the_pace_of_its_time_stamps(self) -> None:
        pacing = Pacing()
        assert [pacing.wait_s(10 + number, 0.0) for number in range(4)] == [0, 1, 2, 3]

    def test_what_comes_late_waits_no_more_and_the_rest_follows_it(self) -> None:
        pacing = Pacing()
        assert [pacing.wait_s(0, 0), pacing.wait_s(1, 3), pacing.wait_s(2, 3)] == [0, 0, 1]

    def test_time_stamps_that_jump_are_followed(self) -> None:
        pacing = Pacing()
        assert [pacing.wait_s(0, 0), pacing.wait_s(1e6, 1), pacing.wait_s(1e6 + 1, 1), pacing.wait_s(5, 2)] == [
            0,
            0,
            1,
            0,
        ]
