"""Labelled files brought to faces: the largest of a picture, and of frames evenly spread over a video."""

from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from models.evaluation.layout import Sample
from models.evaluation.views import region
from models.faces import FaceDetector
from models.fitting.faces import LabelledFace, largest, read_video

UNREADABLE, FACELESS = "unreadable", "no face"


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What a file showed.

    Attributes:
        frames: looked at; 1 of a picture.
        faces: at most one a frame, each in its region (`models.evaluation.views.region`).
        sides: of the faces as found, pixels [K].
        problem: why it has no faces, `UNREADABLE` or `FACELESS`; empty where it has.
    """

    sample: Sample
    frames: int
    faces: tuple[LabelledFace, ...]
    sides: NDArray[np.float64]
    problem: str


def look(sample: Sample, finder: FaceDetector, frames: int) -> Looked:
    """Read a file and find its faces. A file that cannot be read is an answer, not an error.

    Args:
        sample: the file.
        finder: finds the faces.
        frames: of a video at most.

    Raises:
        InferenceError: the face detector failed.
    """
    found = _video(sample.path, finder, frames) if sample.moving else _image(sample.path, finder)
    if found is None:
        return Looked(sample, 0, (), np.empty(0), UNREADABLE)
    looked_at, faces = found
    sides = np.array([face.side for face in faces], np.float64)
    return Looked(sample, looked_at, tuple(region(face) for face in faces), sides, "" if faces else FACELESS)


def _image(path: Path, finder: FaceDetector) -> tuple[int, tuple[LabelledFace, ...]] | None:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        return None
    face = largest("", path.name, np.asarray(image, np.uint8), finder, fake=False)
    return 1, () if face is None else (face,)


def _video(path: Path, finder: FaceDetector, frames: int) -> tuple[int, tuple[LabelledFace, ...]] | None:
    try:
        group = read_video(path, finder, frames, _unheard)
    except (av.FFmpegError, IndexError):
        # PyAV finds no video stream by an index that is out of range.
        return None
    return (group.files, group.faces) if group.files else None


def _unheard(step: str, done: int, of: int) -> None:
    """A file is one step; what is done within it is not told."""
