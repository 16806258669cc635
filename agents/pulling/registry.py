"""Which streams are to be pulled, as Redis knows it."""

from collections.abc import Iterable
from typing import cast

import redis

from agents.keyvalue import typed_errors
from agents.live.asked import StreamsAsked
from agents.settings import RedisSettings
from schemas.stream import StreamControl


class Registry:
    """The started streams, each until a worker has ended it, and what was asked of them."""

    def __init__(self, client: "redis.Redis", settings: RedisSettings) -> None:
        self._client = client
        self._key = f"{settings.key_prefix}streams"
        self.asked = StreamsAsked(client, settings)

    def note(self, control: StreamControl) -> StreamControl:
        """Note a command. Noted again, it changes nothing.

        A stop takes nothing away: whoever pulls the stream ends it first, see `forget`.

        Raises:
            Unavailable: Redis is away.
        """
        asked = self.asked.note(control)
        if asked.command == "start":
            self.add([asked.stream_id])
        return asked

    def add(self, stream_ids: Iterable[str]) -> None:
        """Note that streams are to be pulled.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            self._client.sadd(self._key, *stream_ids)

    def all(self) -> frozenset[str]:
        """Return the streams.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            return frozenset(cast("bytes", member).decode() for member in self._client.smembers(self._key))

    def forget(self, stream_id: str) -> None:
        """Note that a stopped stream has ended. One that was started meanwhile stays.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            self._client.srem(self._key, stream_id)
        # Asked after it was taken away: a start that came before is seen here, and one that comes later adds it.
        asked = self.asked.find(stream_id)
        if asked is not None and asked.command == "start":
            self.add([stream_id])
