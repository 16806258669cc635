"""When a stream that broke off is connected to again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import random

from agents.pulling.exceptions import Trouble

_SOONEST_S = 0.05
"""Also with the best of luck: a server that ends each connection at once is not asked without a break."""


@dataclass(slots=True)
class Retries:
    """Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).

    Attributes:
        first_s: bound of the first pause, seconds; it doubles with each.
        most_s: the highest bound, seconds; of lasting troubles the lowest, too.
        steady_s: a connection that was live for so long begins anew, seconds.
        chance: random numbers in [0, 1).
    """

    first_s: float
    most_s: float
    steady_s: float
    chance: Callable[[], float] = random
    _failures: int = field(default=0, init=False)

    def pause(self, trouble: Trouble, live_s: float) -> float:
        """Return how long to wait, seconds.

        Args:
            trouble: what the last connection came to.
            live_s: how long frames had come over it, seconds.
        """
        if live_s >= self.steady_s:
            self._failures = 0
        if trouble.kind == "changed" and live_s > 0:
            return 0.0
        bound = self.most_s if trouble.lasting else min(self.most_s, self.first_s * 2 ** min(self._failures, 30))
        self._failures += 1
        if trouble.lasting:
            # Half of it for certain: what was no stream seldom becomes one.
            return bound * (1 + self.chance()) / 2
        return max(_SOONEST_S, bound * self.chance())
