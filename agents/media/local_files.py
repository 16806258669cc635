"""`file://`: regular files under the allowed roots, judged by what was opened and not by what was asked for."""

import os
import stat
from urllib.parse import unquote, urlsplit

from agents.media.exceptions import MediaError
from agents.media.policy import FetchPolicy
from agents.media.source import FileSource
from agents.media.uris import redacted


def open_file(uri: str, policy: FetchPolicy) -> FileSource:
    """Opens the file that `uri` names.

    Raises:
        MediaError: `forbidden`, outside the roots, also by way of a symbolic link, or not a regular file;
            `unreachable`, not there or not readable; `too_large`.
    """
    name = redacted(uri)
    path = _path_of(uri, name)
    try:
        real = os.path.realpath(path, strict=True)
    except (OSError, ValueError):
        # Outside the roots, whether the file exists is not told.
        real = os.path.realpath(path) if "\0" not in path else "/"
        if not policy.is_allowed_file(real):
            raise _outside(name) from None
        raise MediaError("unreachable", f"{name} does not exist") from None
    if not policy.is_allowed_file(real):
        raise _outside(name)
    try:
        # Non-blocking, so that opening a FIFO returns; no link may have taken the checked name's place meanwhile.
        fd = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise MediaError("unreachable", f"{name} cannot be opened: {error.strerror}") from None
    try:
        return _judged(fd, name, policy)
    except BaseException:
        os.close(fd)
        raise


def _judged(fd: int, name: str, policy: FetchPolicy) -> FileSource:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise MediaError("forbidden", f"{name} is not a regular file")
    if not policy.is_allowed_file(os.path.realpath(f"/proc/self/fd/{fd}")):
        raise _outside(name)
    if status.st_size > policy.max_bytes:
        raise MediaError("too_large", f"{name} has {status.st_size} bytes, over {policy.max_bytes}")
    return FileSource(name, fd, f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}")


def _path_of(uri: str, name: str) -> str:
    parts = urlsplit(uri)
    if parts.netloc not in {"", "localhost"}:
        raise MediaError("forbidden", f"{name} names a file on another host")
    # A `?` or `#` that was not escaped is part of the file's name.
    return unquote(uri[len("file://") + len(parts.netloc) :])


def _outside(name: str) -> MediaError:
    return MediaError("forbidden", f"{name} is outside the allowed folders")
