"""From the logits of faces to a decision: detectors fused, tracks pooled, the worst track counts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, exp, fsum, log

from models.evidence import FrameEvidence
from models.policy import AXIS_OF_ROLE, Policy
from schemas.verdict import (
    Axis,
    AxisScore,
    DetectorScore,
    Label,
    ManipulationKind,
    ManipulationType,
    Recommendation,
    RecommendedAction,
    RiskLevel,
    SuspiciousSegment,
)

DECIDING = (Axis.MANIPULATION, Axis.SYNTHETIC)
"""Liveness is told apart: a recording held before a camera may show an authentic face."""


@dataclass(frozen=True, slots=True)
class DetectorFacts:
    """What fusion needs to know of a detector."""

    name: str
    role: str
    threshold: float
    """Calibrated probability from which it speaks of manipulation."""

    @property
    def axis(self) -> Axis:
        """What it asks."""
        return AXIS_OF_ROLE[self.role]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the evidence says under a policy."""

    label: Label
    score: float | None
    confidence: float
    risk: RiskLevel | None
    reason: str | None
    axes: tuple[AxisScore, ...]
    types: tuple[ManipulationType, ...]
    recommendation: Recommendation


def sigmoid(logit: float) -> float:
    """Return the probability of a logit, in [0, 1]."""
    if logit >= 0:
        return 1.0 / (1.0 + exp(-logit))
    odds = exp(logit)
    return odds / (1.0 + odds)


def logit(probability: float) -> float:
    """Return the logit of a probability in (0, 1)."""
    return log(probability / (1.0 - probability))


def decide(
    frames: Sequence[FrameEvidence],
    detectors: Sequence[DetectorFacts],
    policy: Policy,
    *,
    moving: bool,
    coverage: float,
) -> Decision:
    """Return the decision on one piece of media.

    Args:
        frames: all that was looked at, faces with tracks.
        detectors: the detectors that were asked.
        policy: the numbers in force.
        moving: whether it is video.
        coverage: share of the media that could be read, 0 to 1.
    """
    axes = tuple(
        judged
        for axis in Axis
        if (judged := _axis_score(axis, frames, [d for d in detectors if d.axis is axis], policy)) is not None
    )
    deciding = [axis for axis in axes if axis.axis in DECIDING]
    usable = sum(1 for frame in frames for face in frame.faces if face.quality.usable)
    if not deciding:
        why = "the model set has no detector for this detection level" if usable else "no face was good enough to judge"
        return _inconclusive(why, None, None, axes)
    score = max(axis.score for axis in deciding)
    risk = policy.risk(score)
    evidence = coverage * min(1.0, usable / (policy.full_evidence_faces if moving else 1))
    above = [axis for axis in deciding if axis.score >= axis.threshold]
    if above:
        return Decision(
            label=Label.MANIPULATED,
            score=score,
            confidence=max(axis.score for axis in above) * evidence,
            risk=risk,
            reason=None,
            axes=axes,
            types=_types(above),
            recommendation=_advice_against(above, risk),
        )
    if Axis.MANIPULATION not in {axis.axis for axis in deciding}:
        return _inconclusive(
            "the model set has no detector of altered faces",
            score,
            risk,
            axes,
            check="Look at the faces for signs of alteration: no detector has.",
        )
    if score >= policy.authentic_below:
        return _inconclusive("the score is neither high nor low enough", score, risk, axes)
    return Decision(
        label=Label.AUTHENTIC,
        score=score,
        confidence=(1.0 - score) * evidence,
        risk=risk,
        reason=None,
        axes=axes,
        types=(),
        recommendation=Recommendation(
            action=RecommendedAction.ALLOW,
            reason="No sign of manipulation in the faces that could be judged.",
        ),
    )


def _axis_score(
    axis: Axis, frames: Sequence[FrameEvidence], detectors: Sequence[DetectorFacts], policy: Policy
) -> AxisScore | None:
    """Score an axis by its worst track; none without a detector or an admissible track."""
    tracks = _logits_by_track(frames, {detector.name for detector in detectors})
    weights = {detector.name: policy.role_weights[detector.role] for detector in detectors}
    fused: list[tuple[float, Mapping[str, float]]] = []
    for logits in tracks.values():
        if max(map(len, logits.values())) < policy.min_faces:
            continue
        of_track = {name: pool(values, policy.top_share) for name, values in logits.items()}
        total = fsum(weights[name] for name in of_track)
        if total > 0:
            fused.append((fsum(weights[name] * value for name, value in of_track.items()) / total, of_track))
    if not fused:
        return None
    worst, pooled = max(fused, key=lambda track: track[0])
    asked = [detector for detector in detectors if detector.name in pooled]
    threshold = policy.thresholds.get(axis)
    if threshold is None:
        total = fsum(weights[detector.name] for detector in asked)
        threshold = sigmoid(fsum(weights[detector.name] * logit(detector.threshold) for detector in asked) / total)
    return AxisScore(
        axis=axis,
        score=sigmoid(worst),
        threshold=threshold,
        detectors=tuple(
            DetectorScore(
                detector=detector.name,
                axis=axis,
                score=sigmoid(pooled[detector.name]),
                threshold=detector.threshold,
                weight=weights[detector.name],
                faces=sum(len(logits.get(detector.name, ())) for logits in tracks.values()),
            )
            for detector in asked
        ),
    )


def _logits_by_track(frames: Sequence[FrameEvidence], names: Iterable[str]) -> dict[int, dict[str, list[float]]]:
    wanted = set(names)
    tracks: dict[int, dict[str, list[float]]] = {}
    for frame in frames:
        for face in frame.faces:
            for name in wanted & face.logits.keys():
                tracks.setdefault(face.track, {}).setdefault(name, []).append(face.logits[name])
    return tracks


def pool(logits: Sequence[float], top_share: float) -> float:
    """Return the mean of a track's mean logit and of the mean of its highest `top_share`.

    A manipulation that lasts only part of the time still shows, and one wrong frame does not decide.
    """
    top = sorted(logits, reverse=True)[: max(1, ceil(top_share * len(logits)))]
    return 0.5 * (fsum(logits) / len(logits) + fsum(top) / len(top))


def _types(above: Sequence[AxisScore]) -> tuple[ManipulationType, ...]:
    """Share out the highest score among the axes that speak; how a face was altered is not known yet."""
    kinds = {Axis.MANIPULATION: ManipulationKind.UNKNOWN, Axis.SYNTHETIC: ManipulationKind.FULL_SYNTHESIS}
    total = fsum(axis.score for axis in above)
    highest = max(axis.score for axis in above)
    return tuple(ManipulationType(kind=kinds[axis.axis], probability=highest * axis.score / total) for axis in above)


def _advice_against(above: Sequence[AxisScore], risk: RiskLevel) -> Recommendation:
    what = {
        Axis.MANIPULATION: "a face looks altered",
        Axis.SYNTHETIC: "a face looks generated as a whole",
    }
    said = " and ".join(what[axis.axis] for axis in above)
    severe = risk in {RiskLevel.HIGH, RiskLevel.CRITICAL}
    return Recommendation(
        action=RecommendedAction.BLOCK if severe else RecommendedAction.REVIEW,
        reason=f"In the worst track {said}.",
        checks=(
            "Look at the most suspicious frames at full size.",
            "Compare with other media of the same person or uploader.",
            "Ask for the original file or its provenance record.",
        ),
    )


def _inconclusive(
    reason: str,
    score: float | None,
    risk: RiskLevel | None,
    axes: tuple[AxisScore, ...],
    check: str = "Look at the media; ask for a better copy where it is small, blurred or dark.",
) -> Decision:
    return Decision(
        label=Label.INCONCLUSIVE,
        score=score,
        confidence=0.0,
        risk=risk,
        reason=reason,
        axes=axes,
        types=(),
        recommendation=Recommendation(
            action=RecommendedAction.REVIEW,
            reason=f"Not decided: {reason}.",
            checks=(check,),
        ),
    )


def suspicious_segments(
    scored: Sequence[tuple[int, float]],
    threshold: float,
    interval_ms: int,
    risk: Callable[[float], RiskLevel],
) -> tuple[SuspiciousSegment, ...]:
    """Return the stretches of time whose frames score at or above `threshold`.

    Args:
        scored: presentation time in milliseconds and score of each scored frame, in order of time.
        threshold: calibrated probability.
        interval_ms: time between sampled frames; frames above it that lie within twice that are one stretch.
        risk: the band of a score.
    """
    runs: list[list[tuple[int, float]]] = []
    for pts_ms, score in scored:
        if score < threshold:
            continue
        if runs and pts_ms - runs[-1][-1][0] <= 2 * interval_ms:
            runs[-1].append((pts_ms, score))
        else:
            runs.append([(pts_ms, score)])
    segments = []
    for run in runs:
        scores = [score for _, score in run]
        mean = fsum(scores) / len(scores)
        segments.append(
            SuspiciousSegment(
                start_s=run[0][0] / 1000,
                end_s=(run[-1][0] + interval_ms) / 1000,
                severity=risk(mean),
                mean_score=mean,
                peak_score=max(scores),
                frames=len(run),
            )
        )
    return tuple(segments)
