"""What the fetcher may reach, and how much and how long."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.media.addresses import AddressCheck, Resolver, refuse_private, resolve

MIB = 1024 * 1024


def _any_address(address: str, port: int) -> None:
    """The check that refuses nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """Bounds on fetching media.

    Attributes:
        schemes: URL schemes that may be fetched. Besides `file`, `http` and `https`, any that fsspec has a driver for.
        roots: Folders that `file://` may read under; none allows no file at all.
        max_bytes: Size above which an object is `too_large`.
        connect_timeout_s: Longest wait for a connection, in seconds.
        read_timeout_s: Longest silence of a server, in seconds.
        request_timeout_s: Longest duration of one request with its body, in seconds.
        attempts: Times a request is made in all before a transient failure counts.
        backoff_s: Wait before the second attempt, in seconds; doubles with each.
        max_redirects: Redirects followed for one request.
        allow_private_addresses: Whether loopback, private and link-local addresses may be connected to.
        check_address: Replaces the check of addresses altogether, `allow_private_addresses` included.
        resolver: How names become addresses.
        block_bytes: Size of the blocks that remote objects are read in.
        cache_bytes: Memory for blocks, shared by all sources of one fetcher.
        read_ahead_bytes: The most that is read beyond what was asked for, while reads go on in order.
        spool_folder: Where the body of a server without range requests is kept while it is used; None means the
            system's folder for temporary files.
        user_agent: How requests introduce themselves.
        storage_options: Keyword arguments of the fsspec driver, by scheme. They may hold credentials.
    """

    schemes: frozenset[str] = frozenset({"file", "http", "https"})
    roots: tuple[Path, ...] = ()
    max_bytes: int = 2048 * MIB
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 15.0
    request_timeout_s: float = 300.0
    attempts: int = 3
    backoff_s: float = 0.25
    max_redirects: int = 5
    allow_private_addresses: bool = False
    check_address: AddressCheck | None = None
    resolver: Resolver = resolve
    block_bytes: int = MIB // 8
    cache_bytes: int = 64 * MIB
    read_ahead_bytes: int = MIB
    spool_folder: Path | None = None
    user_agent: str = "deepfake-fleet"
    storage_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def address_check(self) -> AddressCheck:
        """The check that applies."""
        if self.check_address is not None:
            return self.check_address
        return _any_address if self.allow_private_addresses else refuse_private

    def is_allowed_file(self, path: str) -> bool:
        """Whether `path`, already free of symbolic links, lies under one of the roots."""
        for root in self.roots:
            folder = os.path.realpath(root)
            if os.path.commonpath((folder, path)) == folder:
                return True
        return False
