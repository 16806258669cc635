"""An opened media object: sized, randomly readable, counting what its origin really gave."""

import hashlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

from agents.media.exceptions import MediaError

_HASH_CHUNK = 4 * 1024 * 1024  # one range request's worth: large enough to hide a round trip


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


def memory_source(name: str, data: bytes) -> FileSource:
    """Bytes that are at hand, as a source whose descriptor a decoder can be given."""
    fd = os.memfd_create("media", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
    except BaseException:
        os.close(fd)
        raise
    return FileSource(name, fd, None)


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
