"""Which of a live stream's frames are looked at. Pure: whoever asks says what time it is."""

from typing import Protocol

_EARLY = 0.25
"""How early a frame may be, in intervals: a key frame a second must not be missed for coming after 0.99 s."""
_LONGEST_WAIT_S = 15.0
MOST_FPS = 60.0
"""Of any sampling, also of every n-th frame of a publisher that floods."""


class Sampling(Protocol):
    """Decides frame by frame, in the order in which they come."""

    def takes(self, at_s: float) -> bool:
        """Whether the frame that came at this moment (monotonic, seconds) is looked at."""


class ByTime:
    """So many frames a second, by when they come and not by what their time stamps say: a publisher writes those.

    In any stretch of t seconds at most `fps * t + 2` frames are taken.
    """

    def __init__(self, fps: float) -> None:
        self._interval_s = 1 / fps
        self._due_s: float | None = None

    def takes(self, at_s: float) -> bool:
        """Whether a frame is due."""
        if self._due_s is None or at_s >= self._due_s + self._interval_s:
            # The first, or one after a pause: what was missed is not made up for.
            self._due_s = at_s + self._interval_s
            return True
        if at_s < self._due_s - _EARLY * self._interval_s:
            return False
        self._due_s += self._interval_s
        return True


class EveryNth:
    """The first frame and every n-th after it, at most `MOST_FPS` a second."""

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._number = -1
        self._bound = ByTime(MOST_FPS)

    def takes(self, at_s: float) -> bool:
        """Whether it is the n-th."""
        self._number = (self._number + 1) % self._interval
        return self._number == 0 and self._bound.takes(at_s)


class KeyFrames:
    """Whether key frames alone are enough: their distance, as it was lately, is at most the wanted one.

    Args:
        wanted_s: Distance of the frames asked for, seconds; 0 where key frames are never enough.
    """

    def __init__(self, wanted_s: float) -> None:
        self._longest_s = wanted_s * (1 + _EARLY)
        self._came_s: float | None = None
        self._distances: list[float] = []

    def came(self, at_s: float) -> bool:
        """Note a key frame; whether those that follow are enough."""
        if self._came_s is not None:
            self._distances = [*self._distances[-2:], at_s - self._came_s]
        self._came_s = at_s
        return len(self._distances) >= 2 and max(self._distances) <= self._longest_s

    def missing(self, at_s: float) -> bool:
        """Whether the next one is overdue, so that they are not enough any more."""
        if self._came_s is None or at_s - self._came_s <= self._longest_s:
            return False
        self._distances = []
        return True


class Pacing:
    """Gives what comes in bursts at the pace of its time stamps."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None

    def wait_s(self, stamp_s: float, at_s: float) -> float:
        """Return how long to hold back what carries a time stamp and is there now, both seconds."""
        if self._ahead_s is None or not -_LONGEST_WAIT_S <= stamp_s - at_s - self._ahead_s <= _LONGEST_WAIT_S:
            # The first, or after a gap, or time stamps that jumped.
            self._ahead_s = stamp_s - at_s
        wait_s = stamp_s - at_s - self._ahead_s
        if wait_s < 0:
            self._ahead_s += wait_s
        return max(0.0, wait_s)


def sampling(fps: float, every_nth: int | None) -> Sampling:
    """Return what was asked for: every n-th frame where that is given, else so many a second."""
    return ByTime(fps) if every_nth is None else EveryNth(every_nth)
