"""Whether and when a worker that ended by itself is started again."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """A worker is started again after a pause that doubles, until it has ended too often within a time.

    Counting ends within a time, as systemd (StartLimitBurst, StartLimitIntervalSec in systemd.unit(5)) and Erlang/OTP
    (intensity and period of a supervisor) do, also bounds a worker that takes a minute to load and then fails; how
    long a worker ran says less about that. Ten minutes is after how long the kubelet forgets a container's restarts
    (KEP-4603).
    """

    most_ends: int = 6
    """With this many ends within the time, nothing is started any more: half a minute of pauses by then."""
    within_s: float = 600.0
    first_pause_s: float = 1.0
    most_pause_s: float = 60.0
    final_at_first: frozenset[int] = frozenset()
    """Exit codes after which a worker is not started again if it never was: what it complains of will not change."""

    def pause_s(self, ends: Sequence[float], code: int | None = None) -> float | None:
        """Return after how many seconds to start a worker again, or None to give up.

        Args:
            ends: when it ended by itself, rising, seconds; the last is the one in question.
            code: how it ended then, where that is known.
        """
        recent = self.recent(ends)
        if recent >= self.most_ends or (len(ends) == 1 and code in self.final_at_first):
            return None
        return min(self.first_pause_s * 2.0 ** (recent - 1), self.most_pause_s)

    def recent(self, ends: Sequence[float]) -> int:
        """Return how many of the ends count, the last among them."""
        return sum(1 for end in ends if end > ends[-1] - self.within_s)


NEVER = RestartPolicy(most_ends=1)
"""Whatever supervises this process starts it anew, and everything in it."""
