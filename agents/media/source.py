"""An opened media object: sized, randomly readable, counting what its origin really gave."""

import hashlib
import os
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from agents.media.exceptions import MediaError

_HASH_CHUNK = 4 * 1024 * 1024  # one range request's worth: large enough to hide a round trip


_SKIPPED_IN_ORDER = 4  # blocks that a reader going on in order may have had already, such as those of a key frame


class MediaSource(ABC):
    """Bytes of one media object at one version. Reads may come from any thread.

    Attributes:
        name: Where it came from, fit for logs and errors.
        size: Length in bytes.
        etag: Validator of this version, or None where the origin gives none. Equal text means equal bytes.
    """

    def __init__(self, name: str, size: int, etag: str | None) -> None:
        self.name = name
        self.size = size
        self.etag = etag
        self.closed = False
        self._bytes_read = 0
        self._counting = threading.Lock()

    @property
    def bytes_read(self) -> int:
        """Bytes that came from the origin for this source so far: not those that a cache already held."""
        return self._bytes_read

    def count_read(self, length: int) -> None:
        """Adds bytes that came from the origin, here or in a process that holds `local_fd`."""
        with self._counting:
            self._bytes_read += length

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only where the object ends.

        Raises:
            MediaError: `unreachable`, also when the object changed since it was opened.
            ValueError: The source is closed, or a number is negative.
        """
        if self.closed:
            raise ValueError(f"{self.name} is closed")
        if offset < 0 or length < 0:
            raise ValueError(f"a range cannot start at {offset} and be {length} long")
        length = min(length, self.size - offset)
        return self._read(offset, length) if length > 0 else b""

    @abstractmethod
    def _read(self, offset: int, length: int) -> bytes:
        """Exactly `length` > 0 bytes from `offset`; the range lies inside the object."""

    def local_fd(self) -> int | None:
        """A descriptor of a regular file with these bytes, owned by this source, or None."""
        return None

    def close(self) -> None:
        """Lets go of what the source holds. Closing twice is allowed."""
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FileSource(MediaSource):
    """A regular file by its descriptor, which the source owns and closes."""

    def __init__(self, name: str, fd: int, etag: str | None) -> None:
        super().__init__(name, os.fstat(fd).st_size, etag)
        self._fd = fd

    def _read(self, offset: int, length: int) -> bytes:
        parts = []
        while length > 0:
            part = os.pread(self._fd, length, offset)
            if not part:
                raise MediaError("unreachable", f"{self.name} shrank while it was read", transient=True)
            parts.append(part)
            offset += len(part)
            length -= len(part)
        data = b"".join(parts)
        self.count_read(len(data))
        return data

    def local_fd(self) -> int | None:
        """The file's descriptor."""
        return None if self.closed else self._fd

    def close(self) -> None:
        """Closes the descriptor."""
        if not self.closed:
            super().close()
            os.close(self._fd)


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
        self._next_miss = -1

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
        in_order = 0 <= mine[0] - self._next_miss <= _SKIPPED_IN_ORDER
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


def sha256(source: MediaSource, progress: Callable[[int, int], None] | None = None) -> str:
    """The SHA-256 of the whole object as 64 hexadecimal digits, read in order and held a few MiB at a time.

    Args:
        source: Any opened source.
        progress: Called after each chunk with (bytes hashed, bytes in all).

    Raises:
        MediaError: `unreachable`.
    """
    digest = hashlib.sha256()
    done = 0
    while done < source.size:
        chunk = source.read_at(done, _HASH_CHUNK)
        digest.update(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, source.size)
    return digest.hexdigest()
