"""Blocking a stream: deny, kick, and look until it is gone. A kick alone is no block: publishers come back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Literal

from agents.blocking.exceptions import BlockingError, QuestionMalformed
from agents.blocking.leases import Deny, DenyLeases
from agents.blocking.names import publish_name
from agents.blocking.servers.server import LiveServer
from agents.runtime.deadline import Deadline
from agents.runtime.failpoints import reached
from agents.settings import BlockingSettings
from models.policy import Live
from schemas.identity import derive
from schemas.moderation import Action, Alert
from schemas.stream import StreamControl


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a stream is published."""

    server: str
    path: str


class Blocker:
    """Keeps publishers of streams out. Blocking again by the same alert changes nothing, and says the same.

    Args:
        leases: who is denied.
        servers: live servers, by name.
        settings: how long to try.
        now: the time.
        clock: seconds, monotonic.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        leases: DenyLeases,
        servers: Mapping[str, LiveServer],
        settings: BlockingSettings,
        now: Callable[[], datetime] = _now,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._leases = leases
        self._servers = servers
        self._settings = settings
        self._now = now
        self._clock = clock
        self._sleep = sleep

    async def block(self, alert: Alert, asked: StreamControl, live: Live) -> AsyncIterator[Action]:
        """Block a stream; yield what was done, as it is done: requested, denied, kicked, confirmed, or failed.

        Nothing is done, and nothing said, for an alert whose episode was released already, or where a person's word
        holds. A live server that does not answer leaves the denial in force.

        Args:
            alert: raised or escalated.
            asked: of the stream.
            live: the policy's.

        Raises:
            Unavailable: Redis is away.
        """
        place = self._place(asked)
        if isinstance(place, str):
            yield self._action(alert, "failed", asked.server or "live server", place)
            return
        target = f"{place.server}/{place.path}"
        now_ms = _milliseconds(self._now())
        deny = _deny(alert, asked, place, now_ms, now_ms + round(live.block_s * 1000))
        in_force = await self._leases.deny(deny, now_ms)
        reached("after-redis")
        if in_force is None:
            return
        yield self._action(alert, "requested", target, alert.reason)
        until = datetime.fromtimestamp(in_force.until_ms / 1000, UTC)
        yield self._action(alert, "denied", target, f"until {until.isoformat(timespec='seconds')}")
        async for action in self._throw_out(alert, place, target):
            yield action

    async def _throw_out(self, alert: Alert, place: _Place, target: str) -> AsyncIterator[Action]:
        server = self._servers[place.server]
        deadline = Deadline.after(self._settings.confirm_s, self._clock)
        kicked, trouble = False, "it publishes on"
        while True:
            try:
                count = await server.kick(place.path)
                if count and not kicked:
                    kicked = True
                    yield self._action(alert, "kicked", target, f"{count} publisher{'s' if count > 1 else ''}")
                if not await server.publishing(place.path):
                    yield self._action(alert, "confirmed", target, "nobody publishes there")
                    return
                trouble = "it publishes on"
            except BlockingError as error:
                trouble = str(error)
            if deadline.expired:
                yield self._action(alert, "failed", target, f"{trouble}; the denial stays in force")
                return
            await self._sleep(self._settings.poll_s)

    async def release(self, deny: Deny, hold_until_ms: int = 0) -> None:
        """Let a stream be published again. Released again, nothing changes.

        Args:
            deny: what kept it out.
            hold_until_ms: see `DenyLeases.lift`.

        Raises:
            Unavailable: Redis is away.
        """
        await self._leases.lift(deny, hold_until_ms)
        await self._leases.forget_due(deny)

    def released(self, deny: Deny, why: str) -> Action:
        """Return what a release is recorded as: to be published before it, or a crash between them would hide it."""
        return Action(
            action_id=derive("action", str(deny.alert_id), "release", "1"),
            alert_id=deny.alert_id,
            tenant=deny.tenant,
            subject=deny.stream_id,
            kind="release",
            state="released",
            target=deny.name,
            detail=why,
            at=self._now(),
        )

    def _place(self, asked: StreamControl) -> _Place | str:
        """Where a stream is published; in words why that is not known."""
        if asked.server is None and len(self._servers) != 1:
            return f"nobody said at which of {len(self._servers)} live servers it is published"
        name = asked.server or next(iter(self._servers))
        if name not in self._servers:
            return f"no live server {name!r} in blocking.servers"
        if asked.published_at is None:
            return "nobody said under which name it is published"
        try:
            return _Place(name, publish_name(asked.published_at))
        except QuestionMalformed as error:
            return str(error)

    def _action(
        self,
        alert: Alert,
        state: Literal["requested", "denied", "kicked", "confirmed", "failed"],
        target: str,
        detail: str,
    ) -> Action:
        return Action(
            action_id=derive("action", str(alert.alert_id), "block", "1"),
            alert_id=alert.alert_id,
            tenant=alert.tenant,
            subject=alert.subject,
            kind="block",
            state=state,
            target=target,
            detail=detail,
            at=self._now(),
        )


def _deny(alert: Alert, asked: StreamControl, place: _Place, since_ms: int, until_ms: int) -> Deny:
    return Deny(
        server=place.server,
        path=place.path,
        stream_id=asked.stream_id,
        tenant=alert.tenant,
        alert_id=alert.alert_id,
        episode=alert.episode,
        score=alert.score,
        risk_level=alert.risk_level,
        model_set=alert.model_set,
        policy=alert.policy,
        reason=alert.reason,
        since_ms=since_ms,
        until_ms=until_ms,
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
