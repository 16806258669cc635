"""Slots belong to exactly one of the plans that adjoin, and a plan takes no more of them than it may."""

import itertools
import math

import pytest
from hypothesis import given, strategies as st

from agents.media.frames import FramePlan
from agents.media.slots import Slots

RATES = st.floats(0.05, 60.0)


def owned(plan: FramePlan, rate: float, until: int) -> set[int]:
    slots = Slots(plan, rate, None)
    return {slot for slot in range(until) if slots.wants(slot)}


@given(RATES, st.lists(st.floats(0.01, 100.0), min_size=1, max_size=8, unique=True))
def test_each_slot_has_one_owner_wherever_a_video_is_cut(rate: float, cuts: list[float]) -> None:
    bounds = [0.0, *sorted(cuts)]
    until = math.ceil(bounds[-1] * rate) + 2
    whole = owned(FramePlan(end_s=bounds[-1]), rate, until)
    pieces = [owned(FramePlan(start_s=start, end_s=end), rate, until) for start, end in itertools.pairwise(bounds)]
    assert sum(map(len, pieces)) == len(whole)
    assert set().union(*pieces) == whole


@given(RATES, st.floats(0.5, 100.0), st.integers(1, 40))
def test_a_limited_plan_takes_as_many_slots_as_it_may(rate: float, end: float, most: int) -> None:
    until = math.ceil(end * rate) + 2
    every = owned(FramePlan(end_s=end), rate, until)
    some = owned(FramePlan(end_s=end, max_frames=most), rate, until)
    assert some <= every
    assert len(some) == min(most, len(every))


def test_a_limited_plan_spreads_its_slots() -> None:
    slots = sorted(owned(FramePlan(end_s=10.0, max_frames=4), 10.0, 200))
    gaps = [after - before for before, after in itertools.pairwise(slots)]
    assert max(gaps) - min(gaps) <= 1


@given(RATES, st.integers(0, 10_000))
def test_a_frame_at_the_start_of_a_slot_belongs_to_it(rate: float, slot: int) -> None:
    slots = Slots(FramePlan(), rate, None)
    assert slots.of(slot / rate) == slot
    assert slots.of(slots.start_of(slot) + 1e-6) == slot


def test_the_next_wanted_slot_passes_over_filled_ones() -> None:
    slots = Slots(FramePlan(start_s=1.0, end_s=3.0), 2.0, None)
    slots.fill(3)
    assert [slots.next_wanted(slot) for slot in (0, 2, 3, 4, 5, 6)] == [2, 2, 4, 4, 5, None]


def test_a_plan_without_end_stops_at_the_end_of_a_video_of_known_length() -> None:
    assert Slots(FramePlan(), 2.0, 2.0).next_wanted(4) is None
    assert Slots(FramePlan(), 2.0, None).next_wanted(4) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_s": -1.0},
        {"start_s": 2.0, "end_s": 2.0},
        {"rate_fps": 0.0},
        {"rate_fps": math.nan},
        {"max_frames": 0},
        {"max_side": 0},
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="plan"):
        FramePlan(**wrong)  # type: ignore[arg-type]
