"""The hooks agent: alerts are acted on, by policy. Streams are blocked and released, people and platforms are told."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal

from agents.blocking.blocker import Blocker
from agents.blocking.leases import Deny, DenyLeases
from agents.blocking.servers.catalogue import live_servers
from agents.keyvalue import connect, connect_asyncio
from agents.live.asked import StreamsAsked
from agents.live.stream import unasked
from agents.live.stream_window import StreamWindows
from agents.notifying.deliverer import Deliverer
from agents.notifying.guarded_http import GuardedHttp, HttpRules
from agents.notifying.mail import Mailer
from agents.notifying.outcomes import Delivered, Later
from agents.notifying.retries import RetryPolicy, retry_of
from agents.notifying.targets import Target, Targets
from agents.policies import policy_book
from agents.runtime.exceptions import Reject
from agents.runtime.faust_service import FaustService
from agents.runtime.messages import Incoming
from agents.runtime.metrics import Metrics
from agents.runtime.trace import traceparent
from agents.settings import Settings
from models.exceptions import PolicyUnknown
from models.policy import Live, LiveAction
from schemas.event import Event
from schemas.identity import alert_id, derive
from schemas.media import ContentType
from schemas.moderation import Action, Alert, Review, Transition
from schemas.stream import StreamControl
from schemas.verdict import Label, RiskLevel
from topics import catalogue
from topics.catalogue import Topic, topic_named
from topics.exceptions import MessageInvalid
from topics.serialisation import RawMessage, encode

_log = logging.getLogger(__name__)

_AT_ONCE = 32
"""Alerts that are acted on side by side."""
_RETRIES_AT_ONCE = 64
_SEVERITY = tuple(RiskLevel)


def _now() -> datetime:
    return datetime.now(UTC)


class Hooks(FaustService):
    """Acts on `deepfake.alerts` and on reviews. Whatever is done again has the same ids, and is known by them.

    Raises:
        PolicyError: the policies of the settings cannot be used.
        SecretUnusable: a webhook's secret cannot be.
    """

    agent: ClassVar[str] = "hooks"

    def __init__(self, settings: Settings, metrics: Metrics, now: Callable[[], datetime] = _now) -> None:
        super().__init__(self.agent, settings, metrics, self._open, self._close)
        hooks = settings.hooks
        self._hooks = hooks
        self._told = metrics
        self._now = now
        self._policies = policy_book(settings.policies)
        self._targets = Targets(hooks)
        self._retries = RetryPolicy(give_up_after=timedelta(seconds=hooks.give_up_after_s))
        client = connect(settings.redis)
        self._asked = StreamsAsked(client, settings.redis)
        self._windows = StreamWindows(client, settings.redis)
        self._redis = connect_asyncio(settings.redis)
        self._leases = DenyLeases(self._redis, settings.redis)
        self._blocker = Blocker(self._leases, live_servers(settings.blocking), settings.blocking, now)
        self._http = GuardedHttp(HttpRules(hooks.allow_http, frozenset(hooks.private_hosts), hooks.timeout_s))
        self._deliverer = Deliverer(self._http, Mailer(hooks.smtp) if hooks.smtp.host else None, now)
        # Two of the same topic, so that no block waits for a webhook.
        self.handle(catalogue.ALERTS, "block", self._block, at_once=_AT_ONCE)
        self.handle(catalogue.ALERTS, "tell", self._tell, at_once=_AT_ONCE)
        for tier in catalogue.ALERTS.retry_delays:
            topic = _retry_topic(tier)
            self.handle(topic, topic.name, self._tell_again, at_once=_RETRIES_AT_ONCE, origin=catalogue.ALERTS)
        self.handle(catalogue.REVIEWS, "review", self._review)
        self.every(hooks.sweep_s, self._sweep)

    async def _open(self) -> None:
        await self._http.open()

    async def _close(self) -> None:
        await self._http.close()
        await self._redis.aclose()

    def _live(self, alert: Alert) -> Live:
        """What the alert's policy says of live streams; of one that is not known here, what the tenant's says."""
        try:
            return self._policies.find(alert.policy).live
        except PolicyUnknown:
            return self._policies.for_content(alert.tenant, alert.content_type).live

    async def _asked_of(self, alert: Alert) -> StreamControl:
        found = await asyncio.to_thread(self._asked.find, alert.subject)
        return found or unasked(alert.subject, alert.at)

    async def _block(self, message: Incoming) -> None:
        try:
            alert = message.event(Alert)
        except Reject:
            return  # The other handler of the topic makes it a dead letter.
        live = self._live(alert)
        if alert.content_type is not ContentType.STREAM or alert.transition is Transition.CLEARED:
            return
        if live.action is not LiveAction.BLOCK or _SEVERITY.index(alert.risk_level) < _SEVERITY.index(live.block_from):
            return
        async for action in self._blocker.block(alert, await self._asked_of(alert), live):
            _log.info("%s: block of %s: %s %s", alert.subject, action.target, action.state, action.detail)
            await self._say(catalogue.ACTIONS, action, message)

    async def _tell(self, message: Incoming) -> None:
        alert = message.event(Alert)
        targets = await self._whom(alert)
        if message.timestamp_ms:
            waited = self._now().timestamp() - message.timestamp_ms / 1000
            self._told.hook_wait_seconds.observe(max(0.0, waited))
        first_at = self._now()
        await asyncio.gather(*(self._deliver(target, alert, message, 1, first_at) for target in targets))

    async def _whom(self, alert: Alert) -> "list[Target]":
        if alert.content_type is not ContentType.STREAM:
            return list(self._targets.of(alert, None))
        if self._live(alert).action is LiveAction.OBSERVE:
            return []
        return list(self._targets.of(alert, (await self._asked_of(alert)).callback))

    async def _tell_again(self, message: Incoming) -> None:
        try:
            retry = retry_of(message.headers)
        except MessageInvalid as error:
            raise Reject(error.reason, str(error)) from error
        self._told.hook_waiting.inc()
        try:
            await self.waits((retry.due_at - self._now()).total_seconds())
        finally:
            self._told.hook_waiting.dec()
        alert = message.event(Alert)
        target = next((each for each in await self._whom(alert) if each.id == retry.target), None)
        if target is None:
            raise Reject("undeliverable", f"{retry.target}: the settings name it no more")
        await self._deliver(target, alert, message, retry.attempt, retry.first_at)

    async def _deliver(self, target: Target, alert: Alert, message: Incoming, attempt: int, first_at: datetime) -> None:
        """Try once; then say what came of it, and see to it that it is tried again, or kept as a dead letter."""
        outcome = await self._deliverer.deliver(target, alert)
        kind = type(outcome).__name__.lower()
        self._told.hook_deliveries.labels(target.kind, kind).inc()
        if isinstance(outcome, Delivered):
            await self._say(
                catalogue.ACTIONS, self._action(target, alert, attempt, "delivered", outcome.detail), message
            )
            return
        again = None
        if isinstance(outcome, Later):
            again = self._retries.again(target.id, attempt, first_at, self._now(), outcome.asked_s)
        if again is None:
            why = f"{target.id}: {outcome.why}; given up after {attempt} attempts"
            await self.bury(message, Reject("undeliverable", why), attempt)
            detail = f"{outcome.why}; given up"
        else:
            retry, tier = again
            kept = RawMessage(message.key, message.value, {**message.headers, **retry.headers()})
            await self.publish(_retry_topic(tier), kept)
            detail = f"{outcome.why}; again at {retry.due_at.isoformat(timespec='seconds')}"
        await self._say(catalogue.ACTIONS, self._action(target, alert, attempt, "failed", detail), message)

    def _action(
        self, target: Target, alert: Alert, attempt: int, state: Literal["delivered", "failed"], detail: str
    ) -> Action:
        return Action(
            action_id=derive("action", str(alert.alert_id), target.id, str(attempt)),
            alert_id=alert.alert_id,
            tenant=alert.tenant,
            subject=alert.subject,
            kind=target.kind,
            state=state,
            target=target.place,
            attempt=attempt,
            detail=detail,
            at=self._now(),
        )

    async def _review(self, message: Incoming) -> None:
        review = message.event(Review)
        if review.label is not Label.AUTHENTIC:
            return
        deny = await self._leases.of_stream(review.content_id)
        # Of a moderator of another tenant nothing is taken.
        if deny is None or deny.tenant != review.tenant:
            return
        hold_until = self._now() + timedelta(seconds=self._hooks.hold_off_s)
        await self._release(deny, f"{review.reviewer_id} says it is authentic", hold_until, message)

    async def _sweep(self) -> None:
        """Release what is blocked for long enough."""
        now = self._now()
        for deny in await self._leases.due(int(now.timestamp() * 1000)):
            await self._release(deny, "its time is over", None, None)
        self.health.back("redis")

    async def _release(self, deny: Deny, why: str, hold_until: datetime | None, message: Incoming | None) -> None:
        """Say so first: broken off in between, it is said again, and not forgotten."""
        _log.info("%s is released: %s", deny.name, why)
        await self._say(catalogue.ALERTS, _cleared(deny, why, self._now()), message)
        await self._say(catalogue.ACTIONS, self._blocker.released(deny, why), message)
        await self._blocker.release(deny, 0 if hold_until is None else int(hold_until.timestamp() * 1000))
        await asyncio.to_thread(self._windows.lift, deny.stream_id, deny.episode)

    async def _say(self, topic: Topic, event: Event, cause: Incoming | None) -> None:
        await self.publish(topic, encode(event, None if cause is None else traceparent(cause)))


def _retry_topic(tier: timedelta) -> Topic:
    return topic_named(f"{catalogue.ALERTS.name}.retry.{int(tier.total_seconds())}s")


def _cleared(deny: Deny, why: str, at: datetime) -> Alert:
    return Alert(
        alert_id=alert_id(deny.stream_id, deny.episode, Transition.CLEARED),
        tenant=deny.tenant,
        subject=deny.stream_id,
        content_id=deny.stream_id,
        content_type=ContentType.STREAM,
        episode=deny.episode,
        transition=Transition.CLEARED,
        risk_level=RiskLevel(deny.risk_level),
        score=deny.score,
        reason=f"The block is lifted: {why}.",
        model_set=deny.model_set,
        policy=deny.policy,
        at=at,
    )
