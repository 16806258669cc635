"""What is published of a stream: rolling verdicts, and the transitions of its alert. Pure."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from agents.live.scorer import StreamScored
from agents.live.stream import Stream
from agents.live.stream_window import Moved, Outcome as WindowOutcome, PastFrame, VerdictDue
from agents.live.worst_faces import LiveFace
from models.policy import Policy
from models.pooling import sigmoid
from schemas.identity import alert_id, verdict_id
from schemas.media import ContentType
from schemas.moderation import Alert, Moment, Picture, Transition, WindowStatistics
from schemas.verdict import (
    Axis,
    Label,
    Outcome,
    Recommendation,
    RecommendedAction,
    Reproduction,
    RiskLevel,
    Verdict,
)

TIMELINE = 120
"""Frames in an alert's time line."""
_UNDECIDED = "whether a face was altered is undecided: the score is neither high nor low enough"
_PLAN = "live"
"""What verdicts on streams cite as their plan: there is none."""


def stream_alert(
    stream: Stream,
    moved: Moved,
    window: WindowOutcome,
    model_set: str,
    *,
    timeline: Sequence[PastFrame] = (),
    faces: Sequence[LiveFace] = (),
    evidence: Sequence[str] = (),
) -> Alert:
    """Return the alert of a transition. The same transition always has the same id.

    Args:
        stream: whose it is.
        moved: the transition.
        window: as it is now.
        model_set: fingerprint of the models that scored the frame which led to it.
        timeline: latest frames of the window.
        faces: the worst ones, the worst first.
        evidence: keys of their pictures in the evidence store.
    """
    risk = _band(moved.band, stream.policy)
    # An alert escalates once for each band.
    transition = f"{moved.transition}/{risk}" if moved.transition is Transition.ESCALATED else moved.transition.value
    worst = next(iter(faces), None)
    return Alert(
        alert_id=alert_id(stream.id, moved.episode, transition),
        tenant=stream.asked.tenant,
        subject=stream.id,
        content_id=stream.id,
        content_type=ContentType.STREAM,
        episode=moved.episode,
        transition=moved.transition,
        risk_level=risk,
        score=moved.score,
        reason=_reason(stream, moved, window, risk),
        window=WindowStatistics(
            frames=window.frames,
            faces=window.faces,
            mean_score=min(1.0, window.mean),
            peak_score=min(1.0, window.peak),
            start_ms=window.start_ms,
            end_ms=window.end_ms,
        ),
        timeline=tuple(Moment(at_ms=frame.captured_ms, seq=frame.seq, score=frame.score) for frame in timeline),
        evidence=tuple(evidence),
        picture=None
        if worst is None
        else Picture(pts_ms=worst.pts_ms, score=sigmoid(worst.logit), jpeg=b64encode(worst.jpeg).decode()),
        model_set=model_set,
        policy=stream.policy.reference,
        at=_moment(moved.at_ms),
    )


def stream_verdict(
    stream: Stream, due: VerdictDue, window: WindowOutcome, found: StreamScored, *, now: datetime
) -> Verdict:
    """Return the rolling verdict on a stream. The same stretch of time always has the same id.

    Args:
        stream: which.
        due: the end of a stretch.
        window: as it is now.
        found: what scored the frame that ended the stretch.
        now: the time.
    """
    asked, policy = stream.asked, stream.policy
    outcome, label, reason = _judged(stream, due.score, window)
    risk = None if due.score is None else policy.risk(due.score)
    name = _window_name(stream, due)
    evidence = min(1.0, window.faces / policy.full_evidence_faces)
    at = _moment(due.at_ms)
    return Verdict(
        verdict_id=_verdict_id(stream, name, found.model_set),
        media_id=stream.media_id,
        content_id=stream.id,
        uploader_id=asked.uploader_id or stream.id,
        tenant=asked.tenant,
        content_type=ContentType.STREAM,
        detection_level=asked.detection_level,
        window=name,
        outcome=outcome,
        reason=reason,
        label=label,
        manipulation_score=due.score,
        confidence_score=_confidence(label, due.score) * evidence,
        risk_level=risk,
        recommendation=_advice(label, risk, policy),
        models=tuple(model.reported for model in found.models),
        reproduction=Reproduction(
            model_set=found.model_set,
            plan_fingerprint=_PLAN,
            policy=policy.reference,
            preprocessing={model.name: model.preprocessing for model in found.models},
            thresholds={
                "live.enter": stream.rules.enter,
                "live.exit": stream.rules.exit,
                "policy.authentic_below": policy.authentic_below,
            },
            libraries={},
        ),
        processing_time_ms=max(0.0, (now - at).total_seconds() * 1000),
        created_at=at,
    )


def _judged(stream: Stream, score: float | None, window: WindowOutcome) -> tuple[Outcome, Label, str | None]:
    if window.unread == window.frames:
        return Outcome.UNDECODABLE, Label.INCONCLUSIVE, "none of the frames could be read"
    unread = f"{window.unread} of {window.frames} frames could not be read" if window.unread else None
    if not window.faces:
        return Outcome.NO_FACE, Label.INCONCLUSIVE, _joined("no face could be judged", unread)
    if score is None:
        few = f"no face was seen well in {stream.rules.min_faces} frames or more"
        return Outcome.SCORED, Label.INCONCLUSIVE, _joined(few, unread)
    label, reason = Label.AUTHENTIC, unread
    if score >= stream.rules.enter:
        label = Label.MANIPULATED
    elif score >= stream.policy.authentic_below:
        label, reason = Label.INCONCLUSIVE, _joined(_UNDECIDED, unread)
    elif unread is not None:
        label = Label.INCONCLUSIVE
    return Outcome.SCORED, label, reason


def _joined(*reasons: str | None) -> str:
    return "; ".join(reason for reason in reasons if reason)


def _confidence(label: Label, score: float | None) -> float:
    if label is Label.INCONCLUSIVE or score is None:
        return 0.0
    return score if label is Label.MANIPULATED else 1.0 - score


def _advice(label: Label, risk: RiskLevel | None, policy: Policy) -> Recommendation:
    if label is Label.MANIPULATED and risk is not None:
        return Recommendation(
            action=policy.advice.against(Axis.MANIPULATION, risk),
            reason="A face in the stream looks altered.",
            checks=("Look at the alert's time line and pictures.",),
        )
    if label is Label.AUTHENTIC:
        return Recommendation(action=RecommendedAction.ALLOW, reason="No face in the stream looks altered.")
    return Recommendation(
        action=policy.advice.inconclusive,
        reason="What was seen of the stream does not suffice.",
        checks=("Look at the stream.",),
    )


def _reason(stream: Stream, moved: Moved, window: WindowOutcome, risk: RiskLevel) -> str:
    if moved.transition is Transition.CLEARED:
        return (
            f"The score has stayed below {stream.rules.exit:g} for {stream.rules.cooldown_ms / 1000:g} s; "
            f"it is {moved.score:.2f}."
        )
    seconds = (window.end_ms - window.start_ms) / 1000
    return (
        f"A face looks altered ({risk} risk, score {moved.score:.2f}) in the last {seconds:.0f} s of the stream: "
        f"{window.faces} faces were judged in {window.frames} frames."
    )


def _band(band: int, policy: Policy) -> RiskLevel:
    return list(reversed(policy.risk_bands))[max(0, band - 1)][1]


def _window_name(stream: Stream, due: VerdictDue) -> str:
    """The window as ISO 8601 interval: its length, and the stretch's end."""
    every = stream.rules.verdict_ms
    end = datetime.fromtimestamp(due.at_ms // every * every / 1000, UTC)
    return f"PT{stream.rules.buffer_ms / 1000:g}S/{end.isoformat(timespec='milliseconds')}"


def _verdict_id(stream: Stream, window: str, model_set: str) -> UUID:
    return verdict_id(stream.media_id, window, _PLAN, model_set, stream.policy.reference)


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
