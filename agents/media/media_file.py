"""Media as the file objects that FFmpeg and Pillow read in a decoder process."""

import os
from collections import OrderedDict
from collections.abc import Callable

_CHUNK = 64 * 1024  # what is asked of the parent at a time; it reads larger blocks, and ahead
_CHUNKS_KEPT = 16


class MediaFile:
    """The media as a file object, counting the bytes that were read of it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._position = 0
        self.bytes_read = 0

    def read(self, size: int = -1, /) -> bytes:
        """`size` bytes from the position, fewer only at the end (Pillow takes less for damage); all when negative."""
        left = self._size - self._position
        end = self._position + (left if size < 0 else min(size, left))
        parts = []
        while self._position < end:
            part = self._bytes(self._position, end - self._position)
            if not part:
                break
            parts.append(part)
            self._position += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Moves the position."""
        base = (0, self._position, self._size)[whence]
        if base + offset < 0:
            raise ValueError("the position would be negative")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def seekable(self) -> bool:
        """Always."""
        return True

    def readable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Nothing to do: what was passed to this process is closed with its job."""

    def _bytes(self, offset: int, length: int) -> bytes:
        """At least one byte and at most `length` from `offset`, or none where the file ends early."""
        raise NotImplementedError


class LocalFile(MediaFile):
    """Media that lies in a file, by descriptor. Its position is our own: the file's is shared with other processes.

    Args:
        size: Of the media, in bytes.
        fd: The descriptor; not closed here.
        listen: Called before each read; raises to end the job.
    """

    def __init__(self, size: int, fd: int, listen: Callable[[], None]) -> None:
        super().__init__(size)
        self._fd = fd
        self._listen = listen

    def _bytes(self, offset: int, length: int) -> bytes:
        self._listen()
        data = os.pread(self._fd, length, offset)
        self.bytes_read += len(data)
        return data


class RemoteFile(MediaFile):
    """Media whose bytes the parent reads for us, in chunks, of which the last few are kept.

    Args:
        size: Of the media, in bytes.
        ask: (offset, length) -> exactly those bytes.
    """

    def __init__(self, size: int, ask: Callable[[int, int], bytes]) -> None:
        super().__init__(size)
        self._ask = ask
        self._chunks: OrderedDict[int, bytes] = OrderedDict()

    def _bytes(self, offset: int, length: int) -> bytes:
        index, start = divmod(offset, _CHUNK)
        chunk = self._chunks.get(index)
        if chunk is None:
            first = index * _CHUNK
            chunk = self._ask(first, min(_CHUNK, self._size - first))
            self._chunks[index] = chunk
            if len(self._chunks) > _CHUNKS_KEPT:
                self._chunks.popitem(last=False)
        self._chunks.move_to_end(index)
        return chunk[start : start + length]
