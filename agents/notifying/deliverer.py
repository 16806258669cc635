"""One attempt to tell one target of one alert."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

import orjson

from agents.notifying.guarded_http import GuardedHttp
from agents.notifying.mail import Mailer
from agents.notifying.outcomes import Later, Never, Outcome
from agents.notifying.signing import signature
from agents.notifying.targets import Target
from agents.notifying.wording import headline
from schemas.identity import derive
from schemas.moderation import Alert

_SILENT_AFTER = 3
"""Failures in a row after which a target is left alone for a while."""
_ALONE_S = 30.0


@dataclass(slots=True)
class _Standing:
    failures: int = 0
    alone_until: float = 0.0


class Deliverer:
    """Tells targets. One that fails again and again is left alone for half a minute: its retries hinder nobody.

    Args:
        http: for webhooks and chats.
        mailer: for mailboxes; none where no SMTP server is set.
        now: the time.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        http: GuardedHttp,
        mailer: Mailer | None,
        now: Callable[[], datetime],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._http = http
        self._mailer = mailer
        self._now = now
        self._clock = clock
        self._standings: defaultdict[str, _Standing] = defaultdict(_Standing)

    async def deliver(self, target: Target, alert: Alert) -> Outcome:
        """Try once, in bounded time; never raises for anything that the other side does."""
        standing = self._standings[target.id]
        if self._clock() < standing.alone_until:
            return Later("it has not answered lately")
        outcome = await self._try(target, alert)
        if isinstance(outcome, Later):
            standing.failures += 1
            if standing.failures >= _SILENT_AFTER:
                standing.alone_until = self._clock() + _ALONE_S
                standing.failures = _SILENT_AFTER - 1
        else:
            standing.failures = 0
        return outcome

    async def _try(self, target: Target, alert: Alert) -> Outcome:
        message_id = delivery_id(target, alert)
        if target.kind == "email":
            if self._mailer is None:
                return Never("no SMTP server is set")
            return await self._mailer.send(target.address, alert, message_id)
        url = target.url.get_secret_value()
        if target.kind == "notify":
            text = orjson.dumps({"text": f"{headline(alert)}. {alert.reason}"})
            return await self._http.post(url, text, {"Content-Type": "application/json"})
        body = webhook_body(alert)
        moment = int(self._now().timestamp())
        return await self._http.post(
            url,
            body,
            {
                "Content-Type": "application/json",
                "User-Agent": "deepfake-fleet",
                "webhook-id": message_id,
                "webhook-timestamp": str(moment),
                "webhook-signature": signature(target.keys, message_id, moment, body),
            },
        )


def delivery_id(target: Target, alert: Alert) -> str:
    """Return the id of a delivery, the same at every attempt: who receives it twice can tell."""
    return f"msg_{derive('delivery', str(alert.alert_id), target.id).hex}"


def webhook_body(alert: Alert) -> bytes:
    """Return the body of a webhook: `type`, `timestamp` and `data`, as Standard Webhooks recommends."""
    return orjson.dumps(
        {
            "type": f"deepfake.alert.{alert.transition}",
            "timestamp": alert.at.isoformat(),
            "data": alert.model_dump(mode="json"),
        }
    )
