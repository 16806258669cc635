"""The time slots of a plan: which one a frame falls into, and which are wanted."""

import math

from agents.media.frames import FramePlan

# Containers round time stamps (Matroska to a millisecond): a frame this little before a slot belongs to it.
TOLERANCE_S = 0.0006


class Slots:
    """The slots of 1/rate seconds that a plan owns, and which of them have their frame.

    Args:
        plan: The range, and how many frames at most.
        rate_fps: The plan's rate.
        duration_s: Length of the video in seconds, where it is sure: ends a plan that has no end.
    """

    def __init__(self, plan: FramePlan, rate_fps: float, duration_s: float | None) -> None:
        self._rate = rate_fps
        self._first = self._first_from(plan.start_s)
        end_s = duration_s if plan.end_s is None else plan.end_s
        self._end = None if end_s is None else self._first_from(end_s)
        self._count = None if self._end is None else self._end - self._first
        self._most = plan.max_frames
        self._filled: set[int] = set()

    def of(self, time_s: float) -> int:
        """The slot that a frame at `time_s` falls into."""
        return max(0, math.floor((time_s + TOLERANCE_S) * self._rate))

    def start_of(self, slot: int) -> float:
        """When a slot starts, in seconds, with the tolerance that `of` gives."""
        return max(0.0, slot / self._rate - TOLERANCE_S)

    def wants(self, slot: int) -> bool:
        """Whether a frame of this slot is wanted and not there yet."""
        return self._owns(slot) and slot not in self._filled

    def fill(self, slot: int) -> None:
        """Notes that a slot has its frame, or is about to have it."""
        self._filled.add(slot)

    def reopen(self, slot: int) -> None:
        """Notes that a slot did not get its frame after all."""
        self._filled.discard(slot)

    def next_wanted(self, slot: int) -> int | None:
        """The first slot from `slot` on that still wants a frame, or None."""
        slot = max(slot, self._first)
        while self._end is None or slot < self._end:
            if len(self._filled) >= self._most:
                return None
            if self.wants(slot):
                return slot
            slot += 1
        return None

    def _first_from(self, time_s: float) -> int:
        """The first slot that starts at or after `time_s`."""
        return math.ceil((time_s - TOLERANCE_S) * self._rate)

    def _owns(self, slot: int) -> bool:
        if slot < self._first or (self._end is not None and slot >= self._end):
            return False
        if self._count is None or self._count <= self._most:
            return True
        # Of `count` slots the ones where floor(i * most / count) steps: `most` of them, evenly spread.
        position = slot - self._first
        return position == 0 or (position * self._most // self._count != (position - 1) * self._most // self._count)
