"""SCORE, the one path from frames to evidence, for uploads and live alike: faces, crops, detectors.

Finding faces in the next frames and running the detectors on the last ones overlap: crops are submitted as
they are cut, and their scores collected at the end.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import islice
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.crops import cut_faces
from models.detectors import DetectorSet
from models.evidence import FaceEvidence, FrameEvidence, RelativeBox
from models.faces import Face
from models.providers import CPU
from models.quality import DEFAULT_GATE, QualityGate, face_quality
from models.scenes import is_cut, view


class Frame(Protocol):
    """A decoded frame. `pixels` are valid until `release`."""

    @property
    def frame_number(self) -> int:
        """Its number in the media."""

    @property
    def pts_ms(self) -> int:
        """Its presentation time, milliseconds."""

    @property
    def is_key(self) -> bool:
        """Whether it is a key frame of the codec."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] RGB, upright."""

    def release(self) -> None:
        """Give its memory back to the decoder."""


@dataclass(slots=True)
class StageSeconds:
    """Where the time of one call went, seconds."""

    decode: float = 0.0
    """Waiting for frames."""
    faces: float = 0.0
    """Finding faces, cutting crops, measuring their quality."""
    score: float = 0.0
    """Waiting for the detectors, after the last frame."""


@dataclass(frozen=True, slots=True)
class ScoringLimits:
    """What scoring looks at."""

    detection_side: int = 640
    """Faces are looked for in a frame reduced to this longest side, pixels."""
    max_faces: int = 16
    """Of a crowd the largest faces are judged, so many a frame."""
    frames_at_once: int = 4
    """Frames given to the face detector together on a GPU. On a CPU they go one by one: together they fall out of
    its caches, and each costs more (`python -m bench throughput` says how much)."""
    gate: QualityGate = field(default_factory=lambda: DEFAULT_GATE)


@dataclass(slots=True)
class _PendingFrame:
    evidence: FrameEvidence
    view: bytes
    usable: list[int]
    """Positions of the faces that are judged."""
    scores: dict[str, "Future[NDArray[np.float32]]"]
    """Logits of the usable faces, by detector."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What scoring frames found."""

    frames: tuple[FrameEvidence, ...]
    """In order of time; the first is never marked as a cut."""
    first_view: bytes
    """The first frame as `models.scenes.view` gives it, to compare with what goes before; empty without one."""
    last_view: bytes
    """The last frame likewise."""


def score_frames(
    frames: Iterable[Frame],
    detectors: DetectorSet,
    asked: Sequence[str],
    limits: ScoringLimits,
    seconds: StageSeconds,
    clock: Callable[[], float] = perf_counter,
) -> Scored:
    """Return the evidence of each frame, in order of time.

    Args:
        frames: decoded frames in any order; each is released as soon as its faces are cut.
        detectors: loaded models; `asked` names those that judge the faces.
        asked: names of detectors.
        limits: what is looked at.
        seconds: is added to.
        clock: seconds, monotonic.

    Raises:
        ModelError: a model failed, or answered with something that is no number.
    """
    pending: list[_PendingFrame] = []
    remaining = iter(frames)
    at_once = 1 if detectors.faces.provider == CPU else limits.frames_at_once
    while group := list(_timed(remaining, at_once, seconds, clock)):
        started = clock()
        try:
            found = detectors.faces.detect([frame.pixels for frame in group], limits.detection_side)
            for frame, faces in zip(group, found, strict=True):
                pending.append(_begin(frame, faces, detectors, asked, limits))
        finally:
            for frame in group:
                frame.release()
        seconds.faces += clock() - started
    started = clock()
    pending.sort(key=lambda frame: (frame.evidence.pts_ms, frame.evidence.frame_number))
    scored = [_finish(frame) for frame in pending]
    seconds.score += clock() - started
    for position in range(1, len(scored)):
        if is_cut(pending[position - 1].view, pending[position].view):
            scored[position] = replace(scored[position], cut=True)
    return Scored(
        tuple(scored),
        pending[0].view if pending else b"",
        pending[-1].view if pending else b"",
    )


def _timed(frames: Iterator[Frame], count: int, seconds: StageSeconds, clock: Callable[[], float]) -> Iterator[Frame]:
    started = clock()
    for frame in islice(frames, count):
        seconds.decode += clock() - started
        yield frame
        started = clock()
    seconds.decode += clock() - started


def _begin(
    frame: Frame, faces: Sequence[Face], detectors: DetectorSet, asked: Sequence[str], limits: ScoringLimits
) -> _PendingFrame:
    image = frame.pixels
    largest = sorted(faces, key=_area, reverse=True)[: limits.max_faces]
    evidence = tuple(_face(image, face, limits.gate) for face in largest)
    usable = [position for position, face in enumerate(evidence) if face.quality.usable]
    judged = [largest[position] for position in usable]
    scores = {}
    if judged:
        for name in asked:
            detector = detectors.detectors[name]
            wanted = detector.entry.input
            scores[name] = detector.logits(cut_faces(image, judged, wanted.crop, detector.size))
    return _PendingFrame(
        FrameEvidence(frame.frame_number, frame.pts_ms, frame.is_key, cut=False, faces=evidence),
        view(image),
        usable,
        scores,
    )


def _face(image: NDArray[np.uint8], face: Face, gate: QualityGate) -> FaceEvidence:
    height, width = image.shape[:2]
    left, right = (min(max(float(edge), 0.0), float(width)) for edge in (face.box[0], face.box[2]))
    top, bottom = (min(max(float(edge), 0.0), float(height)) for edge in (face.box[1], face.box[3]))
    inside = image[int(top) : max(int(top) + 1, int(bottom)), int(left) : max(int(left) + 1, int(right))]
    quality = face_quality(
        inside,
        min(right - left, bottom - top),
        face.landmarks,
        gate,
        detection_score=face.score,
        origin=(int(left), int(top)),
    )
    box = RelativeBox(left / width, top / height, (right - left) / width, (bottom - top) / height)
    return FaceEvidence(box, min(1.0, max(0.0, face.score)), quality)


def _finish(frame: _PendingFrame) -> FrameEvidence:
    faces = list(frame.evidence.faces)
    answers = {name: answer.result() for name, answer in frame.scores.items()}
    for place, position in enumerate(frame.usable):
        logits = {name: float(answer[place]) for name, answer in answers.items()}
        faces[position] = replace(faces[position], logits=logits)
    return replace(frame.evidence, faces=tuple(faces))


def _area(face: Face) -> float:
    return float((face.box[2] - face.box[0]) * (face.box[3] - face.box[1]))
