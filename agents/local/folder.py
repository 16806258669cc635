"""The folder that one run of the stack keeps its data and logs in."""

import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

from agents.local.exceptions import FolderError

_PREFIX = "deepfake-fleet-"
_LOCK = "lock"


def unreachable_ancestor(path: Path) -> Path | None:
    """Return the topmost folder above `path` that is closed to other users; None when none is."""
    for folder in reversed(path.resolve().parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


class RunFolder:
    """A folder of one run: a temporary one that is removed at the end, or one that was given and is kept.

    A run that was killed leaves its temporary folder behind. Each is locked by its run as long as that lives,
    so the next run finds those whose run is gone, and removes them.

    Raises:
        FolderError: The given folder is not empty, or cannot be made.
    """

    def __init__(self, given: Path | None = None) -> None:
        self._temporary = given is None
        self._lock: int | None = None
        if given is None:
            _remove_abandoned(Path(tempfile.gettempdir()))
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        else:
            self.path = _empty_folder(given)
        if os.geteuid() == 0 and self._temporary:
            self.path.chmod(0o711)  # PostgreSQL does not run as root, and must reach its data below
        if self._temporary:
            self._lock = _lock(self.path)

    def close(self) -> None:
        """Remove a temporary folder; leave a given one. May be repeated."""
        if self._lock is not None:
            shutil.rmtree(self.path)
            os.close(self._lock)
            self._lock = None


def _empty_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"{folder} cannot be made: {error}") from error
    if any(folder.iterdir()):
        raise FolderError(f"{folder} is not empty: give an empty or a new folder")
    return folder.resolve()


def _lock(folder: Path) -> int:
    """Lock a new folder for as long as this process lives; the name appears only once the lock is held."""
    unlocked = folder / f"{_LOCK}.new"
    descriptor = os.open(unlocked, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    unlocked.rename(folder / _LOCK)
    return descriptor


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            if folder.lstat().st_uid != os.geteuid():
                continue
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # gone meanwhile, not yet locked, or not ours
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # its run lives
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
