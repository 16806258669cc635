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
        self._count = None if end_s is None else max(0, self._first_from(end_s) - self._first)
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
        return slot not in self._filled and self._owned_from(slot) == slot

    def wants_at(self, time_s: float) -> bool:
        """Whether a frame at this time is wanted."""
        return self.wants(self.of(time_s))

    def fill(self, slot: int) -> None:
        """Notes that a slot has its frame."""
        self._filled.add(slot)

    def next_wanted(self, slot: int) -> int | None:
        """The first slot from `slot` on that still wants a frame, or None."""
        if len(self._filled) >= self._most:
            return None
        owned = self._owned_from(slot)
        while owned is not None and owned in self._filled:
            owned = self._owned_from(owned + 1)
        return owned

    def _first_from(self, time_s: float) -> int:
        """The first slot that starts at or after `time_s`."""
        return math.ceil((time_s - TOLERANCE_S) * self._rate)

    def _owned_from(self, slot: int) -> int | None:
        """The first slot from `slot` on that the plan owns, whether it has its frame or not."""
        position = max(0, slot - self._first)
        if self._count is None:
            return self._first + position
        if self._count > self._most:
            # Of `count` slots the plan owns `most`, evenly spread: those at ceil(k * count / most).
            number = (position - 1) * self._most // self._count + 1
            position = -(-number * self._count // self._most)
        return self._first + position if position < self._count else None
