"""One moment by which several steps must have ended."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock, seconds."""

    at: float
    clock: Callable[[], float] = monotonic

    @classmethod
    def after(cls, timeout_s: float, clock: Callable[[], float] = monotonic) -> "Deadline":
        """Return the moment `timeout_s` seconds from now."""
        return cls(clock() + timeout_s, clock)

    @property
    def remaining_s(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at - self.clock())

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return self.remaining_s == 0.0
