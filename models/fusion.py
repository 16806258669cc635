"""From the logits of faces to a decision: axes judged apart, the worst track counts, a policy says what follows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models import advice
from models.axes import DetectorFacts, JudgedAxis, SignsByTrack, faces_by_track, judge_axis
from models.evidence import FrameEvidence
from models.fusion_weights import NOTHING_LEARNT, FusionTable
from models.kinds import kinds, telling
from models.locations import NOWHERE, Located, locate
from models.policy import Policy
from models.pooling import logit, pool, sigmoid
from schemas.verdict import (
    Axis,
    AxisScore,
    Label,
    ManipulationType,
    Recommendation,
    RiskLevel,
)

__all__ = [
    "DECIDING",
    "Decision",
    "DetectorFacts",
    "decide",
    "logit",
    "pool",
    "sigmoid",
]

_UNDECIDED: Mapping[Axis, str] = {
    Axis.MANIPULATION: "whether a face was altered is undecided: the score is neither high nor low enough",
    Axis.SYNTHETIC: "whether a face was generated is undecided: the score is neither high nor low enough",
}
DECIDING = (Axis.MANIPULATION, Axis.SYNTHETIC)
"""Liveness is told apart: a recording held before a camera may show an authentic face."""


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
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Every number in force, for `Reproduction.thresholds`: `axis.…`, `detector.…` and `fusion.…` (see
    `models.axes.JudgedAxis`), and `policy.authentic_below`."""
    track: int | None = None
    """The track that decided; none where no axis was judged."""
    located: Located = NOWHERE
    """Where in its face alteration was seen, where the verdict is manipulated."""


def decide(
    frames: Sequence[FrameEvidence],
    detectors: Sequence[DetectorFacts],
    policy: Policy,
    *,
    moving: bool,
    coverage: float,
    fusion: FusionTable = NOTHING_LEARNT,
    aspect: float | None = None,
    signs: SignsByTrack | None = None,
) -> Decision:
    """Return the decision on one piece of media.

    Args:
        frames: all that was looked at, faces with tracks.
        detectors: the detectors that were asked.
        policy: the numbers in force.
        moving: whether it is video.
        coverage: share of the media that could be read, 0 to 1.
        fusion: learnt weights of the detectors.
        aspect: width of the upright frame over its height; without it nothing is located in a face.
        signs: temporal signs, by track.
    """
    judged = {
        axis: found
        for axis in Axis
        if (found := judge_axis(axis, frames, detectors, policy, moving=moving, fusion=fusion, signs=signs)) is not None
    }
    thresholds = {"policy.authentic_below": policy.authentic_below}
    for found in judged.values():
        thresholds |= found.thresholds
    decided = _Decided(frames, policy, tuple(found.score for found in judged.values()), thresholds)
    deciding = [found for axis, found in judged.items() if axis in DECIDING]
    usable = sum(1 for frame in frames for face in frame.faces if face.quality.usable)
    if not deciding:
        return decided.inconclusive(_why_nothing(frames, detectors, policy, usable), None, None)
    worst = max(deciding, key=lambda found: found.score.score)
    score = worst.score.score
    risk = policy.risk(score)
    evidence = coverage * min(1.0, usable / (policy.full_evidence_faces if moving else 1))
    above = [found for found in deciding if found.score.score >= found.score.threshold]
    if above:
        return decided.manipulated(above, score, risk, evidence, moving=moving, aspect=aspect, signs=signs or {})
    if Axis.MANIPULATION not in judged:
        return decided.inconclusive(
            "the model set has no detector of altered faces",
            score,
            worst.track,
            check="Look at the faces for signs of alteration: no detector has.",
        )
    if score >= policy.authentic_below:
        return decided.inconclusive(_UNDECIDED[worst.score.axis], score, worst.track)
    missing = _missing(frames, policy, usable)
    if missing is not None:
        return decided.inconclusive(missing, score, worst.track)
    return Decision(
        label=Label.AUTHENTIC,
        score=score,
        confidence=(1.0 - score) * evidence,
        risk=risk,
        reason=None,
        axes=decided.axes,
        types=(),
        recommendation=advice.clear(
            frames, policy, next((axis for axis in decided.axes if axis.axis is Axis.LIVENESS), None)
        ),
        thresholds=thresholds,
        track=worst.track,
    )


@dataclass(frozen=True, slots=True)
class _Decided:
    """What every decision on the same evidence has in common."""

    frames: Sequence[FrameEvidence]
    policy: Policy
    axes: tuple[AxisScore, ...]
    thresholds: Mapping[str, float]

    def manipulated(
        self,
        above: Sequence[JudgedAxis],
        score: float,
        risk: RiskLevel,
        evidence: float,
        *,
        moving: bool,
        aspect: float | None,
        signs: SignsByTrack,
    ) -> Decision:
        scores = [found.score for found in above]
        first = max(above, key=lambda found: found.score.score)
        altered = next((found for found in above if found.score.axis is Axis.MANIPULATION), None)
        located = NOWHERE
        if altered is not None and aspect is not None:
            names = [detector.detector for detector in altered.score.detectors]
            located = locate(telling(faces_by_track(self.frames)[altered.track], names), aspect)
        of_track = {} if altered is None else signs.get(altered.track, {})
        return Decision(
            label=Label.MANIPULATED,
            score=score,
            confidence=max(axis.score for axis in scores) * evidence,
            risk=risk,
            reason=None,
            axes=self.axes,
            types=kinds(scores, located, moving=moving, signs=of_track),
            recommendation=advice.against(scores, self.policy, located, self.frames, first.track, moving=moving),
            thresholds=self.thresholds,
            track=first.track,
            located=located,
        )

    def inconclusive(self, reason: str, score: float | None, track: int | None, check: str | None = None) -> Decision:
        return Decision(
            label=Label.INCONCLUSIVE,
            score=score,
            confidence=0.0,
            risk=None if score is None else self.policy.risk(score),
            reason=reason,
            axes=self.axes,
            types=(),
            recommendation=advice.undecided(reason, self.frames, self.policy, check),
            thresholds=self.thresholds,
            track=track,
        )


def _why_nothing(
    frames: Sequence[FrameEvidence], detectors: Sequence[DetectorFacts], policy: Policy, usable: int
) -> str:
    if not usable:
        return _unseen(frames) or advice.why_unjudged(frames)
    if (silent := _unanswered(frames)) is not None:
        return silent
    names = {detector.name for detector in detectors if detector.axis in DECIDING}
    if any(names & face.logits.keys() for frame in frames for face in frame.faces):
        return f"no face was seen well in {policy.min_faces} frames or more"
    return "the model set has no detector for this detection level"


def _missing(frames: Sequence[FrameEvidence], policy: Policy, usable: int) -> str | None:
    """Say what is missing to clear media whose faces score low; none where nothing is."""
    found = sum(len(frame.faces) for frame in frames)
    if usable < policy.min_usable_share * found:
        return f"only {usable} of {found} faces could be judged"
    return _unanswered(frames)


def _unanswered(frames: Sequence[FrameEvidence]) -> str | None:
    """Say which detector answered with no number, if one did."""
    if (unseen := _unseen(frames)) is not None:
        return unseen
    counts = Counter(name for frame in frames for face in frame.faces for name in face.unanswered)
    if not counts:
        return None
    name, count = counts.most_common(1)[0]
    return f"{name} answered {count} face{'s' if count > 1 else ''} with no number"


def _unseen(frames: Sequence[FrameEvidence]) -> str | None:
    """Say that the face detector answered frames with no number, if it did."""
    unseen = [frame.unseen for frame in frames if frame.unseen]
    return (
        f"{unseen[0]} answered {len(unseen)} frame{'s' if len(unseen) > 1 else ''} with no number" if unseen else None
    )
