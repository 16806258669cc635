"""Verdicts and alerts from what the segments found. Pure: the same results give the same verdict."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import version
from uuid import UUID

from agents.analysis import SegmentResult, joined
from agents.evidence_parts import (
    by_track,
    described,
    most_suspicious,
    quality_metrics,
    segment_analysis,
    strongest_artifacts,
    suspicious_segments,
    temporal_signs,
)
from agents.media.exceptions import MediaError
from agents.models_used import detector_facts, merged
from models.evidence import FrameEvidence
from models.fusion import DECIDING, Decision, decide, sigmoid
from models.fusion_weights import NOTHING_LEARNT, FusionTable
from models.inference.installed import installed_runtimes, the_runtime
from models.policy import Policy
from models.tracks import link
from schemas.identity import alert_id, verdict_id
from schemas.media import ContentType, DetectionLevel, MediaInfo, MediaUpload, Segment
from schemas.moderation import Alert, Picture, Transition, WindowStatistics
from schemas.verdict import (
    Label,
    Outcome,
    Recommendation,
    RecommendedAction,
    Reproduction,
    Timings,
    Verdict,
)

_LIBRARIES = ("av", "numpy", "opencv-python-headless", "pillow")
"""What touches pixels and scores, beside ONNX Runtime, which is one of several distributions."""

_OUTCOMES: Mapping[str, Outcome] = {
    "unreachable": Outcome.UNREACHABLE,
    "forbidden": Outcome.UNREACHABLE,
    "undecodable": Outcome.UNDECODABLE,
    "unsupported": Outcome.UNSUPPORTED,
    "too_large": Outcome.UNSUPPORTED,
}
"""What a kind of MediaError makes of an upload."""

_ALERTING = RecommendedAction.BLOCK
"""Uploads with this advice raise an alert."""


@cache
def _libraries() -> Mapping[str, str]:
    return {name: version(name) for name in (*_LIBRARIES, the_runtime(installed_runtimes()))}


def verdict(
    segment: Segment,
    results: Sequence[SegmentResult],
    policy: Policy,
    *,
    fusion: FusionTable = NOTHING_LEARNT,
    timeline_frames: int,
    now: datetime,
) -> Verdict:
    """Return the verdict on an upload.

    Args:
        segment: any of the upload's segments.
        results: one for each segment of the plan.
        policy: the numbers in force.
        fusion: how detectors of one axis are fused.
        timeline_frames: frames that a verdict without `detailed_timeline` carries.
        now: when the last result came.
    """
    read = [result for result in results if result.failure is None]
    frames = link(joined(read))
    coverage = len(read) / len(results)
    models = merged(result.models for result in results)
    detectors = detector_facts(models)
    moving = segment.content_type is ContentType.VIDEO
    aspect = segment.info.width / segment.info.height
    followed = moving and segment.upload.detection_level is DetectionLevel.ADVANCED
    signs = temporal_signs(frames, detectors, aspect=aspect) if followed else ()
    decision = decide(
        frames,
        detectors,
        policy,
        moving=moving,
        coverage=coverage,
        fusion=fusion,
        aspect=aspect,
        signs=by_track(signs),
    )
    outcome, reason = _outcome(results, frames, decision)
    analyses = described(frames, detectors)
    upload = segment.upload
    return Verdict(
        verdict_id=_verdict_id(segment),
        media_id=segment.media_id,
        content_id=upload.content_id,
        uploader_id=upload.uploader_id,
        tenant=upload.tenant,
        content_type=segment.content_type,
        detection_level=upload.detection_level,
        outcome=outcome,
        reason=reason,
        label=decision.label,
        manipulation_score=decision.score,
        confidence_score=decision.confidence,
        risk_level=decision.risk,
        axes=decision.axes,
        manipulation_types=decision.types,
        frames=tuple(analyses if upload.options.detailed_timeline else most_suspicious(analyses, timeline_frames)),
        segments=tuple(segment_analysis(result, detectors) for result in results),
        suspicious_segments=suspicious_segments(
            analyses,
            min((axis.threshold for axis in decision.axes if axis.axis in DECIDING), default=1.0),
            round(1000 / upload.options.sample_rate_fps),
            policy.risk,
        )
        if moving
        else (),
        artifacts=strongest_artifacts(frames),
        temporal_signs=signs,
        quality=quality_metrics(frames, coverage),
        recommendation=_advice(outcome, decision),
        media=segment.info,
        models=tuple(model.reported for model in models),
        reproduction=Reproduction(
            model_set="+".join(sorted({result.model_set for result in results})),
            plan_fingerprint=segment.plan_fingerprint,
            policy=policy.reference,
            preprocessing={model.name: model.preprocessing for model in models},
            thresholds=dict(decision.thresholds),
            libraries=dict(_libraries()),
        ),
        timings=_timings(segment, results),
        processing_time_ms=_milliseconds(segment.received_at, now),
        created_at=upload.uploaded_at,
    )


def unread(upload: MediaUpload, error: MediaError, policy: Policy, *, received_at: datetime, now: datetime) -> Verdict:
    """Return the typed verdict on media that could not even be planned."""
    outcome = _OUTCOMES[error.kind]
    return Verdict(
        verdict_id=verdict_id(upload.media_id, "whole", outcome, "none", policy.reference),
        media_id=upload.media_id,
        content_id=upload.content_id,
        uploader_id=upload.uploader_id,
        tenant=upload.tenant,
        content_type=None,
        detection_level=upload.detection_level,
        outcome=outcome,
        reason=error.reason,
        label=Label.INCONCLUSIVE,
        manipulation_score=None,
        confidence_score=0.0,
        risk_level=None,
        recommendation=_unread_advice(outcome),
        processing_time_ms=_milliseconds(received_at, now),
        created_at=upload.uploaded_at,
    )


def repeated(
    upload: MediaUpload, earlier: Verdict, info: MediaInfo, *, received_at: datetime, now: datetime
) -> Verdict:
    """Return the verdict on an upload whose bytes have one already."""
    reproduction = earlier.reproduction
    plan = reproduction.plan_fingerprint if reproduction else ""
    return earlier.model_copy(
        update={
            "verdict_id": verdict_id(upload.media_id, "repeat", plan, str(earlier.verdict_id), ""),
            "media_id": upload.media_id,
            "content_id": upload.content_id,
            "uploader_id": upload.uploader_id,
            "tenant": upload.tenant,
            "media": info,
            "reused_from": earlier.reused_from or earlier.verdict_id,
            "timings": Timings(plan_ms=_milliseconds(received_at, now)),
            "processing_time_ms": _milliseconds(received_at, now),
            "created_at": upload.uploaded_at,
        }
    )


def alert(verdict: Verdict, results: Sequence[SegmentResult] = ()) -> Alert | None:
    """Return the alert that a verdict on an upload raises, if it does.

    Args:
        verdict: on the upload.
        results: of its segments; the most altered face in them is shown.
    """
    if verdict.recommendation.action is not _ALERTING or verdict.manipulation_score is None:
        return None
    if verdict.risk_level is None or verdict.content_type is None or verdict.reproduction is None:
        return None
    scores = [frame.score for frame in verdict.frames if frame.score is not None]
    times = [frame.pts_ms for frame in verdict.frames if frame.score is not None]
    return Alert(
        alert_id=alert_id(str(verdict.media_id), 0, Transition.RAISED),
        tenant=verdict.tenant,
        subject=str(verdict.media_id),
        content_id=verdict.content_id,
        content_type=verdict.content_type,
        episode=0,
        transition=Transition.RAISED,
        risk_level=verdict.risk_level,
        score=verdict.manipulation_score,
        reason=verdict.recommendation.reason,
        window=WindowStatistics(
            frames=len(scores),
            faces=sum(1 for frame in verdict.frames for face in frame.faces if face.scores),
            mean_score=sum(scores) / len(scores),
            peak_score=max(scores),
            start_ms=min(times),
            end_ms=max(times),
        )
        if scores
        else None,
        picture=_picture(results),
        verdict_id=verdict.verdict_id,
        model_set=verdict.reproduction.model_set,
        policy=verdict.reproduction.policy,
        at=verdict.created_at,
    )


def _picture(results: Sequence[SegmentResult]) -> Picture | None:
    shown = max(
        (result.worst for result in results if result.worst is not None), key=lambda face: face.logit, default=None
    )
    if shown is None:
        return None
    return Picture(pts_ms=shown.pts_ms, score=sigmoid(shown.logit), jpeg=shown.jpeg)


def _verdict_id(segment: Segment) -> UUID:
    return verdict_id(segment.media_id, "whole", segment.plan_fingerprint, segment.model_set, segment.policy)


def _outcome(
    results: Sequence[SegmentResult], frames: Sequence[FrameEvidence], decision: Decision
) -> tuple[Outcome, str | None]:
    failures = [result.failure for result in results if result.failure is not None]
    if len(failures) == len(results):
        return _OUTCOMES[failures[0].kind], failures[0].reason
    if not frames:
        return Outcome.UNDECODABLE, "no frame could be decoded"
    if not any(frame.faces or frame.unseen for frame in frames):
        return Outcome.NO_FACE, "no face was found in the frames that were looked at"
    return Outcome.SCORED, decision.reason


def _advice(outcome: Outcome, decision: Decision) -> Recommendation:
    if outcome is Outcome.SCORED:
        return decision.recommendation
    if outcome is Outcome.NO_FACE:
        return Recommendation(
            action=RecommendedAction.ALLOW, reason="There is no face to judge; other media are not examined."
        )
    return _unread_advice(outcome)


def _unread_advice(outcome: Outcome) -> Recommendation:
    reasons = {
        Outcome.UNREACHABLE: "The media could not be had.",
        Outcome.UNDECODABLE: "The media cannot be decoded.",
        Outcome.UNSUPPORTED: "The media is of a kind or size that is not examined.",
    }
    return Recommendation(
        action=RecommendedAction.REVIEW,
        reason=reasons[outcome],
        checks=("Check the upload; publish the event again when the media can be read.",),
    )


def _timings(segment: Segment, results: Sequence[SegmentResult]) -> Timings:
    def total(stage: str) -> float:
        return 1000 * sum(result.seconds.get(stage, 0.0) for result in results)

    first = min(result.started_at_ms for result in results)
    return Timings(
        queued_ms=max(0.0, first - segment.planned_at.timestamp() * 1000),
        plan_ms=segment.plan_ms,
        fetch_ms=total("fetch"),
        decode_ms=total("decode"),
        faces_ms=total("faces"),
        score_ms=total("score"),
    )


def _milliseconds(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds() * 1000)
