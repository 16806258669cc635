"""Frames in memory that a decoder process writes and its parent reads, with no copy between.

The memory has no name (memfd) and is passed by descriptor: when the processes are gone, however they went, so is it.
It is sealed against shrinking, so that a decoder cannot pull it away under the parent's feet.
"""

import fcntl
import mmap
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from agents.media.answers import FrameAnswer
from agents.media.protocol import ProtocolError

CHANNELS = 3


class Ring:
    """Slots of equal size, each holding one frame, shared with one decoder process.

    A slot is the decoder's until it says that a frame is in it, then the parent's until that is released.

    Args:
        slots: How many.
        slot_bytes: Size of each, rounded up to whole pages.
        give_back: Tells the decoder that these slots are its own again. Called from any thread.
    """

    def __init__(self, slots: int, slot_bytes: int, give_back: Callable[[Iterable[int]], None]) -> None:
        self.slots = slots
        self.slot_bytes = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self.fd = os.memfd_create("frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, slots * self.slot_bytes)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self._memory = mmap.mmap(self.fd, slots * self.slot_bytes, prot=mmap.PROT_READ)
        self._give_back = give_back
        self._held: set[int] = set()
        self._lock = threading.Lock()
        self._dropped: deque[int] = deque()

    @property
    def full(self) -> bool:
        """Whether every slot is the parent's, so that the decoder must wait."""
        return len(self._held) >= self.slots

    def take(self, slot: int, width: int, height: int) -> NDArray[np.uint8]:
        """The bytes of the frame that the decoder put into a slot: flat, uint8, read-only.

        Raises:
            ProtocolError: There is no such slot, it is the parent's already, or too small for that size.
        """
        if slot >= self.slots:
            raise ProtocolError(f"there is no slot {slot}")
        length = width * height * CHANNELS
        if length > self.slot_bytes:
            raise ProtocolError(f"a frame of {width}x{height} does not fit a slot")
        with self._lock:
            if slot in self._held:
                raise ProtocolError(f"slot {slot} is not free")
            self._held.add(slot)
        return np.frombuffer(self._memory, np.uint8, length, slot * self.slot_bytes)

    def release(self, slot: int) -> None:
        """Gives a slot back to the decoder."""
        with self._lock:
            self._held.discard(slot)
        self._give_back((slot,))

    def drop(self, slot: int) -> None:
        """Notes that nobody refers to a slot's frame any more. Safe inside garbage collection: takes no lock."""
        self._dropped.append(slot)

    def collect(self) -> None:
        """Gives dropped slots back to the decoder."""
        while self._dropped:
            self.release(self._dropped.popleft())

    def close(self) -> None:
        """Closes the descriptor. The memory itself lives as long as a frame in it is referred to."""
        os.close(self.fd)


class Frame:
    """One decoded frame, in memory shared with its decoder.

    Release it as soon as its pixels have been used (`release`, or `with frame:`): the decoder waits when all slots of
    its ring are held. A frame that is forgotten is released when nothing refers to its pixels any more.

    Attributes:
        ring: The memory that it lies in.
        frame_number: Index of the frame where a constant frame rate is proven (MP4, AVI, moving pictures), else its
            time in milliseconds; unique and rising.
        pts_ms: Time from the first frame of the video, in milliseconds.
        is_key: Whether it decodes by itself.
        source_width: Upright width before scaling down, in pixels.
        source_height: Upright height before scaling down, in pixels.
    """

    __slots__ = (
        "_finalizer",
        "_pixels",
        "_slot",
        "frame_number",
        "is_key",
        "pts_ms",
        "ring",
        "source_height",
        "source_width",
    )

    def __init__(self, ring: Ring, answer: FrameAnswer) -> None:
        slot = answer.slot
        flat = ring.take(slot, *answer.size)
        width, height = answer.size
        self._pixels: NDArray[np.uint8] | None = flat.reshape(height, width, CHANNELS)
        self.ring = ring
        self._slot = slot
        # Views hold on to the flat array below them, so this runs when the last one is gone.
        self._finalizer = weakref.finalize(flat, ring.drop, slot)
        self._finalizer.atexit = False
        self.frame_number = answer.frame_number
        self.pts_ms = answer.pts_ms
        self.is_key = answer.is_key
        self.source_width, self.source_height = answer.source_size

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """RGB, (height, width, 3), uint8 0..255, upright, read-only; valid until the frame is released.

        Raises:
            ValueError: The frame has been released.
        """
        if self._pixels is None:
            raise ValueError("the frame has been released")
        return self._pixels

    def release(self) -> None:
        """Lets the decoder write over the pixels, and over every view of them. Releasing twice is allowed."""
        if self._pixels is not None and self._finalizer.detach() is not None:
            self._pixels = None
            self.ring.release(self._slot)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
