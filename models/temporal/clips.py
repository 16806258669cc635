"""Clips as tracks, for measuring: the largest face of each followed over its first seconds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from models.artifacts.analysis import CROP_MARGIN, analyse
from models.artifacts.squares import square_of
from models.artifacts.view import SIDE
from models.crops import square_crop
from models.evidence import ArtifactEvidence, FaceEvidence, FrameEvidence, RelativeBox
from models.faces import Face, FaceDetector
from models.fitting.faces import OnStep
from models.quality import face_quality
from models.scenes import is_cut, view
from models.temporal.lighting import face_light
from models.temporal.motion import FaceGlimpse, face_motion, glimpse
from models.temporal.track import Seen
from models.tracks import link

Image = NDArray[np.uint8]
Scorer = Callable[[Image], NDArray[np.floating]]
"""Takes crops, uint8 [N, 256, 256, 3] RGB, cut as for the artifact analyses, to logits of fake [N]."""
SCORED = "scored"
"""Name of the detector whose logits a scorer's are."""
FRAMES_A_SECOND, SECONDS = 10.0, 4.0
"""How clips are read: flow between frames a tenth of a second apart means something."""
_MOST_FACES = 4


@dataclass(frozen=True, slots=True, eq=False)
class ClipTrack:
    """The face of a clip that is seen in most frames.

    Attributes:
        name: of the clip's file.
        fake: the label.
        aspect: width of a frame over its height.
        faces: its track, in order of time.
    """

    name: str
    fake: bool
    aspect: float
    faces: tuple[Seen, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What is kept of a face beside its evidence."""

    glimpse: FaceGlimpse
    crop: Image


def read_clips(data: Path, detector: FaceDetector, on_step: OnStep, scorer: Scorer | None = None) -> list[ClipTrack]:
    """Return the tracks of the clips `video/*.mp4` that show a face; those whose name begins with `fake` are fake.

    Args:
        data: folder with `video/`, see its README.
        detector: finds the faces.
        on_step: told how far it is.
        scorer: judges crops; without one no face has logits.

    Raises:
        FileNotFoundError: there are no clips.
    """
    paths = sorted((data / "video").glob("*.mp4"))
    if not paths:
        raise FileNotFoundError(f"{data / 'video'} has no .mp4 files")
    tracks = []
    for done, path in enumerate(paths, 1):
        track = read_clip(path, detector, scorer)
        tracks += [track] if track else []
        on_step("tracks", done, len(paths))
    return tracks


def read_clip(
    path: Path,
    detector: FaceDetector,
    scorer: Scorer | None = None,
    *,
    fps: float = FRAMES_A_SECOND,
    seconds: float = SECONDS,
) -> ClipTrack | None:
    """Return the track of one clip, its faces with all that the analyses look at; None where it shows no face.

    Args:
        path: of the clip.
        detector: finds the faces.
        scorer: judges crops; without one no face has logits.
        fps: frames looked at a second, at most.
        seconds: how much of the clip is looked at, from its beginning.
    """
    frames: list[FrameEvidence] = []
    looks: list[list[_Look]] = []
    before, aspect = b"", 1.0
    for number, (at_ms, image) in enumerate(_sampled(path, fps, seconds)):
        found = sorted(detector.detect([image])[0], key=_area, reverse=True)[:_MOST_FACES]
        faces = [(_evidence(image, face), _look(image, face)) for face in found if _area(face) > 0.0]
        after, aspect = view(image), image.shape[1] / image.shape[0]
        cut = bool(before) and is_cut(before, after)
        frames.append(FrameEvidence(number, at_ms, key_frame=False, cut=cut, faces=tuple(face for face, _ in faces)))
        looks.append([look for _, look in faces])
        before = after
    of_track: dict[int, list[tuple[int, FaceEvidence, _Look]]] = {}
    for frame, kept in zip(link(frames), looks, strict=True):
        for face, look in zip(frame.faces, kept, strict=True):
            of_track.setdefault(face.track, []).append((frame.pts_ms, face, look))
    if not of_track:
        return None
    longest = max(of_track.values(), key=len)
    return ClipTrack(path.name, path.name.startswith("fake"), aspect, tuple(_completed(longest, scorer)))


def _completed(track: list[tuple[int, FaceEvidence, _Look]], scorer: Scorer | None) -> Iterator[Seen]:
    """The faces of a track with motion and, where there is a scorer, logits."""
    motions = [None] + [
        face_motion(before.glimpse, after.glimpse, at - earlier)
        for (earlier, _, before), (at, _, after) in pairwise(track)
    ]
    logits = None if scorer is None else scorer(np.stack([look.crop for _, _, look in track]))
    for place, ((at, face, _), motion) in enumerate(zip(track, motions, strict=True)):
        scored = {} if logits is None else {SCORED: float(logits[place])}
        yield at, replace(face, motion=motion, logits=scored)


def _sampled(path: Path, fps: float, seconds: float) -> Iterator[tuple[int, Image]]:
    """Time in milliseconds from the first frame, and picture, of frames at least 1 / fps apart."""
    with av.open(str(path)) as container:
        first: float | None = None
        due = 0.0
        for frame in container.decode(video=0):
            first = frame.time if first is None else first
            at = frame.time - first
            if at > seconds:
                return
            if at >= due - 1e-3:
                due = max(due + 1 / fps, at)
                yield round(1000 * at), np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _evidence(image: Image, face: Face) -> FaceEvidence:
    height, width = image.shape[:2]
    x0, y0, x1, y1 = face.box
    left, top = int(x0), int(y0)
    inside = image[top : max(top + 1, int(y1)), left : max(left + 1, int(x1))]
    crop_left, crop_top, side = square_of(face.box, CROP_MARGIN)
    landmarks = (face.landmarks - np.array([crop_left, crop_top])) * (SIDE / side)
    artifacts = analyse(square_crop(image, face.box, CROP_MARGIN, SIDE), np.asarray(landmarks, np.float32))
    return FaceEvidence(
        RelativeBox(x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height),
        face.score,
        face_quality(inside, min(x1 - x0, y1 - y0), face.landmarks, detection_score=face.score, origin=(left, top)),
        landmarks=tuple((float(x) / width, float(y) / height) for x, y in face.landmarks),
        artifacts=tuple(ArtifactEvidence(each.name, each.score, each.region) for each in artifacts),
        light=face_light(inside),
    )


def _look(image: Image, face: Face) -> _Look:
    return _Look(glimpse(image, face.box), square_crop(image, face.box, CROP_MARGIN, SIDE))


def _area(face: Face) -> float:
    x0, y0, x1, y1 = face.box
    return (x1 - x0) * (y1 - y0)
