"""A slot is either the decoder's or the parent's, and the parent's only as long as somebody looks at it."""

import fcntl
import mmap
import os
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from agents.media.answers import FrameAnswer
from agents.media.protocol import ProtocolError
from agents.media.shared_frames import Frame, Ring


class Given:
    """Slots that were given back, in order."""

    def __init__(self) -> None:
        self.slots: list[int] = []

    def back(self, slots: Iterable[int]) -> None:
        self.slots.extend(slots)


@pytest.fixture
def given() -> Given:
    return Given()


@pytest.fixture
def ring(given: Given) -> Iterator[Ring]:
    ring = Ring(3, 4 * 3 * 3, given.back)
    yield ring
    ring.close()


def answer(slot: int, width: int = 4, height: int = 3) -> FrameAnswer:
    return FrameAnswer(slot, (width, height), (width, height), frame_number=slot, pts_ms=0, is_key=False)


def test_what_the_other_side_writes_is_what_the_frame_shows(ring: Ring) -> None:
    with mmap.mmap(ring.fd, ring.slots * ring.slot_bytes) as memory:
        memory[ring.slot_bytes : ring.slot_bytes + 36] = bytes(range(36))
        frame = Frame(ring, answer(1))
        assert np.array_equal(frame.pixels, np.arange(36, dtype=np.uint8).reshape(3, 4, 3))
        memory[ring.slot_bytes] = 99
        assert frame.pixels[0, 0, 0] == 99


def test_the_memory_cannot_be_pulled_away(ring: Ring) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(ring.fd, 0)
    assert fcntl.fcntl(ring.fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SEAL


def test_the_ring_is_full_when_every_slot_is_held(ring: Ring, given: Given) -> None:
    frames = [Frame(ring, answer(slot)) for slot in range(3)]
    assert ring.full
    frames[1].release()
    assert not ring.full
    assert given.slots == [1]


@pytest.mark.parametrize(
    "wrong", [answer(0), answer(3), answer(1, 2000, 2000)], ids=["held already", "no such slot", "too small"]
)
def test_a_frame_that_cannot_be_there_is_an_error(ring: Ring, wrong: FrameAnswer) -> None:
    held = Frame(ring, answer(0))
    with pytest.raises(ProtocolError):
        Frame(ring, wrong)
    held.release()


def test_a_forgotten_frame_is_collected_once_no_view_of_it_is_left(ring: Ring, given: Given) -> None:
    frame = Frame(ring, answer(2))
    view = frame.pixels[1:, ::2].transpose()
    del frame
    ring.collect()
    assert given.slots == []
    del view
    ring.collect()
    assert given.slots == [2]


def test_a_released_frame_is_not_collected_again(ring: Ring, given: Given) -> None:
    frame = Frame(ring, answer(0))
    frame.release()
    del frame
    ring.collect()
    assert given.slots == [0]


def test_frames_outlive_the_closed_ring(given: Given) -> None:
    ring = Ring(1, 36, given.back)
    frame = Frame(ring, answer(0))
    ring.close()
    assert frame.pixels.sum() == 0
