"""SCORE, the one path from frames to evidence, for uploads and live alike: faces, crops, detectors.

Finding faces in the next frames and running the first detectors on the last ones overlap: crops are submitted as they
are cut. When all frames were looked at, tracks are linked, and the costlier detectors are asked about those that
deserve it (`models.asking`).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import islice
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.asking import Asking, Place, asked_later
from models.detectors import Detector, DetectorSet
from models.evidence import FaceEvidence, FrameEvidence
from models.exceptions import NonFiniteScore
from models.faces import Face
from models.heat import pack, unpack
from models.inference.batcher import Urgency
from models.inference.provider_options import CPU
from models.inference.session import Answers
from models.kept import KeptCrops
from models.looking import look
from models.manifest import Role
from models.pictures import thumbnail
from models.quality import DEFAULT_GATE, QualityGate
from models.scenes import is_cut, view
from models.temporal.motion import FaceGlimpse, face_motion, glimpse
from models.tracks import link

_log = logging.getLogger(__name__)


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
    kept_bytes: int = 64 << 20
    """Of crops that wait for the later detectors. Beyond it those of every second frame are let go."""
    gate: QualityGate = field(default_factory=lambda: DEFAULT_GATE)


@dataclass(frozen=True, slots=True)
class WorstFace:
    """The face that looks most altered, as a picture."""

    pts_ms: int
    logit: float
    """Of the detector that judged it, calibrated."""
    jpeg: bytes
    """See `models.pictures.thumbnail`."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What scoring frames found."""

    frames: tuple[FrameEvidence, ...]
    """In order of time; the first is never marked as a cut."""
    first_view: bytes
    """The first frame as `models.scenes.view` gives it, to compare with what goes before; empty without one."""
    last_view: bytes
    """The last frame likewise."""
    worst: WorstFace | None = None
    """None where no face was judged by a detector of altered faces that says where it sees it."""


@dataclass(slots=True)
class _PendingFrame:
    evidence: FrameEvidence
    view: bytes
    usable: list[int]
    """Positions of the faces that are judged."""
    answers: dict[str, "Future[Answers]"]
    """Of the usable faces, by detector."""
    glimpses: dict[int, FaceGlimpse]
    """Of the usable faces, by position."""
    number: int
    """In the order in which the frames came."""


@dataclass(slots=True)
class Looked:
    """Frames whose faces are found, and on their way through the detectors that see every face."""

    pending: list[_PendingFrame]
    """In order of time."""
    kept: KeptCrops
    detectors: DetectorSet
    asked: Asking
    urgency: Urgency


@dataclass(slots=True)
class Asked:
    """Frames whose faces are on their way through the later detectors, too."""

    looked: Looked
    frames: list[FrameEvidence]
    """In order of time, with cuts, tracks and what the first detectors said."""
    places: Mapping[str, Sequence[Place]]
    """Faces that each later detector sees."""
    answers: Mapping[str, Sequence["Future[Answers]"]]
    """Its answers, in the same order."""


def score_frames(
    frames: Iterable[Frame],
    detectors: DetectorSet,
    asked: Asking,
    limits: ScoringLimits,
    seconds: StageSeconds,
    urgency: Urgency = Urgency.INTERACTIVE,
    clock: Callable[[], float] = perf_counter,
) -> Scored:
    """Return the evidence of each frame, in order of time.

    Who scores several media at once takes its three steps for all of them, so that they fill batches together:
    `look_at`, `ask_further`, `gather`.

    Args:
        frames: decoded frames; each is released as soon as its faces are cut.
        detectors: loaded models, those of `asked` among them.
        asked: which detectors judge which faces.
        limits: what is looked at.
        seconds: is added to.
        urgency: of the faces' crops among those of others.
        clock: seconds, monotonic.

    Raises:
        ModelError: a model failed. One that answers with no number is noted with the face, or the frame.
    """
    looked = look_at(frames, detectors, asked, limits, seconds, urgency, clock)
    started = clock()
    scored = gather(ask_further(looked))
    seconds.score += clock() - started
    return scored


def look_at(
    frames: Iterable[Frame],
    detectors: DetectorSet,
    asked: Asking,
    limits: ScoringLimits,
    seconds: StageSeconds,
    urgency: Urgency = Urgency.INTERACTIVE,
    clock: Callable[[], float] = perf_counter,
) -> Looked:
    """Find the faces of frames and send them to the first detectors, without waiting for these; see `score_frames`."""
    pending: list[_PendingFrame] = []
    kept = KeptCrops(limits.kept_bytes)
    remaining = iter(frames)
    at_once = 1 if detectors.faces.provider == CPU else limits.frames_at_once
    while group := list(_timed(remaining, at_once, seconds, clock)):
        started = clock()
        try:
            for frame, faces in zip(group, _found(group, detectors, limits), strict=True):
                pending.append(_begin(frame, faces, detectors, asked, limits, kept, len(pending), urgency))
        finally:
            for frame in group:
                frame.release()
        seconds.faces += clock() - started
    pending.sort(key=lambda frame: (frame.evidence.pts_ms, frame.evidence.frame_number))
    return Looked(pending, kept, detectors, asked, urgency)


def ask_further(looked: Looked) -> Asked:
    """Wait for the first detectors, link tracks, and send faces to the later ones without waiting for these.

    Raises:
        ModelError: a model failed.
    """
    frames = _linked(looked.pending, looked.detectors)
    there = set(looked.kept.frames)
    places = [
        (position, place)
        for position, frame in enumerate(looked.pending)
        if frame.number in there
        for place in frame.usable
    ]
    later = asked_later(frames, places, looked.asked)
    detectors = looked.detectors.detectors
    answers = {
        name: [
            detectors[name].answers(_crop(looked.pending, looked.kept, name, place)[None], looked.urgency)
            for place in chosen
        ]
        for name, chosen in later.items()
    }
    return Asked(looked, frames, later, answers)


def gather(asked: Asked) -> Scored:
    """Wait for the later detectors, and return the evidence of each frame.

    Raises:
        ModelError: a model failed.
    """
    looked = asked.looked
    faces = [list(frame.faces) for frame in asked.frames]
    for name, each in asked.answers.items():
        for (position, place), answer in zip(asked.places[name], each, strict=True):
            (row,) = _rows(answer, 1)
            faces[position][place] = _judged(faces[position][place], name, row, looked.detectors)
    scored = [replace(frame, faces=tuple(of_frame)) for frame, of_frame in zip(asked.frames, faces, strict=True)]
    if looked.asked.motion:
        scored = _with_motion(scored, looked.pending)
    return Scored(
        tuple(scored),
        looked.pending[0].view if looked.pending else b"",
        looked.pending[-1].view if looked.pending else b"",
        _worst(scored, looked),
    )


def _timed(frames: Iterator[Frame], count: int, seconds: StageSeconds, clock: Callable[[], float]) -> Iterator[Frame]:
    started = clock()
    for frame in islice(frames, count):
        seconds.decode += clock() - started
        yield frame
        started = clock()
    seconds.decode += clock() - started


def _found(frames: Sequence[Frame], detectors: DetectorSet, limits: ScoringLimits) -> Sequence[Sequence[Face] | None]:
    """The faces of each frame; none where the face detector answered with no number."""
    try:
        return detectors.faces.detect([frame.pixels for frame in frames], limits.detection_side)
    except NonFiniteScore as error:
        _log.warning("%s", error)
        return [None] * len(frames)


def _begin(
    frame: Frame,
    faces: Sequence[Face] | None,
    detectors: DetectorSet,
    asked: Asking,
    limits: ScoringLimits,
    kept: KeptCrops,
    number: int,
    urgency: Urgency,
) -> _PendingFrame:
    image = frame.pixels
    largest = sorted(faces or (), key=_area, reverse=True)[: limits.max_faces]
    evidence = tuple(look(image, face, limits.gate, artifacts=asked.artifacts) for face in largest)
    usable = [position for position, face in enumerate(evidence) if face.quality.usable]
    judged = [largest[position] for position in usable]
    answers: dict[str, Future[Answers]] = {}
    glimpses: dict[int, FaceGlimpse] = {}
    if judged:
        crops = {name: detectors.detectors[name].cut(image, judged) for name in (*asked.every, *asked.later)}
        answers = {name: detectors.detectors[name].answers(crops[name], urgency) for name in asked.every}
        kept.add(number, crops)
        if asked.motion:
            glimpses = {position: glimpse(image, largest[position].box) for position in usable}
    return _PendingFrame(
        FrameEvidence(
            frame.frame_number,
            frame.pts_ms,
            frame.is_key,
            cut=False,
            faces=evidence,
            unseen="" if faces is not None else detectors.faces.entry.name,
        ),
        view(image),
        usable,
        answers,
        glimpses,
        number,
    )


def _linked(pending: Sequence[_PendingFrame], detectors: DetectorSet) -> list[FrameEvidence]:
    """The frames in order of time, with cuts, tracks and what the first detectors said."""
    frames = []
    for position, frame in enumerate(pending):
        faces = list(frame.evidence.faces)
        for name, answer in frame.answers.items():
            for place, row in zip(frame.usable, _rows(answer, len(frame.usable)), strict=True):
                faces[place] = _judged(faces[place], name, row, detectors)
        cut = position > 0 and is_cut(pending[position - 1].view, frame.view)
        frames.append(replace(frame.evidence, faces=tuple(faces), cut=cut))
    return list(link(frames))


def _crop(pending: Sequence[_PendingFrame], kept: KeptCrops, name: str, place: Place) -> NDArray[np.uint8]:
    frame = pending[place[0]]
    return kept.crop(frame.number, name, frame.usable.index(place[1]))


def _rows(answer: "Future[Answers]", count: int) -> Sequence[NDArray[np.float32] | None]:
    """What a detector answered to so many crops: a row each, none where a crop of theirs got no number."""
    try:
        return list(answer.result())
    except NonFiniteScore as error:
        _log.warning("%s", error)
        return [None] * count


def _judged(face: FaceEvidence, name: str, row: NDArray[np.float32] | None, detectors: DetectorSet) -> FaceEvidence:
    """A face with one detector's answer; the primary's map takes the place of the screen's."""
    if row is None:
        return replace(face, unanswered=(*face.unanswered, name))
    judged = replace(face, logits={**face.logits, name: float(row[0])})
    role = detectors.detectors[name].entry.role
    if len(row) == 1 or (face.heat and role is not Role.PRIMARY):
        return judged
    side = round((len(row) - 1) ** 0.5)
    return replace(judged, heat=pack(row[1:].reshape(side, side)))


def _with_motion(frames: Sequence[FrameEvidence], pending: Sequence[_PendingFrame]) -> list[FrameEvidence]:
    """The frames with the motion of each face since it was last seen."""
    last: dict[int, tuple[int, FaceGlimpse]] = {}
    moved = []
    for frame, looked in zip(frames, pending, strict=True):
        faces = list(frame.faces)
        for place, now in looked.glimpses.items():
            track = faces[place].track
            if track in last:
                then_ms, before = last[track]
                faces[place] = replace(faces[place], motion=face_motion(before, now, frame.pts_ms - then_ms))
            last[track] = (frame.pts_ms, now)
        moved.append(replace(frame, faces=tuple(faces)))
    return moved


def _worst(frames: Sequence[FrameEvidence], looked: Looked) -> WorstFace | None:
    """The picture of the face with the highest logit, of the detector that says most about altered faces."""
    sees = _that_sees(looked.asked, looked.detectors.detectors)
    pending, there = looked.pending, set(looked.kept.frames)
    for name in sees:
        judged = [
            (face.logits[name], -position, -place)
            for position, frame in enumerate(frames)
            if pending[position].number in there
            for place, face in enumerate(frame.faces)
            if name in face.logits
        ]
        if judged:
            logit, position, place = max(judged)
            face = frames[-position].faces[-place]
            crop = _crop(pending, looked.kept, name, (-position, -place))
            return WorstFace(frames[-position].pts_ms, logit, thumbnail(crop, unpack(face.heat) if face.heat else None))
    return None


def _that_sees(asked: Asking, detectors: Mapping[str, Detector]) -> Sequence[str]:
    """The detectors of altered faces that are asked, the primary first."""
    order = (Role.PRIMARY, Role.SCREEN)
    names = [name for name in (*asked.every, *asked.suspicious) if detectors[name].entry.role in order]
    return sorted(names, key=lambda name: order.index(detectors[name].entry.role))


def _area(face: Face) -> float:
    return float((face.box[2] - face.box[0]) * (face.box[3] - face.box[1]))
