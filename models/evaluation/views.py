"""A face as it is judged: as found, at one resolution, or after one step of a robustness curve.

A view changes a region of the frame around the face, before any detector cuts its crop: blocks of a codec and lost
pixels have the size that they have in the medium.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import cv2
import numpy as np

from models.fitting.faces import Image, LabelledFace
from models.fitting.views import Degradation, degrade

REGION = 3.0
"""Side of the region kept around a face, in sides of its box: the largest margin of a crop (`CropSpec`) fits in."""
_ROUNDING = 2
"""Pixels beside it: crops are cut at whole pixels."""
NATIVE = "native"
ONE_RESOLUTION = "one resolution"
ONE_JPEG = 80
"""Quality that all faces are encoded with at one resolution, so that sources do not differ in their compression."""


@dataclass(frozen=True, slots=True)
class View:
    """What a face goes through before it is judged, in this order; None leaves a step out.

    Attributes:
        side: longer side of the face's box, pixels; larger and smaller faces are brought to it.
        downscale: factor of both sides, 0-1; reduced so far, and enlarged again.
        h264_crf: constant rate factor; the region is encoded as a key frame.
        jpeg: quality, 1-100.
    """

    side: int | None = None
    downscale: float | None = None
    h264_crf: int | None = None
    jpeg: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A point of a robustness curve.

    Attributes:
        kind: a key of `ROBUSTNESS`, or `none`.
        value: of JPEG its quality, of H.264 its CRF, of downscale the factor; 0 for `none`.
    """

    kind: str
    value: float


UNDISTURBED = Step("none", 0.0)
ROBUSTNESS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {"jpeg": (90, 70, 50, 30), "h264": (18, 23, 28, 32, 38), "downscale": (0.75, 0.5, 0.35)}
)
"""Values of each curve, from the mildest on."""
STEPS = (UNDISTURBED, *(Step(kind, value) for kind, values in ROBUSTNESS.items() for value in values))


def base_views(one_resolution: int | None, *, native: bool) -> Mapping[str, View]:
    """Return the views that everything is measured in; the first is the one that counts.

    Args:
        one_resolution: side of all faces in pixels; None measures them as found.
        native: measure them as found, too.
    """
    views = {} if one_resolution is None else {ONE_RESOLUTION: View(side=one_resolution, jpeg=ONE_JPEG)}
    return views | {NATIVE: View()} if native or not views else views


def step_view(step: Step, one_resolution: int | None) -> View:
    """Return the view of a step: at one resolution where that is asked for, with no other compression."""
    view = View(side=one_resolution)
    if step.kind == "jpeg":
        return replace(view, jpeg=int(step.value))
    if step.kind == "h264":
        return replace(view, h264_crf=int(step.value))
    return replace(view, downscale=step.value) if step.kind == "downscale" else view


def region(face: LabelledFace) -> LabelledFace:
    """Return a face in a region of its image, `REGION` sides of it wide and high or up to the image's edges."""
    height, width = face.image.shape[:2]
    x0, y0, x1, y1 = face.face.box
    half = REGION * max(1.0, face.side) / 2 + _ROUNDING
    left, right = _span((x0 + x1) / 2, half, width)
    top, bottom = _span((y0 + y1) / 2, half, height)
    moved = replace(
        face.face,
        box=(x0 - left, y0 - top, x1 - left, y1 - top),
        landmarks=np.asarray(face.face.landmarks - np.array([left, top]), np.float32),
    )
    return replace(face, image=np.ascontiguousarray(face.image[top:bottom, left:right]), face=moved)


def see(face: LabelledFace, view: View) -> LabelledFace:
    """Return a face of a region as a view shows it, in pixels of that view."""
    if view.side is not None:
        face = _scaled(face, view.side / max(1.0, face.side))
    image = face.image if view.downscale is None else _reduced(face.image, view.downscale)
    height, width = image.shape[:2]
    # H.264 stores colours for two by two pixels (4:2:0): an odd side is one longer for as long as it is encoded.
    even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    seen = degrade(np.asarray(even, np.uint8), Degradation(h264_crf=view.h264_crf, jpeg=view.jpeg))
    return replace(face, image=np.ascontiguousarray(seen[:height, :width]))


def _scaled(face: LabelledFace, scale: float) -> LabelledFace:
    height, width = face.image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return face
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image: Image = np.asarray(cv2.resize(face.image, size, interpolation=way), np.uint8)
    return replace(face, image=image, face=face.face.scaled(size[0] / width, size[1] / height))


def _reduced(image: Image, factor: float) -> Image:
    """Reduced and enlarged again, so that crops are cut at the same pixels."""
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (max(1, round(width * factor)), max(1, round(height * factor))), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _span(centre: float, half: float, length: int) -> tuple[int, int]:
    """Start and end of what lies within a side, at least one pixel."""
    start = min(max(0, int(np.floor(centre - half))), length - 1)
    return start, max(min(length, int(np.ceil(centre + half))), start + 1)
