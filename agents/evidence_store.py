"""Pictures of faces, kept for moderators for some days, behind an fsspec URL."""

from datetime import UTC, date, datetime, timedelta

import fsspec

from agents.settings import EvidenceSettings


class EvidenceError(Exception):
    """The store cannot be used."""


class EvidenceStore:
    """Files below a URL, in a folder for each day: what is older than `keep_days` goes with its folder."""

    def __init__(self, settings: EvidenceSettings) -> None:
        """Connect.

        Raises:
            EvidenceError: there is no such kind of store.
        """
        self._keep = timedelta(days=settings.keep_days)
        try:
            self._files, root = fsspec.core.url_to_fs(settings.url)
        except (ImportError, ValueError, OSError) as error:
            raise EvidenceError(f"evidence.url: {error}") from error
        self._root = root.rstrip("/")

    def put(self, at: datetime, name: str, content: bytes) -> str:
        """Keep a file, and return its key. Kept again under the same moment and name, it is the same.

        Args:
            at: event time: says the day.
            name: without slashes.
            content: bytes.

        Raises:
            EvidenceError: it cannot be written.
        """
        key = f"{at.astimezone(UTC):%Y-%m-%d}/{name}"
        try:
            self._files.makedirs(f"{self._root}/{key.partition('/')[0]}", exist_ok=True)
            self._files.pipe_file(f"{self._root}/{key}", content)
        except OSError as error:
            raise EvidenceError(f"evidence {key} cannot be written: {error}") from error
        return key

    def get(self, key: str) -> bytes | None:
        """Return a file by its key; none where it has expired.

        Raises:
            EvidenceError: the store does not answer.
        """
        try:
            content: bytes = self._files.cat_file(f"{self._root}/{key}")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EvidenceError(f"evidence {key} cannot be read: {error}") from error
        return content

    def expire(self, now: datetime) -> int:
        """Remove the days that are over; return how many.

        Raises:
            EvidenceError: the store does not answer.
        """
        last = (now - self._keep).astimezone(UTC).date()
        try:
            folders = self._files.ls(self._root, detail=False) if self._files.exists(self._root) else []
            gone = [folder for folder in folders if (day := _day(folder)) is not None and day < last]
            for folder in gone:
                self._files.rm(folder, recursive=True)
        except OSError as error:
            raise EvidenceError(f"evidence cannot be expired: {error}") from error
        return len(gone)


def _day(folder: str) -> date | None:
    try:
        return date.fromisoformat(folder.rstrip("/").rpartition("/")[2])
    except ValueError:
        return None
