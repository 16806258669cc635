"""How the last frame of each stream looked, in small: tells whether the next one begins another scene."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Event as Flag

import redis

from agents.keyvalue import typed_errors
from agents.settings import RedisSettings

_NUMBER_BYTES = 8
_REMEMBERED = 4096
"""Streams whose last frame is remembered here, too: beyond that the key-value store is asked again."""


@dataclass(frozen=True, slots=True)
class LastView:
    """A frame as `models.scenes.view` gives it, and its number."""

    seq: int
    view: bytes


class LastViews:
    """The last frames of all streams. The worker that had a stream before may have been another one."""

    def __init__(self, client: "redis.Redis", settings: RedisSettings, ttl_ms: int) -> None:
        self._client = client
        self._prefix = settings.key_prefix
        self._ttl_ms = ttl_ms
        self._here: dict[str, LastView] = {}
        self._outdated = Flag()

    def _key(self, stream_id: str) -> str:
        return f"{self._prefix}{{{stream_id}}}:view"

    def find_all(self, stream_ids: Iterable[str]) -> Mapping[str, LastView]:
        """Return the last frames of those streams that had any.

        Raises:
            Unavailable: Redis is away.
        """
        if self._outdated.is_set():
            self._outdated.clear()
            self._here.clear()
        wanted = list(stream_ids)
        unknown = [stream_id for stream_id in wanted if stream_id not in self._here]
        if unknown:
            with typed_errors(), self._client.pipeline(transaction=False) as pipeline:
                for stream_id in unknown:
                    pipeline.get(self._key(stream_id))
                answers = pipeline.execute()
            for stream_id, answer in zip(unknown, answers, strict=True):
                if answer is not None:
                    self._here[stream_id] = _unpacked(answer)
        return {stream_id: self._here[stream_id] for stream_id in wanted if stream_id in self._here}

    def keep(self, views: Mapping[str, LastView]) -> None:
        """Remember the last frames of some streams.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors(), self._client.pipeline(transaction=False) as pipeline:
            for stream_id, last in views.items():
                packed = last.seq.to_bytes(_NUMBER_BYTES, "big") + last.view
                pipeline.set(self._key(stream_id), packed, px=self._ttl_ms)
            pipeline.execute()
        self._here.update(views)
        while len(self._here) > _REMEMBERED:
            del self._here[next(iter(self._here))]

    def look_again(self) -> None:
        """Ask the key-value store from now on: streams have come from another worker. From any thread."""
        self._outdated.set()


def _unpacked(value: bytes) -> LastView:
    return LastView(int.from_bytes(value[:_NUMBER_BYTES], "big"), value[_NUMBER_BYTES:])
