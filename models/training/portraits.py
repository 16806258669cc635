"""Faces of real people, with their surroundings, from folders of photographs."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from models.faces import Face
from models.training.blending import Image, Portrait

OnStep = Callable[[str, int, int], None]
"""Told what is done, how much of it, and how much there is."""


class FindsFaces(Protocol):
    """A face detector, such as `models.faces.FaceDetector`."""

    def detect(self, frames: Sequence[Image], /) -> Sequence[Sequence[Face]]:
        """Return the faces of each frame, uint8 [H, W, 3] RGB."""


SURROUNDINGS = 2.2
"""Side of a portrait, in longer sides of its face: room for every crop and motion."""
MIN_FACE = 44.0
"""Longer side of the smallest face that is learnt from, pixels."""
MAX_FACE = 224.0
"""Longer side that a larger face is reduced to, pixels."""


def read_portraits(folders: Sequence[Path], detector: FindsFaces, on_step: OnStep) -> tuple[Portrait, ...]:
    """Find every large enough face in the images of folders.

    Raises:
        FileNotFoundError: a folder has no image.
    """
    portraits: list[Portrait] = []
    for folder in folders:
        paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
        if not paths:
            raise FileNotFoundError(f"{folder} has no .jpg or .png files")
        for done, path in enumerate(paths, 1):
            image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
            if image is not None:
                pixels = np.asarray(image, np.uint8)
                name = f"{folder.name}/{path.name}"
                portraits += [
                    _portrait(pixels, face, name) for face in detector.detect([pixels])[0] if _serves(face, pixels)
                ]
            on_step(f"faces {folder.name}", done, len(paths))
    return tuple(portraits)


def split(portraits: Sequence[Portrait], share: float, seed: int) -> tuple[tuple[Portrait, ...], tuple[Portrait, ...]]:
    """Keep apart a share for validation, by a hash of each file's name.

    Returns:
        Portraits to learn from, and portraits kept apart.
    """
    kept = {name for name in {each.name for each in portraits} if _place(name, seed) < share}
    return (
        tuple(each for each in portraits if each.name not in kept),
        tuple(each for each in portraits if each.name in kept),
    )


def resized(portrait: Portrait, face: float) -> Portrait:
    """The portrait with its face's longer side at `face` pixels."""
    x0, y0, x1, y1 = portrait.box
    factor = face / max(x1 - x0, y1 - y0)
    side = max(16, round(portrait.image.shape[0] * factor))
    factor = side / portrait.image.shape[0]
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    image = np.asarray(cv2.resize(portrait.image, (side, side), interpolation=way), np.uint8)
    box = (x0 * factor, y0 * factor, x1 * factor, y1 * factor)
    return replace(portrait, image=image, landmarks=portrait.landmarks * np.float32(factor), box=box)


def _serves(face: Face, image: Image) -> bool:
    """Tell whether a face is large, sure and whole: what the picture's edge cuts off teaches edges."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = face.box
    whole = x0 >= 2 and y0 >= 2 and x1 <= width - 2 and y1 <= height - 2
    return whole and max(x1 - x0, y1 - y0) >= MIN_FACE and face.score >= 0.6


def _portrait(image: Image, face: Face, name: str) -> Portrait:
    x0, y0, x1, y1 = face.box
    longer = max(x1 - x0, y1 - y0)
    side = round(longer * SURROUNDINGS)
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    shift = np.array([[1, 0, -left], [0, 1, -top]], np.float32)
    cut = cv2.warpAffine(image, shift, (side, side), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    offset = np.array([left, top], np.float32)
    box = (x0 - left, y0 - top, x1 - left, y1 - top)
    portrait = Portrait(np.asarray(cut, np.uint8), face.landmarks - offset, box, name)
    return resized(portrait, MAX_FACE) if longer > MAX_FACE else portrait


def _place(name: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
