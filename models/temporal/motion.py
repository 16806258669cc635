"""How a face moves from one frame to the next, against what is around it, by dense optical flow."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import hypot

import cv2
import numpy as np
from numpy.typing import NDArray

from models.evidence import Motion

SIDE = 96
"""Of a glimpse, pixels: a face of 48, in which eyes and mouth are seen to move."""
LONGEST_INTERVAL_MS = 500
"""A head turns by up to some 100 degrees a second: in half a second half of what was seen of it is out of sight, and
flow between two pictures of different things means nothing."""
_MARGIN = 1.0
"""As much again as the face, around it."""
_REDUCED = 2 * SIDE
"""Larger squares are first brought to between once and twice this side, by a power of 2, which is fast."""
_GROWTH = 1.5
"""Sides of one face's boxes that differ by more than this factor are not the same face as found twice."""
_FARTHEST = 0.75
"""Nor are boxes whose middles are further apart, in sides: most of the glimpses would show different things."""
_INSIDE, _INNER, _OUTER = 0.9, 1.15, 1.8
"""Radii of the ellipse within the box: the face, and the hair, ears, neck and background around it."""
_STRUCTURE = 1.5
"""Gradient, levels by pixel, from which flow is seen: in what is flat it is only guessed."""
_FEWEST = 60
"""Pixels with structure that either part needs."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceGlimpse:
    """A small picture of a face and what is around it, and where it was.

    Attributes:
        picture: uint8 [96, 96], luma; where the frame ends its edge is repeated.
        left, top, side: the square that it shows, pixels of the frame; it may reach outside.
        box: of the face, x0, y0, x1, y1 in pixels of the frame.
        width, height: of the frame, pixels.
    """

    picture: NDArray[np.uint8]
    left: int
    top: int
    side: int
    box: tuple[float, float, float, float]
    width: int
    height: int

    @property
    def face_side(self) -> float:
        """Longer side of the face's box, pixels of the frame."""
        x0, y0, x1, y1 = self.box
        return max(x1 - x0, y1 - y0)

    @property
    def middle(self) -> tuple[float, float]:
        """Of the face's box, x and y, pixels of the frame."""
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2


def glimpse(image: NDArray[np.uint8], box: Sequence[float]) -> FaceGlimpse:
    """Return a glimpse of a face.

    Args:
        image: uint8 [H, W, 3] RGB.
        box: x0, y0, x1, y1 in pixels; what lies outside the frame is cut off.

    Raises:
        ValueError: the box has no pixel of the frame.
    """
    height, width = image.shape[:2]
    x0, x1 = (min(max(float(edge), 0.0), float(width)) for edge in (box[0], box[2]))
    y0, y1 = (min(max(float(edge), 0.0), float(height)) for edge in (box[1], box[3]))
    if not (x1 > x0 and y1 > y0):
        raise ValueError(f"the box {tuple(box)} has no pixel of a frame of {width} x {height}")
    wanted = max(1.0, max(x1 - x0, y1 - y0) * (1 + _MARGIN))
    shrink = 1
    while wanted >= 2 * shrink * _REDUCED:
        shrink *= 2
    side = shrink * max(1, round(wanted / shrink))
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    # Of a large square half of the rows are as good as all: several of them make one of the glimpse.
    skip = 2 if shrink >= 4 else 1
    inside = image[max(top, 0) : top + side : skip, max(left, 0) : left + side]
    luma = cv2.cvtColor(inside, cv2.COLOR_RGB2GRAY)
    above = max(-top, 0) // skip
    missing = (above, side // skip - above - len(luma), max(-left, 0), max(left + side - width, 0))
    if any(missing):
        luma = cv2.copyMakeBorder(luma, *missing, cv2.BORDER_REPLICATE)
    if shrink > 1:
        luma = cv2.resize(luma, (side // shrink,) * 2, interpolation=cv2.INTER_AREA)
    way = cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR
    picture = np.asarray(cv2.resize(luma, (SIDE, SIDE), interpolation=way), np.uint8)
    return FaceGlimpse(picture, left, top, side, (x0, y0, x1, y1), width, height)


def face_motion(before: FaceGlimpse, after: FaceGlimpse, interval_ms: int) -> Motion | None:
    """Return how a face moved between two glimpses of it.

    Dense inverse search (Kroeger et al. 2016, https://arxiv.org/abs/1603.03590, OpenCV's) finds the flow from one
    picture to the other, which both are centred on the face, so that little of it is left inside; the places of their
    squares bring it back to the frame, so that a box found a little differently is no motion. Only pixels with
    structure count, and only those that the frame shows.

    Args:
        before: the earlier.
        after: the later, of the same track and size of frame.
        interval_ms: time between them.

    Returns:
        None where it would mean nothing: beyond `LONGEST_INTERVAL_MS`, between boxes or frames too unlike to be one
        face seen twice, or with too little structure in the face or around it.
    """
    if not 0 < interval_ms <= LONGEST_INTERVAL_MS or not _comparable(before, after):
        return None
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(0)
    flow = np.asarray(search.calc(before.picture, after.picture, None), np.float32)  # type: ignore[call-overload]
    across, along = _middles()
    to_x = np.float32(after.left) + (across + flow[:, :, 0] / np.float32(SIDE)) * np.float32(after.side)
    to_y = np.float32(after.top) + (along + flow[:, :, 1] / np.float32(SIDE)) * np.float32(after.side)
    x = np.float32(before.left) + across * np.float32(before.side)
    y = np.float32(before.top) + along * np.float32(before.side)
    seen = _structured(before.picture) & _within(x, y, before) & _within(to_x, to_y, before)
    radius = _radius(x, y, before.box)
    face = seen & (radius < _INSIDE)
    around = seen & (radius >= _INNER) & (radius < _OUTER)
    if np.count_nonzero(face) < _FEWEST or np.count_nonzero(around) < _FEWEST:
        return None
    by_second = 1000.0 / (interval_ms * before.face_side)
    moved = np.stack([to_x - x, to_y - y], axis=2) * np.float32(by_second)
    inside, outside = moved[face].astype(np.float64), moved[around].astype(np.float64)
    rows, columns = np.nonzero(face)
    return Motion(
        face=float(np.hypot(*inside.T).mean()),
        around=float(np.hypot(*outside.T).mean()),
        unlike=float(np.hypot(*(inside.mean(0) - outside.mean(0)))),
        disorder=_disorder(columns, rows, inside),
        interval_ms=interval_ms,
    )


def _comparable(before: FaceGlimpse, after: FaceGlimpse) -> bool:
    if (before.width, before.height) != (after.width, after.height):
        return False
    small, large = sorted((before.face_side, after.face_side))
    apart = hypot(after.middle[0] - before.middle[0], after.middle[1] - before.middle[1])
    return large <= _GROWTH * small and apart <= _FARTHEST * small


def _structured(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    x, y = (cv2.Sobel(picture, cv2.CV_32F, *order, scale=0.125) for order in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(x, y)) >= _STRUCTURE


def _within(x: NDArray[np.float32], y: NDArray[np.float32], of: FaceGlimpse) -> NDArray[np.bool_]:
    return np.asarray((x >= 0) & (x < of.width) & (y >= 0) & (y < of.height))


def _radius(
    x: NDArray[np.float32], y: NDArray[np.float32], box: tuple[float, float, float, float]
) -> NDArray[np.float32]:
    """Distance from the box's middle, 1 on the ellipse within it."""
    x0, y0, x1, y1 = box
    across = (x - np.float32((x0 + x1) / 2)) * np.float32(2 / (x1 - x0))
    along = (y - np.float32((y0 + y1) / 2)) * np.float32(2 / (y1 - y0))
    return np.asarray(np.sqrt(across * across + along * along), np.float32)


def _disorder(columns: NDArray[np.intp], rows: NDArray[np.intp], moved: NDArray[np.float64]) -> float:
    """Mean distance of motions [N, 2] from the affine motion that fits them best, by least squares."""
    places = np.stack([np.ones(len(rows)), columns - columns.mean(), rows - rows.mean()], axis=1)
    fitted, *_ = np.linalg.lstsq(places.T @ places, places.T @ moved, rcond=None)
    return float(np.hypot(*(moved - places @ fitted).T).mean())


@cache
def _middles() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    middles = ((np.arange(SIDE) + 0.5) / SIDE).astype(np.float32)
    return middles[None, :], middles[:, None]
