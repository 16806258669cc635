"""Evidence as a verdict tells it: frames, faces, time ranges, artifacts, signs over time, quality."""

from collections.abc import Callable, Mapping, Sequence
from math import fsum
from statistics import median

from agents.analysis import SegmentResult
from models.artifacts.weights import WEIGHTS as ARTIFACT_WEIGHTS
from models.evidence import ArtifactEvidence, FaceEvidence, FrameEvidence
from models.fusion import DECIDING, DetectorFacts, sigmoid
from models.heat import regions, unpack
from models.looking import within
from models.manifest import Role
from models.temporal.analysis import analyse_track
from models.temporal.segments import suspicious_stretches
from models.temporal.weights import WEIGHTS as TEMPORAL_WEIGHTS
from schemas.verdict import (
    Artifact,
    Axis,
    Box,
    FaceAnalysis,
    FaceQuality,
    FrameAnalysis,
    HeadPose,
    HeatMap,
    QualityMetrics,
    RiskLevel,
    SegmentAnalysis,
    SuspiciousSegment,
    TemporalSign,
)

MAPPED_FRAMES = 8
"""Frames of a verdict that carry heat maps: a map is a quarter of a kilobyte a face."""


def described(
    frames: Sequence[FrameEvidence], detectors: Sequence[DetectorFacts], *, mapped: int = MAPPED_FRAMES
) -> list[FrameAnalysis]:
    """Return frames as a verdict tells them; the `mapped` most suspicious carry heat maps.

    Args:
        frames: in order of time, with tracks.
        detectors: those that were asked.
        mapped: how many frames.
    """
    scores = [highest([frame], detectors) or 0.0 for frame in frames]
    ranked = sorted(range(len(frames)), key=lambda place: (-scores[place], frames[place].pts_ms))
    with_map = set(ranked[:mapped])
    return [_frame(frame, detectors, with_map=place in with_map) for place, frame in enumerate(frames)]


def _frame(frame: FrameEvidence, detectors: Sequence[DetectorFacts], *, with_map: bool) -> FrameAnalysis:
    return FrameAnalysis(
        frame_number=frame.frame_number,
        pts_ms=frame.pts_ms,
        key_frame=frame.key_frame,
        score=highest([frame], detectors),
        faces=tuple(_face(face, with_map=with_map) for face in frame.faces),
    )


def highest(frames: Sequence[FrameEvidence], detectors: Sequence[DetectorFacts]) -> float | None:
    """Return the highest score of any face; none where no face was judged."""
    scores = [score for frame in frames for face in frame.faces if (score := face_score(face, detectors)) is not None]
    return max(scores, default=None)


def face_score(face: FaceEvidence, detectors: Sequence[DetectorFacts]) -> float | None:
    """Return a face's score: the highest of the axes that decide, each by the detector of it that counts most.

    Where the primary judged a face, the screen that called it has no more say.
    """
    judged = [detector for detector in detectors if detector.axis in DECIDING and detector.name in face.logits]
    heard = [
        detector
        for detector in judged
        if not any(other.axis is detector.axis and _rank(other) < _rank(detector) for other in judged)
    ]
    return max((sigmoid(face.logits[detector.name]) for detector in heard), default=None)


def followed(detectors: Sequence[DetectorFacts]) -> Sequence[str]:
    """Return the detectors of altered faces, the one that counts most first."""
    of_axis = [detector for detector in detectors if detector.axis is Axis.MANIPULATION]
    return [detector.name for detector in sorted(of_axis, key=_rank)]


def _rank(detector: DetectorFacts) -> int:
    return 1 if detector.role == Role.SCREEN else 0


def _face(face: FaceEvidence, *, with_map: bool) -> FaceAnalysis:
    box, quality, square = face.box, face.quality, face.square
    return FaceAnalysis(
        track=face.track,
        box=Box(x=box.x, y=box.y, width=box.width, height=box.height),
        detection_score=face.detection_score,
        quality=FaceQuality(
            size_px=quality.size_px,
            sharpness=quality.sharpness,
            exposure=quality.exposure,
            frontality=quality.frontality,
            usable=quality.usable,
            contrast=quality.contrast,
            noise=quality.noise,
            blockiness=quality.blockiness,
            occlusion=quality.occlusion,
            pose=HeadPose(yaw=quality.pose.yaw, pitch=quality.pose.pitch, roll=quality.pose.roll),
        ),
        scores={name: sigmoid(value) for name, value in face.logits.items()},
        regions=_regions(face),
        heat=HeatMap(left=square.x, top=square.y, width=square.width, height=square.height, cells=face.heat)
        if with_map and square is not None and face.heat
        else None,
    )


def _regions(face: FaceEvidence) -> tuple[Box, ...]:
    """Where a detector sees alteration, as shares of the frame."""
    square = face.square
    if square is None or not face.heat:
        return ()
    inside = (within(square, region) for region in regions(unpack(face.heat)))
    return tuple(Box(x=box.x, y=box.y, width=box.width, height=box.height) for box in inside)


def most_suspicious(frames: Sequence[FrameAnalysis], count: int) -> Sequence[FrameAnalysis]:
    """Return the `count` frames with the highest scores, in order of time."""
    ranked = sorted(frames, key=lambda frame: (-(frame.score or 0.0), frame.pts_ms))
    return sorted(ranked[:count], key=lambda frame: (frame.pts_ms, frame.frame_number))


def segment_analysis(result: SegmentResult, detectors: Sequence[DetectorFacts]) -> SegmentAnalysis:
    """Return a time range as a verdict tells it."""
    return SegmentAnalysis(
        index=result.index,
        start_s=result.start_s,
        end_s=result.end_s,
        frames=len(result.frames),
        faces=sum(len(frame.faces) for frame in result.frames),
        score=highest(result.frames, detectors),
        failure=None if result.failure is None else f"{result.failure.kind}: {result.failure.reason}",
    )


def quality_metrics(frames: Sequence[FrameEvidence], coverage: float) -> QualityMetrics:
    """Return how much evidence the frames give; `coverage` is the share of the media that could be read."""
    faces = [face for frame in frames for face in frame.faces]
    return QualityMetrics(
        frames_analyzed=len(frames),
        frames_with_face=sum(1 for frame in frames if frame.faces),
        faces=len(faces),
        usable_faces=sum(1 for face in faces if face.quality.usable),
        tracks=len({face.track for face in faces}),
        median_face_px=median([face.quality.size_px for face in faces] or [0.0]),
        median_sharpness=median([face.quality.sharpness for face in faces] or [0.0]),
        median_exposure=median([face.quality.exposure for face in faces] or [0.0]),
        median_contrast=median(face.quality.contrast for face in faces) if faces else None,
        median_noise=median(face.quality.noise for face in faces) if faces else None,
        median_occlusion=median(face.quality.occlusion for face in faces) if faces else None,
        coverage=coverage,
    )


def strongest_artifacts(frames: Sequence[FrameEvidence]) -> tuple[Artifact, ...]:
    """Return what each artifact analysis found in the track in which its mean is highest, and where it was strongest.

    Args:
        frames: with tracks.
    """
    found: dict[str, dict[int, list[ArtifactEvidence]]] = {}
    for frame in frames:
        for face in frame.faces:
            for artifact in face.artifacts:
                found.setdefault(artifact.kind, {}).setdefault(face.track, []).append(artifact)
    return tuple(_artifact(kind, max(tracks.values(), key=_mean_score)) for kind, tracks in found.items())


def _artifact(kind: str, of_track: Sequence[ArtifactEvidence]) -> Artifact:
    region = max(of_track, key=lambda artifact: artifact.score).region
    return Artifact(
        kind=kind,
        score=_mean_score(of_track),
        weight=ARTIFACT_WEIGHTS.get(kind, 0.0),
        region=None if region is None else Box(x=region.x, y=region.y, width=region.width, height=region.height),
    )


def _mean_score(artifacts: Sequence[ArtifactEvidence]) -> float:
    return fsum(artifact.score for artifact in artifacts) / len(artifacts)


def temporal_signs(
    frames: Sequence[FrameEvidence], detectors: Sequence[DetectorFacts], *, aspect: float
) -> tuple[TemporalSign, ...]:
    """Return what the analyses over time find in each track.

    Args:
        frames: in order of time, with tracks.
        detectors: those that were asked; the scores of altered faces are followed.
        aspect: width of the upright frame over its height.
    """
    tracks: dict[int, list[tuple[int, FaceEvidence]]] = {}
    for frame in frames:
        for face in frame.faces:
            if face.quality.usable:
                tracks.setdefault(face.track, []).append((frame.pts_ms, face))
    return tuple(
        TemporalSign(
            kind=finding.name,
            track=track,
            score=finding.score,
            weight=TEMPORAL_WEIGHTS.get(finding.name, 0.0),
            samples=finding.samples,
        )
        for track, faces in sorted(tracks.items())
        for finding in analyse_track(faces, followed(detectors), aspect=aspect)
    )


def by_track(signs: Sequence[TemporalSign]) -> Mapping[int, Mapping[str, float]]:
    """Return the scores of signs, by track and name."""
    tracks: dict[int, dict[str, float]] = {}
    for sign in signs:
        tracks.setdefault(sign.track, {})[sign.kind] = sign.score
    return tracks


def suspicious_segments(
    frames: Sequence[FrameAnalysis], threshold: float, interval_ms: int, risk: Callable[[float], RiskLevel]
) -> tuple[SuspiciousSegment, ...]:
    """Return the stretches of time whose frames score at or above a threshold.

    Args:
        frames: in order of time.
        threshold: calibrated probability.
        interval_ms: time between sampled frames.
        risk: the band of a score.
    """
    scored = [(frame.pts_ms, frame.score) for frame in frames if frame.score is not None]
    return tuple(
        SuspiciousSegment(
            start_s=stretch.start_ms / 1000,
            end_s=stretch.end_ms / 1000,
            severity=risk(stretch.mean),
            mean_score=stretch.mean,
            peak_score=stretch.peak,
            frames=stretch.frames,
            kind=stretch.kind.value,
        )
        for stretch in suspicious_stretches(scored, threshold, interval_ms)
    )
