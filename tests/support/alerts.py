"""Alerts as the frames agent publishes them."""

from datetime import UTC, datetime

from schemas.identity import alert_id
from schemas.media import ContentType
from schemas.moderation import Alert, Transition
from schemas.verdict import RiskLevel

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def stream_alert(
    stream_id: str,
    episode: int = 1,
    transition: Transition = Transition.RAISED,
    *,
    risk: RiskLevel = RiskLevel.HIGH,
    policy: str = "live-block/1",
    tenant: str = "default",
) -> Alert:
    """Return an alert of a stream."""
    return Alert(
        alert_id=alert_id(stream_id, episode, transition),
        tenant=tenant,
        subject=stream_id,
        content_id=stream_id,
        content_type=ContentType.STREAM,
        episode=episode,
        transition=transition,
        risk_level=risk,
        score=0.9,
        reason="A face looks altered.",
        model_set="models",
        policy=policy,
        at=AT,
    )
