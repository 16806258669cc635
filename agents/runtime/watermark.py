"""Which offsets of a partition are done, without a gap."""

from collections import deque


class PartitionProgress:
    """Offsets that were begun and completed, in any order; the watermark never passes one in flight.

    Not thread-safe: `InFlight` holds the lock.
    """

    def __init__(self) -> None:
        self._begun: deque[int] = deque()
        self._completed: set[int] = set()
        self._watermark: int | None = None

    def begin(self, offset: int) -> None:
        """Note that the message at `offset` was read; offsets rise, with gaps where a log was compacted."""
        if self._begun and offset <= self._begun[-1]:
            raise ValueError(f"offset {offset} was read after {self._begun[-1]}")
        self._begun.append(offset)

    def complete(self, offset: int) -> None:
        """Note that everything that the message at `offset` asks for is done."""
        self._completed.add(offset)
        while self._begun and self._begun[0] in self._completed:
            done = self._begun.popleft()
            self._completed.remove(done)
            self._watermark = done + 1

    @property
    def watermark(self) -> int | None:
        """The offset to commit: the one after the last of the contiguous done; none before the first."""
        return self._watermark

    @property
    def outstanding(self) -> int:
        """How many are begun and not passed by the watermark."""
        return len(self._begun)
