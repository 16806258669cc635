"""How long to wait before trying again."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from `first_s` to `most_s`, seconds."""

    first_s: float
    most_s: float = 10.0

    def pauses(self) -> Iterator[float]:
        """Yield the pauses, without end."""
        pause = self.first_s
        while True:
            yield pause
            pause = min(2 * pause, self.most_s)
