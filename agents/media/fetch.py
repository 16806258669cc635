"""The one way in for media that others point at."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from agents.media.blocks import BlockCache
from agents.media.exceptions import MediaError
from agents.media.http_client import HttpClient
from agents.media.http_objects import open_http
from agents.media.local_files import open_file
from agents.media.policy import FetchPolicy
from agents.media.source import MediaSource
from agents.media.stored_objects import open_object
from agents.media.uris import redacted, scheme_of


class Fetcher:
    """Opens media references under one policy. May be used by many threads; close it when none does any more.

    Args:
        policy: What may be reached, and how much and how long.
        sleep: Waits between attempts, in seconds.
    """

    def __init__(self, policy: FetchPolicy, sleep: Callable[[float], None] = time.sleep) -> None:
        self.policy = policy
        self._client = HttpClient(policy, sleep)
        self._cache = BlockCache(policy.cache_bytes // policy.block_bytes)

    def open(self, uri: str) -> MediaSource:
        """The object that `uri` names, at the version that it has now. The caller closes it.

        Raises:
            MediaError: `forbidden`, `unreachable`, `too_large`, or `unsupported` where a driver is missing.
        """
        scheme = scheme_of(uri)
        if scheme not in self.policy.schemes:
            raise MediaError("forbidden", f"{redacted(uri)}: the scheme {scheme} is not allowed")
        if scheme == "file":
            return open_file(uri, self.policy)
        if scheme in {"http", "https"}:
            return open_http(uri, self.policy, self._client, self._cache)
        return open_object(uri, self.policy, self._cache)

    def close(self) -> None:
        """Closes idle connections. Sources that are still open keep working."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
