"""How fast messages are handled, as far as a queue that is never empty tells."""

_WEIGHT = 0.3
"""Of the newest measurement: three or four of them make up the pace."""


class Pace:
    """Messages a second, from the moments at which batches were handed out while others waited."""

    def __init__(self) -> None:
        self._pace: float | None = None
        self._since: float | None = None
        self._messages = 0

    @property
    def by_second(self) -> float | None:
        """Messages a second; none before it is known."""
        return self._pace

    def hand_out(self, messages: int, now: float) -> None:
        """Note that a batch is handed out, from a queue that had messages when it was asked for.

        Args:
            messages: of the batch.
            now: seconds, monotonic.
        """
        if self._since is not None and now > self._since:
            pace = self._messages / (now - self._since)
            self._pace = pace if self._pace is None else _WEIGHT * pace + (1 - _WEIGHT) * self._pace
        self._since, self._messages = now, messages

    def idle(self) -> None:
        """Note that the queue was empty: the time until the next batch tells nothing."""
        self._since = None
