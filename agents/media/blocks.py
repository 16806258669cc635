"""Remote objects read in whole blocks that are kept for a while, so that nothing near is fetched twice."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from agents.media.source import MediaSource

_SKIPPED_IN_ORDER = 4  # blocks that a reader going on in order may have had already, such as those of a key frame


class BlockCache:
    """Blocks of remote objects, least recently used first out; one fetch a block, however many ask at once.

    Sources of the same version of one object share it, so that segments scored in one process read the header and
    the blocks at their borders once.

    Args:
        capacity: Blocks held at most.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = max(1, capacity)
        self._blocks: OrderedDict[tuple[str, int], Future[bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def claim(self, key: str, first: int, last: int) -> tuple[list[Future[bytes]], list[int]]:
        """The blocks `first..last` of `key`, and which of them the caller must now fetch and `fill` or `fail`."""
        futures, mine = [], []
        with self._lock:
            for index in range(first, last + 1):
                future = self._blocks.get((key, index))
                if future is None:
                    future = self._blocks[(key, index)] = Future()
                    mine.append(index)
                self._blocks.move_to_end((key, index))
                futures.append(future)
            self._evict()
        return futures, mine

    def missing_after(self, key: str, index: int, most: int) -> int:
        """How many blocks right after `index` nobody has or is fetching, counted up to `most`."""
        with self._lock:
            count = 0
            while count < most and (key, index + 1 + count) not in self._blocks:
                count += 1
            return count

    def fill(self, key: str, index: int, data: bytes) -> None:
        """Gives a claimed block its bytes."""
        with self._lock:
            future = self._blocks[(key, index)]
        future.set_result(data)

    def fail(self, key: str, indices: Sequence[int], error: BaseException) -> None:
        """Gives claimed blocks up: whoever waits for them gets `error`, who asks later may fetch anew."""
        with self._lock:
            futures = [self._blocks.pop((key, index)) for index in indices]
        for future in futures:
            future.set_exception(error)

    def _evict(self) -> None:
        excess = len(self._blocks) - self._capacity
        if excess > 0:
            done = [name for name, future in self._blocks.items() if future.done()]
            for name in done[:excess]:
                del self._blocks[name]


class BlockSource(MediaSource):
    """A remote object read in whole blocks through a shared cache, with read-ahead that grows while reads go on.

    Args:
        read_range: (offset, length) -> exactly that many bytes from the origin. Raises `MediaError`.
        cache_key: Names this version of this object; sources with equal keys share blocks.
        block_bytes: Size of a block.
        read_ahead_bytes: The most that one request fetches beyond what was asked for.
    """

    def __init__(
        self,
        name: str,
        size: int,
        etag: str | None,
        *,
        read_range: Callable[[int, int], bytes],
        cache: BlockCache,
        cache_key: str,
        block_bytes: int,
        read_ahead_bytes: int,
    ) -> None:
        super().__init__(name, size, etag)
        self._read_range = read_range
        self._cache = cache
        self._key = cache_key
        self._block_bytes = block_bytes
        self._most_ahead = read_ahead_bytes // block_bytes
        self._ahead = 0
        self._next_miss: int | None = None

    def _read(self, offset: int, length: int) -> bytes:
        first, last = offset // self._block_bytes, (offset + length - 1) // self._block_bytes
        futures, mine = self._cache.claim(self._key, first, last)
        if mine:
            self._load(mine, self._claim_ahead(mine, last))
        start = offset - first * self._block_bytes
        if len(futures) == 1:
            return futures[0].result()[start : start + length]
        return b"".join(future.result() for future in futures)[start : start + length]

    def _claim_ahead(self, mine: Sequence[int], last: int) -> list[int]:
        """Blocks to fetch in the same request because reading goes on in order: 1, 2, 4… up to the limit."""
        in_order = self._next_miss is not None and 0 <= mine[0] - self._next_miss <= _SKIPPED_IN_ORDER
        self._ahead = min(max(1, self._ahead * 2), self._most_ahead) if in_order else 0
        ahead: list[int] = []
        if mine[-1] == last:
            final = (self.size - 1) // self._block_bytes
            free = self._cache.missing_after(self._key, last, min(self._ahead, final - last))
            if free:
                ahead = self._cache.claim(self._key, last + 1, last + free)[1]
        self._next_miss = (ahead[-1] if ahead else mine[-1]) + 1
        return ahead

    def _load(self, mine: Sequence[int], ahead: Sequence[int]) -> None:
        left = [*mine, *ahead]
        try:
            while left:
                run = 1
                while run < len(left) and left[run] == left[0] + run:
                    run += 1
                start = left[0] * self._block_bytes
                length = min(run * self._block_bytes, self.size - start)
                data = self._read_range(start, length)
                self.count_read(len(data))
                for position in range(run):
                    begin = position * self._block_bytes
                    self._cache.fill(self._key, left[position], data[begin : begin + self._block_bytes])
                left = left[run:]
        except BaseException as error:
            self._cache.fail(self._key, left, error)
            raise
