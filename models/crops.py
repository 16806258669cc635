"""Cut faces out of a frame, in the form that a model wants them."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from models.faces import Face
from models.manifest import CropSpec

Image = NDArray[np.uint8]

# Where the five landmarks lie in an upright face of side 1: the template of ArcFace
# (https://arxiv.org/abs/1801.07698, insightface's `arcface_dst`), divided by its side of 112.
TEMPLATE: NDArray[np.float32] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
) / np.float32(112)


def cut_faces(image: Image, faces: Sequence[Face], spec: CropSpec, size: int) -> Image:
    """Crops of all faces of one image.

    Args:
        image: uint8 [H, W, 3].
        faces: in the image's coordinates.
        spec: which part around a face, see `CropSpec`.
        size: side of a crop in pixels.

    Returns:
        uint8 [len(faces), size, size, 3], in the image's colour order.
    """
    crops = np.empty((len(faces), size, size, 3), np.uint8)
    for crop, face in zip(crops, faces, strict=True):
        if spec.kind == "aligned":
            crop[...] = aligned_crop(image, face.landmarks, spec.margin, size)
        elif spec.kind == "inside":
            crop[...] = inside_crop(image, face.box, spec.margin, size)
        else:
            crop[...] = square_crop(image, face.box, spec.margin, size)
    return crops


def square_crop(image: Image, box: Sequence[float], margin: float, size: int) -> Image:
    """The square around a box: centred on it, its side `1 + margin` times the box's longer side.

    Where the square leaves the image, the image's edge is repeated. Shrinking averages (INTER_AREA), so that
    no frequency folds down; growing is linear.

    Args:
        image: uint8 [H, W, 3].
        box: x0, y0, x1, y1 in pixels; it may reach outside.
        margin: ≥ 0.
        size: side of the crop in pixels.

    Returns:
        uint8 [size, size, 3].
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    side = max(1, round(max(x1 - x0, y1 - y0) * (1 + margin)))
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    # A box wholly outside still touches the image's last row and column.
    left, top = min(max(left, 1 - side), width - 1), min(max(top, 1 - side), height - 1)
    inside = image[max(top, 0) : top + side, max(left, 0) : left + side]
    if inside.shape[:2] == (side, side):
        return _resize(inside, size, size)
    # What is missing is filled in at the crop's size: a box may be far larger than the image.
    before_y, after_y = _missing(top, side, height, size)
    before_x, after_x = _missing(left, side, width, size)
    inside = _resize(inside, size - before_y - after_y, size - before_x - after_x)
    return _as_image(cv2.copyMakeBorder(inside, before_y, after_y, before_x, after_x, cv2.BORDER_REPLICATE))


def inside_crop(image: Image, box: Sequence[float], margin: float, size: int) -> Image:
    """The box made `1 + margin` times as wide and high, moved to where it lies in the image, and stretched to a square.

    Where it is larger than the image, both sides get smaller alike until they are one pixel less than the image's.
    It is resized bilinearly without averaging. All this is how MiniFASNet's own pictures were cut.
    Source: `src/generate_patches.py` of https://github.com/minivision-ai/Silent-Face-Anti-Spoofing.

    Args:
        image: uint8 [H, W, 3].
        box: x0, y0, x1, y1 in pixels.
        margin: ≥ 0.
        size: side of the crop in pixels.

    Returns:
        uint8 [size, size, 3].
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    wide, high = max(x1 - x0, 1.0), max(y1 - y0, 1.0)
    scale = min((height - 1) / high, (width - 1) / wide, 1 + margin)
    left, right = _within((x0 + x1 - wide * scale) / 2, wide * scale, width)
    top, bottom = _within((y0 + y1 - high * scale) / 2, high * scale, height)
    part = image[top:bottom, left:right]
    return _as_image(cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR))


def aligned_crop(image: Image, landmarks: NDArray[np.float32], margin: float, size: int) -> Image:
    """The face turned upright: the similarity that brings its landmarks nearest to the template.

    Args:
        image: uint8 [H, W, 3].
        landmarks: float32 [5, 2], in the order of `Face`.
        margin: share of the template's side that is added around it.
        size: side of the crop in pixels.

    Returns:
        uint8 [size, size, 3]; outside the image its edge is repeated.
    """
    target = np.asarray(((TEMPLATE - 0.5) / (1 + margin) + 0.5) * size, np.float32)
    matrix = similarity(landmarks, target)
    # An affine warp samples points: what it would shrink is averaged down first.
    shrink = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if shrink < 0.5:
        height, width = image.shape[:2]
        reduced = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        image = _as_image(cv2.resize(image, reduced, interpolation=cv2.INTER_AREA))
        matrix[:, :2] @= np.diag([width / reduced[0], height / reduced[1]]).astype(np.float32)
    edge = cv2.BORDER_REPLICATE
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=edge)
    return _as_image(warped)


def similarity(source: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rotation, scale and shift that bring points nearest to others, least squares.

    Source: Umeyama 1991 (https://doi.org/10.1109/34.88573), in its closed form for the plane.

    Args:
        source: float32 [K, 2].
        target: float32 [K, 2].

    Returns:
        float32 [2, 3], to be applied to column vectors (x, y, 1).
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    a, b = source - source_mean, target - target_mean
    spread = max(float((a * a).sum()), 1e-12)
    cosine = float((a * b).sum()) / spread
    sine = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / spread
    turn = np.array([[cosine, -sine], [sine, cosine]], np.float32)
    shift = target_mean - turn @ source_mean
    return np.concatenate([turn, shift[:, None]], axis=1).astype(np.float32)


def _within(start: float, length: float, room: int) -> tuple[int, int]:
    """First pixel, and the one after the last, of a stretch moved into `room` pixels; at least one pixel."""
    start = min(max(start, 0.0), room - length)
    first = min(int(start), room - 1)
    return first, max(int(start + length), first + 1)


def _missing(start: int, side: int, length: int, size: int) -> tuple[int, int]:
    """Pixels of a crop of `size` that lie before and after the image, along one axis; at least one lies in it."""
    before = min(round(max(-start, 0) * size / side), size - 1)
    after = min(round(max(start + side - length, 0) * size / side), size - 1 - before)
    return before, after


def _resize(image: Image, height: int, width: int) -> Image:
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] > height or image.shape[1] > width
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return _as_image(cv2.resize(image, (width, height), interpolation=way))


def _as_image(array: object) -> Image:
    """OpenCV's stubs allow any number in an answer; uint8 in is uint8 out."""
    return np.asarray(array, np.uint8)
