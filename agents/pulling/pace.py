"""How many a second, of late."""

from collections import deque
from threading import Lock


class Pace:
    """Counts over a stretch of time that moves on. Thread-safe.

    Args:
        stretch_s: its length, seconds.
    """

    def __init__(self, stretch_s: float = 10.0) -> None:
        self._stretch_s = stretch_s
        self._counts: deque[tuple[float, int]] = deque()
        self._since_s: float | None = None
        self._lock = Lock()

    def add(self, at_s: float, count: int = 1) -> None:
        """Count what came by a moment."""
        with self._lock:
            if self._since_s is None:
                self._since_s = at_s
            self._counts.append((at_s, count))
            self._forget(at_s)

    def rate(self, at_s: float) -> float:
        """Return how many came a second."""
        with self._lock:
            self._forget(at_s)
            if self._since_s is None:
                return 0.0
            over_s = min(self._stretch_s, max(1.0, at_s - self._since_s))
            return sum(count for _, count in self._counts) / over_s

    def _forget(self, at_s: float) -> None:
        while self._counts and self._counts[0][0] <= at_s - self._stretch_s:
            self._counts.popleft()
