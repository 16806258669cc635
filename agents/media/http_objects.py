"""`http(s)://` objects: by ranges where the server has them, spooled once to a bounded file where not."""

import os
import re
import tempfile
from dataclasses import dataclass

from agents.media.blocks import BlockCache, BlockSource
from agents.media.exceptions import MediaError
from agents.media.http_client import Answer, HttpClient
from agents.media.policy import FetchPolicy
from agents.media.source import FileSource, MediaSource
from agents.media.uris import redacted

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")


@dataclass(frozen=True, slots=True)
class _Version:
    """What tells one version of an object from the next.

    Attributes:
        size: Bytes in all.
        etag: `ETag`, or else `Last-Modified`, or None.
        if_range: The same where it is strong enough for `If-Range` (RFC 9110 §13.1.5), or None.
    """

    size: int
    etag: str | None
    if_range: str | None


def open_http(url: str, policy: FetchPolicy, client: HttpClient, cache: BlockCache) -> MediaSource:
    """Opens the object at `url`, reading its first block on the way.

    Raises:
        MediaError: `unreachable`, `forbidden` or `too_large`.
    """

    def attempt() -> MediaSource:
        with client.get(url, {"Range": f"bytes=0-{policy.block_bytes - 1}"}) as answer:
            if answer.status == 200:
                return _spool(answer, url, policy)
            return _ranged(answer, url, policy, client, cache)

    return client.retrying(attempt)


def _ranged(answer: Answer, url: str, policy: FetchPolicy, client: HttpClient, cache: BlockCache) -> MediaSource:
    first, last, version = _range_of(answer)
    if version.size > policy.max_bytes:
        raise MediaError("too_large", f"{redacted(url)} has {version.size} bytes, over {policy.max_bytes}")
    if first != 0 or last != min(policy.block_bytes, version.size) - 1:
        raise MediaError("unreachable", f"{redacted(url)} answers with another range than asked for")
    head = b"".join(answer.body(last + 1))
    ranges = _Ranges(url, answer.url, version, client)
    # Without a validator two openings may be two versions: they share no blocks.
    key = f"{url} {version.size} {version.etag}" if version.etag is not None else f"{url} {id(ranges)}"
    source = BlockSource(
        redacted(url),
        version.size,
        version.etag,
        read_range=ranges.read,
        cache=cache,
        cache_key=key,
        block_bytes=policy.block_bytes,
        read_ahead_bytes=policy.read_ahead_bytes,
    )
    source.count_read(len(head))
    if head and cache.claim(key, 0, 0)[1]:
        cache.fill(key, 0, head)
    return source


class _Ranges:
    """Reads ranges of one version of one object, from the address that redirects led to."""

    def __init__(self, url: str, final_url: str, version: _Version, client: HttpClient) -> None:
        self._url = url
        self._final_url = final_url
        self._version = version
        self._client = client

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`.

        Raises:
            MediaError: `unreachable`; transient when the object changed, for it may be opened anew.
        """
        try:
            return self._client.retrying(lambda: self._attempt(offset, length))
        except MediaError as error:
            if error.transient or self._final_url == self._url:
                raise
            # A redirect's target may have expired: ask the first address again, once.
            self._final_url = self._url
            return self._client.retrying(lambda: self._attempt(offset, length))

    def _attempt(self, offset: int, length: int) -> bytes:
        headers = {"Range": f"bytes={offset}-{offset + length - 1}"}
        if self._version.if_range is not None:
            headers["If-Range"] = self._version.if_range
        with self._client.get(self._final_url, headers) as answer:
            if answer.status != 206:
                raise self._changed()
            first, last, version = _range_of(answer)
            if version.size != self._version.size or version.etag != self._version.etag:
                raise self._changed()
            if (first, last) != (offset, offset + length - 1):
                raise MediaError("unreachable", f"{redacted(self._url)} answers with another range than asked for")
            data = b"".join(answer.body(length))
            if len(data) != length:
                raise MediaError(
                    "unreachable", f"{redacted(self._url)} sent {len(data)} of {length} bytes", transient=True
                )
            self._final_url = answer.url
            return data

    def _changed(self) -> MediaError:
        return MediaError("unreachable", f"{redacted(self._url)} changed while it was read", transient=True)


def _range_of(answer: Answer) -> tuple[int, int, _Version]:
    """(first byte, last byte, version); an empty object is 0, -1."""
    match = _CONTENT_RANGE.fullmatch(answer.header("Content-Range") or "")
    if match is None or (match[1] is None) != (answer.status == 416):
        raise MediaError("unreachable", f"{redacted(answer.url)} does not say which range it sends")
    size = int(match[3])
    if answer.status == 416 and size != 0:
        raise MediaError("unreachable", f"{redacted(answer.url)} refuses a range of its {size} bytes", True)
    etag, modified = answer.header("ETag"), answer.header("Last-Modified")
    strong = etag if etag is not None and not etag.startswith("W/") else None
    version = _Version(size, etag or modified, strong or (modified if etag is None else None))
    return int(match[1] or 0), int(match[2] or -1), version


def _spool(answer: Answer, url: str, policy: FetchPolicy) -> FileSource:
    name = redacted(url)
    announced = answer.header("Content-Length") or ""
    if announced.isdecimal() and int(announced) > policy.max_bytes:
        raise MediaError("too_large", f"{name} has {announced} bytes, over {policy.max_bytes}")
    with tempfile.TemporaryFile(dir=policy.spool_folder) as spool:
        for chunk in answer.body(policy.max_bytes):
            spool.write(chunk)
        spool.flush()
        # Opened anew, to be read only: decoder processes get this descriptor.
        fd = os.open(f"/proc/self/fd/{spool.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
        source = FileSource(name, fd, answer.header("ETag") or answer.header("Last-Modified"))
    source.count_read(source.size)
    return source
