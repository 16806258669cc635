"""One axis of a verdict: detectors fused for each track, and the worst track with enough evidence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum

from models.evidence import FaceEvidence, FrameEvidence
from models.fusion_weights import NOTHING_LEARNT, FusionTable, FusionWeights
from models.policy import AXIS_OF_ROLE, Combination, Part, Policy, rate_key
from models.pooling import logit, pool, sigmoid
from schemas.verdict import Axis, AxisScore, DetectorScore

SignsByTrack = Mapping[int, Mapping[str, float]]
"""Temporal signs, each 0 nothing to 1 strong, by name, by track."""

_CERTAIN = 1e-9
"""Probabilities are kept this far from 0 and 1 where they become logits again."""


@dataclass(frozen=True, slots=True)
class DetectorFacts:
    """What fusion needs to know of a detector."""

    name: str
    role: str
    threshold: float
    """Calibrated probability from which it speaks of manipulation."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """The same by the share of real faces that reach it, see `models.manifest.OutputSpec`."""

    @property
    def axis(self) -> Axis:
        """What it asks."""
        return AXIS_OF_ROLE[self.role]


@dataclass(frozen=True, slots=True)
class JudgedAxis:
    """An axis, the track that decides it, and the numbers in force."""

    score: AxisScore
    track: int
    """The worst track; of tracks that are judged by unlike thresholds, one that reaches its own goes first."""
    thresholds: Mapping[str, float]
    """By what they are of: `axis.…`, `detector.…`, `fusion.…`; with `@` and the rate where a policy's target chose."""


@dataclass(frozen=True, slots=True)
class _Threshold:
    probability: float
    sources: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Track:
    number: int
    logit: float
    threshold: _Threshold
    pooled: Mapping[str, float]
    """Logit by detector."""
    weights: Mapping[str, float]
    """By detector."""

    @property
    def above(self) -> bool:
        return sigmoid(self.logit) >= self.threshold.probability


def judge_axis(
    axis: Axis,
    frames: Sequence[FrameEvidence],
    detectors: Sequence[DetectorFacts],
    policy: Policy,
    *,
    moving: bool,
    fusion: FusionTable = NOTHING_LEARNT,
    signs: SignsByTrack | None = None,
) -> JudgedAxis | None:
    """Return the score of an axis by its worst track; none without a detector's answer or a track with enough faces.

    A track's logits are pooled for each detector, then fused: learnt weights were fitted on single faces, and hold for
    a track as for its typical face.

    Args:
        axis: what is asked.
        frames: all that was looked at.
        detectors: of any axis; those of this one count.
        policy: the numbers in force.
        moving: whether it is video.
        fusion: what was learnt.
        signs: temporal signs; only `Combination.WEIGHTED` uses them.
    """
    of_axis = [detector for detector in detectors if detector.axis is axis]
    faces = faces_by_track(frames)
    logits = {number: _logits(of_track, of_axis) for number, of_track in faces.items()}
    least = policy.min_faces if moving else 1
    tracks = [
        _judged(number, axis, faces[number], values, of_axis, policy, fusion, (signs or {}).get(number, {}))
        for number, values in logits.items()
        if max(map(len, values.values()), default=0) >= least
    ]
    if not tracks:
        return None
    worst = max(tracks, key=lambda track: track.logit)
    above = [track for track in tracks if track.above]
    deciding = max(above, key=lambda track: track.logit, default=worst)
    # A more suspicious track that is judged by a higher threshold does not clear the one that reaches its own.
    threshold = deciding.threshold.probability
    scores = tuple(
        DetectorScore(
            detector=detector.name,
            axis=axis,
            score=sigmoid(deciding.pooled[detector.name]),
            threshold=_of_detector(detector, policy)[1],
            weight=deciding.weights[detector.name],
            faces=sum(len(values.get(detector.name, ())) for values in logits.values()),
        )
        for detector in of_axis
        if detector.name in deciding.pooled
    )
    return JudgedAxis(
        AxisScore(axis=axis, score=sigmoid(worst.logit), threshold=threshold, detectors=scores),
        deciding.number,
        {f"axis.{axis}": threshold, **deciding.threshold.sources},
    )


def faces_by_track(frames: Iterable[FrameEvidence]) -> Mapping[int, Sequence[FaceEvidence]]:
    """Return the faces of each track, in order of time."""
    tracks: dict[int, list[FaceEvidence]] = {}
    for frame in frames:
        for face in frame.faces:
            tracks.setdefault(face.track, []).append(face)
    return tracks


def _logits(faces: Sequence[FaceEvidence], detectors: Sequence[DetectorFacts]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for face in faces:
        for detector in detectors:
            if detector.name in face.logits:
                values.setdefault(detector.name, []).append(face.logits[detector.name])
    return values


def _judged(
    number: int,
    axis: Axis,
    faces: Sequence[FaceEvidence],
    logits: Mapping[str, Sequence[float]],
    detectors: Sequence[DetectorFacts],
    policy: Policy,
    fusion: FusionTable,
    signs: Mapping[str, float],
) -> _Track:
    asked = [detector for detector in detectors if detector.name in logits]
    pooled = {name: pool(values, policy.top_share) for name, values in logits.items()}
    learnt = fusion.find(axis, pooled) if policy.learnt and policy.combination is Combination.CALIBRATED else None
    if learnt is not None:
        return _Track(number, learnt.logit(pooled), _threshold(axis, asked, policy, learnt), pooled, learnt.weights)
    weights = {detector.name: policy.role_weights[detector.role] for detector in asked}
    fused = fsum(weights[name] * value for name, value in pooled.items()) / fsum(weights.values())
    if policy.combination is Combination.WEIGHTED and axis is Axis.MANIPULATION:
        shares = _shares(faces, signs, policy)
        fused = _weighted(sigmoid(fused), shares)
    return _Track(number, fused, _threshold(axis, asked, policy, None), pooled, weights)


def _shares(
    faces: Sequence[FaceEvidence], signs: Mapping[str, float], policy: Policy
) -> Mapping[Part, tuple[float, float]]:
    """Weight and score of each part beside the detectors that was looked at: means over faces, and over findings."""
    by_face = [fsum(found.score for found in face.artifacts) / len(face.artifacts) for face in faces if face.artifacts]
    found = {Part.ARTIFACTS: by_face, Part.TEMPORAL: list(signs.values())}
    parts = {part: (policy.parts.get(part, 0.0), fsum(each) / len(each)) for part, each in found.items() if each}
    return {Part.DETECTORS: (policy.parts[Part.DETECTORS], 0.0), **parts}


def _weighted(probability: float, parts: Mapping[Part, tuple[float, float]]) -> float:
    """Return the logit of the weighted mean; weights of parts that were not looked at fall to the others."""
    total = fsum(weight for weight, _ in parts.values())
    own = parts[Part.DETECTORS][0] * probability
    mean = (own + fsum(weight * score for weight, score in parts.values())) / total
    return logit(min(max(mean, _CERTAIN), 1 - _CERTAIN))


def _threshold(
    axis: Axis, detectors: Sequence[DetectorFacts], policy: Policy, learnt: FusionWeights | None
) -> _Threshold:
    """Return the policy's own threshold, else that of the learnt fusion, else those of the detectors, weighed alike."""
    own = policy.thresholds.get(axis)
    of_detectors = [(_of_detector(detector, policy), policy.role_weights[detector.role]) for detector in detectors]
    sources = {source: value for (source, value), _ in of_detectors}
    if own is not None:
        return _Threshold(own, sources)
    if learnt is not None:
        source, value = _at_target(f"fusion.{axis}", learnt.threshold, learnt.thresholds, policy)
        return _Threshold(value, {**sources, source: value})
    total = fsum(weight for _, weight in of_detectors)
    return _Threshold(sigmoid(fsum(weight * logit(value) for (_, value), weight in of_detectors) / total), sources)


def _of_detector(detector: DetectorFacts, policy: Policy) -> tuple[str, float]:
    return _at_target(f"detector.{detector.name}", detector.threshold, detector.thresholds, policy)


def _at_target(source: str, default: float, thresholds: Mapping[str, float], policy: Policy) -> tuple[str, float]:
    """Return the threshold for the policy's target, or the default, and a name that says which it is."""
    if policy.target_false_positives is not None:
        key = rate_key(policy.target_false_positives)
        if key in thresholds:
            return f"{source}@{key}", thresholds[key]
    return source, default
