"""Who may not publish: a lease in Redis for each name at a live server. The door reads it, hooks write it."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import orjson
import redis.asyncio
from pydantic import TypeAdapter

from agents.keyvalue import typed_errors
from agents.settings import RedisSettings

_LEASE = (Path(__file__).parent / "lease.lua").read_text("utf-8")
_REMEMBERED_MS = 7 * 86_400_000
"""How long it is remembered that an episode was released: as long as its alert may be read again (topic retention is
longer, but hooks commits within seconds)."""


@dataclass(frozen=True, slots=True)
class Deny:
    """A name at a live server under which nobody may publish.

    Attributes:
        server: the live server's name in the settings.
        path: name of the stream there, as `agents.blocking.names.publish_name` gives it.
        stream_id: the platform's id of the stream.
        tenant: whose it is.
        alert_id: the alert that led to it.
        episode: of that alert; they rise with each alert of the stream.
        score: of the alert.
        risk_level: of the alert.
        model_set: of the alert.
        policy: name and version of the policy that wanted it.
        reason: why, in a sentence.
        since_ms: from when, milliseconds since 1970.
        until_ms: to when.
    """

    server: str
    path: str
    stream_id: str
    tenant: str
    alert_id: UUID
    episode: int
    score: float
    risk_level: str
    model_set: str
    policy: str
    reason: str
    since_ms: int
    until_ms: int

    @property
    def name(self) -> str:
        """Server and path: what the lease is on."""
        return f"{self.server}/{self.path}"


_DENY: TypeAdapter[Deny] = TypeAdapter(Deny)


class DenyLeases:
    """All leases. Every step can be taken again, whenever it was broken off."""

    def __init__(self, client: "redis.asyncio.Redis", settings: RedisSettings) -> None:
        self._client = client
        self._prefix = settings.key_prefix
        self._lease = client.register_script(_LEASE)

    def _key(self, name: str) -> str:
        return f"{self._prefix}deny:{{{name}}}"

    def _of_stream(self, stream_id: str) -> str:
        return f"{self._prefix}{{{stream_id}}}:denied"

    @property
    def _due(self) -> str:
        return f"{self._prefix}denies"

    async def deny(self, deny: Deny, now_ms: int) -> Deny | None:
        """Let nobody publish under a name; return the deny in force, or none where this one is fenced off.

        Fenced off is an episode that was released or is older than the one in force, and every one while a person's
        word holds, see `lift`. The alert that denies already changes nothing: its time does not begin anew.

        Raises:
            Unavailable: Redis is away.
        """
        ttl_ms = max(1, deny.until_ms - now_ms) + _REMEMBERED_MS
        with typed_errors():
            # Where to find it goes first: a lease that nobody could find would never be lifted.
            await self._client.set(self._of_stream(deny.stream_id), deny.name, px=ttl_ms)
            await self._client.zadd(self._due, {deny.name: deny.until_ms}, lt=True)
            found = await self._lease(
                [self._key(deny.name)],
                ["deny", orjson.dumps(deny), str(deny.alert_id), deny.episode, deny.until_ms, now_ms, ttl_ms],
            )
            if found is None:
                return None
            in_force = _DENY.validate_json(found)
            await self._client.zadd(self._due, {deny.name: in_force.until_ms})
        return in_force

    async def find(self, server: str, path: str) -> Deny | None:
        """Return what keeps everybody from publishing under a name, also where its time is over.

        Raises:
            Unavailable: Redis is away.
        """
        return await self._named(f"{server}/{path}")

    async def of_stream(self, stream_id: str) -> Deny | None:
        """Return what keeps a stream from being published.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            name = await self._client.get(self._of_stream(stream_id))
        found = None if name is None else await self._named(_text(name))
        return found if found is not None and found.stream_id == stream_id else None

    async def lift(self, deny: Deny, hold_until_ms: int = 0) -> Deny | None:
        """Let its name be published under again; return what was in force of that episode or an older one, if anything.

        Args:
            deny: of which episode.
            hold_until_ms: until when nobody is to be denied under that name: a person has said so.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            found = await self._lease([self._key(deny.name)], ["lift", deny.episode, hold_until_ms, _REMEMBERED_MS])
        return None if found is None else _DENY.validate_json(found)

    async def forget_due(self, deny: Deny) -> None:
        """Note that what had to be done at the end of a deny is done.

        Raises:
            Unavailable: Redis is away.
        """
        newer = await self._named(deny.name)
        with typed_errors():
            if newer is None or newer.episode == deny.episode:
                await self._client.zrem(self._due, deny.name)

    async def due(self, now_ms: int, most: int = 100) -> list[Deny]:
        """Return denies whose time is over and that nobody has lifted yet, the oldest first.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            names = await self._client.zrangebyscore(self._due, "-inf", now_ms, start=0, num=most)
        over = []
        for name in [_text(name) for name in names if isinstance(name, bytes | str)]:
            found = await self._named(name)
            if found is None:
                with typed_errors():
                    await self._client.zrem(self._due, name)
            elif found.until_ms <= now_ms:
                over.append(found)
        return over

    async def _named(self, name: str) -> Deny | None:
        with typed_errors():
            found = await self._client.hget(self._key(name), "deny")
        return None if found is None else _DENY.validate_json(found)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
