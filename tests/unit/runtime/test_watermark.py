from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from agents.runtime.watermark import PartitionProgress


def watermark_of(begun: Sequence[int], completed: set[int]) -> int | None:
    """Say it slowly: the offset after the last of those done before the first that is not."""
    watermark = None
    for offset in begun:
        if offset not in completed:
            break
        watermark = offset + 1
    return watermark


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Offsets as they are read, with gaps, and the order in which some of them are completed."""
    begun = sorted(draw(st.sets(st.integers(0, 200), min_size=1, max_size=30)))
    order = draw(st.permutations(begun))
    return begun, order[: draw(st.integers(0, len(order)))]


@given(history=histories())
def test_the_watermark_never_passes_an_offset_in_flight_whatever_the_order(
    history: tuple[list[int], list[int]],
) -> None:
    begun, completed = history
    progress = PartitionProgress()
    for offset in begun:
        progress.begin(offset)
    done: set[int] = set()
    for offset in completed:
        progress.complete(offset)
        done.add(offset)
        assert progress.watermark == watermark_of(begun, done)
    passed = [offset for offset in begun if progress.watermark is not None and offset < progress.watermark]
    assert progress.outstanding == len(begun) - len(passed)


@given(history=histories(), split=st.integers(0, 30))
def test_completing_while_more_is_read_leads_to_the_same_watermark(
    history: tuple[list[int], list[int]], split: int
) -> None:
    begun, completed = history
    progress = PartitionProgress()
    early = set(begun[:split])
    for offset in begun[:split]:
        progress.begin(offset)
    for offset in completed:
        if offset in early:
            progress.complete(offset)
    for offset in begun[split:]:
        progress.begin(offset)
    for offset in completed:
        if offset not in early:
            progress.complete(offset)
    assert progress.watermark == watermark_of(begun, set(completed))


def test_nothing_is_committed_before_the_first_message_is_done() -> None:
    progress = PartitionProgress()
    progress.begin(7)
    progress.begin(8)
    progress.complete(8)
    assert progress.watermark is None


def test_the_offset_to_commit_is_the_one_after_the_last_done() -> None:
    progress = PartitionProgress()
    progress.begin(7)
    progress.complete(7)
    assert progress.watermark == 8


@pytest.mark.parametrize("again", [6, 7])
def test_reading_backwards_within_an_assignment_is_an_error(again: int) -> None:
    progress = PartitionProgress()
    progress.begin(7)
    with pytest.raises(ValueError, match=f"offset {again} was read after 7"):
        progress.begin(again)
