"""Labelled faces for fitting: one face a file, split by file."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from models.faces import Face, FaceDetector

Image = NDArray[np.uint8]
OnStep = Callable[[str, int, int], None]
"""Told what is done, how much of it, and how much there is."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFace:
    """The largest face of a file.

    Attributes:
        group: the folder that it comes from, such as `val/fake_stylegan2`.
        name: file name, and for a video the frame's number.
        fake: the label.
        image: uint8 RGB [H, W, 3].
    """

    group: str
    name: str
    fake: bool
    image: Image
    face: Face

    @property
    def side(self) -> float:
        """Longer side of the face in pixels, as found: what leaks the label."""
        x0, y0, x1, y1 = self.face.box
        return max(x1 - x0, y1 - y0)


@dataclass(frozen=True, slots=True)
class Group:
    """The faces of one folder, and how many of its files showed one."""

    name: str
    files: int
    faces: tuple[LabelledFace, ...]


def read_group(data: Path, name: str, detector: FaceDetector, limit: int | None, on_step: OnStep) -> Group:
    """Find the largest face in each image of a folder `faces/<name>`, the first `limit` files by name.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
    """
    paths = sorted((data / "faces" / name).glob("*.jpg"))[:limit]
    if not paths:
        raise FileNotFoundError(f"{data / 'faces' / name} has no .jpg files")
    faces = []
    for done, path in enumerate(paths, 1):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        found = largest(name, path.name, np.asarray(image, np.uint8), detector, fake="fake" in name)
        faces += [found] if found else []
        on_step(f"faces {name}", done, len(paths))
    return Group(name, len(paths), tuple(faces))


def read_video(path: Path, detector: FaceDetector, frames: int, on_step: OnStep) -> Group:
    """Find the largest face in frames evenly spread over a video."""
    images = list(_spread(path, frames))
    faces = []
    for done, (number, image) in enumerate(images, 1):
        found = largest(path.name, f"{path.name}#{number}", image, detector, fake=path.name.startswith("fake"))
        faces += [found] if found else []
        on_step(f"faces {path.name}", done, len(images))
    return Group(path.name, len(images), tuple(faces))


def largest(group: str, name: str, image: Image, detector: FaceDetector, *, fake: bool) -> LabelledFace | None:
    """The largest face of an image, if it has any."""
    found = detector.detect([image])[0]
    if not found:
        return None
    face = max(found, key=lambda each: (each.box[2] - each.box[0]) * (each.box[3] - each.box[1]))
    return LabelledFace(group, name, fake, image, face)


def split(faces: Iterable[LabelledFace], shares: Sequence[float], seed: int) -> tuple[tuple[LabelledFace, ...], ...]:
    """Parts of these shares, by a hash of each file's name: a file is always in the same part.

    Args:
        shares: of the parts, adding up to 1.
    """
    edges = np.cumsum(shares)[:-1]
    parts: tuple[list[LabelledFace], ...] = tuple([] for _ in shares)
    for face in faces:
        digest = hashlib.sha256(f"{seed}/{face.group}/{face.name}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        parts[int(np.searchsorted(edges, place, side="right"))].append(face)
    return tuple(tuple(part) for part in parts)


def _spread(path: Path, count: int) -> Iterator[tuple[int, Image]]:
    """Frames evenly spread over a video, with their numbers, without holding the others."""
    with av.open(str(path)) as container:
        total = sum(1 for _ in container.decode(video=0))
    wanted = set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                yield number, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
