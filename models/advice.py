"""What is recommended, and why: in words that name the evidence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import fsum

from models.evidence import FaceEvidence, FrameEvidence, Quality
from models.locations import Located, Location
from models.policy import Policy
from models.quality import DEFAULT_GATE, QualityGate
from schemas.verdict import Axis, AxisScore, Recommendation, RecommendedAction

_WHAT: Mapping[Axis, str] = {
    Axis.MANIPULATION: "a face looks altered",
    Axis.SYNTHETIC: "a face looks generated as a whole",
}
_WHERE: Mapping[Location, str] = {
    Location.WHOLE: "over the whole inner face",
    Location.LOWER: "from the nose to the chin",
    Location.MOUTH: "around the mouth",
    Location.EYES: "around the eyes",
    Location.NOSE: "around the nose",
}
_SHOWN_ARTIFACT = 0.5
"""Mean score over a track's faces from which an artifact is pointed at."""
_SHOWN_MOMENTS = 3
_SEVERITY = tuple(RecommendedAction)


def problems(face: Quality, gate: QualityGate = DEFAULT_GATE) -> tuple[str, ...]:
    """Return in words what keeps a face from being judged, the coarsest first; see `models.quality.QualityGate`."""
    failing = {
        "too small": face.size_px < gate.size_px,
        "too blurred": face.sharpness < gate.sharpness,
        "too dark or burnt out": face.exposure < gate.exposure,
        "turned too far away": face.frontality < gate.frontality,
        "too flat in contrast": face.contrast < gate.contrast,
        "too noisy": face.noise > gate.most_noise,
        "covered": face.occlusion > gate.most_occlusion,
    }
    return tuple(problem for problem, fails in failing.items() if fails)


def commonest_problem(faces: Sequence[FaceEvidence], gate: QualityGate = DEFAULT_GATE) -> tuple[str, int] | None:
    """Return what is wrong with most of the unusable faces, and with how many; none where nothing is known."""
    counts = Counter(problem for face in faces if not face.quality.usable for problem in problems(face.quality, gate))
    return counts.most_common(1)[0] if counts else None


def why_unjudged(frames: Sequence[FrameEvidence]) -> str:
    """Return why no face could be judged."""
    faces = [face for frame in frames for face in frame.faces]
    found = commonest_problem(faces)
    if found is None:
        return "no face was good enough to judge"
    problem, count = found
    return f"no face was good enough to judge: {problem} in {count} of {len(faces)}"


def against(
    above: Sequence[AxisScore],
    policy: Policy,
    located: Located,
    frames: Sequence[FrameEvidence],
    track: int,
    *,
    moving: bool,
) -> Recommendation:
    """Return what is recommended against media that axes call manipulated.

    Args:
        above: those axes.
        policy: the severest action that it has for one of them counts.
        located: where alteration was seen.
        frames: all that was looked at.
        track: the one that decided.
        moving: whether it is video.
    """
    actions = [policy.advice.against(axis.axis, policy.risk(axis.score)) for axis in above]
    where = _WHERE.get(located.location, "")
    said = " and ".join(
        f"{_WHAT[axis.axis]}{f' {where}' if where and axis.axis is Axis.MANIPULATION else ''} ({_because(axis)})"
        for axis in above
    )
    return Recommendation(
        action=max(actions, key=_SEVERITY.index),
        reason=f"In the worst track {said}.",
        checks=(
            _look(located, frames, track, above, moving=moving),
            *_artifacts(frames, track),
            *_unjudged(frames),
            "Compare with other media of the same person or uploader.",
            "Ask for the original file or its provenance record.",
        ),
    )


def clear(frames: Sequence[FrameEvidence], policy: Policy, liveness: AxisScore | None) -> Recommendation:
    """Return what is recommended for authentic media; `liveness` is the axis, if it was asked."""
    if liveness is not None and liveness.score >= liveness.threshold:
        return Recommendation(
            action=policy.advice.liveness,
            reason=f"No sign of manipulation, but it may be a recording held before a camera ({_because(liveness)}).",
            checks=("Look for the edge or the grid of a screen.", *_unjudged(frames)),
        )
    return Recommendation(
        action=RecommendedAction.ALLOW,
        reason="No sign of manipulation in the faces that could be judged.",
        checks=_unjudged(frames),
    )


def undecided(reason: str, frames: Sequence[FrameEvidence], policy: Policy, check: str | None = None) -> Recommendation:
    """Return what is recommended where no label was given."""
    poor = any(not face.quality.usable for frame in frames for face in frame.faces)
    general = "Look at the media; ask for a better copy where it is small, blurred or dark."
    return Recommendation(
        action=policy.advice.inconclusive,
        reason=f"Not decided: {reason}.",
        checks=(check or general, *(_unjudged(frames) if poor else ())),
    )


def _because(axis: AxisScore) -> str:
    scores = ", ".join(f"{detector.detector} {detector.score:.2f}" for detector in axis.detectors)
    return f"score {axis.score:.2f}; {scores}"


def _look(
    located: Located, frames: Sequence[FrameEvidence], track: int, above: Sequence[AxisScore], *, moving: bool
) -> str:
    where = _WHERE.get(located.location)
    what = "the most suspicious frames" if where is None else f"the face {where}"
    if not moving:
        return f"Look at {'the picture' if where is None else what} at full size."
    names = {detector.detector for axis in above for detector in axis.detectors}
    moments = sorted(
        (-max(face.logits[name] for name in names & face.logits.keys()), frame.pts_ms)
        for frame in frames
        for face in frame.faces
        if face.track == track and names & face.logits.keys()
    )[:_SHOWN_MOMENTS]
    times = ", ".join(f"{pts_ms / 1000:.1f} s" for pts_ms in sorted({pts_ms for _, pts_ms in moments}))
    return f"Look at {what} at full size, at {times}." if times else f"Look at {what} at full size."


def _artifacts(frames: Sequence[FrameEvidence], track: int) -> tuple[str, ...]:
    scores: dict[str, list[float]] = {}
    for frame in frames:
        for face in frame.faces:
            if face.track == track:
                for found in face.artifacts:
                    scores.setdefault(found.kind, []).append(found.score)
    means = {kind: fsum(values) / len(values) for kind, values in scores.items()}
    shown = [f"{kind} {mean:.2f}" for kind, mean in means.items() if mean >= _SHOWN_ARTIFACT]
    return (f"Artifacts to look at, no evidence by themselves: {', '.join(shown)}.",) if shown else ()


def _unjudged(frames: Sequence[FrameEvidence]) -> tuple[str, ...]:
    faces = [face for frame in frames for face in frame.faces]
    poor = sum(1 for face in faces if not face.quality.usable)
    found = commonest_problem(faces)
    if poor == 0:
        return ()
    most = "" if found is None else f", {found[1]} of them {found[0]}"
    return (f"{poor} of {len(faces)} faces could not be judged{most}: look at those as well.",)
