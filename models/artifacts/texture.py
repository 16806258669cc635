"""Texture: whether the face has the fine structure of what is around it, by local binary patterns."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artifacts.findings import ArtifactFinding, share
from models.artifacts.view import SIDE, FaceView

NAME = "texture"
PATTERNS = 59
"""Uniform patterns of eight neighbours, 58, and one place for all others."""
NEIGHBOURS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""Rows and columns from the middle, in their order around it; the first is the lowest bit."""
_FACE, _INNER, _OUTER = 0.9, 1.1, 1.9
_FEWEST = 1024
"""Pixels that a histogram needs."""
_HALF = 0.25


def local_binary_patterns(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pattern of each inner pixel, uint8 [H - 2, W - 2]: a bit for each neighbour at least as bright.

    Source: Ojala, Pietikäinen & Mäenpää 2002 (https://doi.org/10.1109/TPAMI.2002.1017623), radius 1 on the grid.

    Args:
        luma: uint8 [H, W], H and W ≥ 3.
    """
    height, width = luma.shape
    middle = luma[1:-1, 1:-1]
    patterns = np.zeros(middle.shape, np.uint8)
    for place, (row, column) in enumerate(NEIGHBOURS):
        neighbour = luma[1 + row : height - 1 + row, 1 + column : width - 1 + column]
        # OpenCV compares to 0 or 255: the bit is cut out of that.
        patterns |= np.asarray(cv2.compare(neighbour, middle, cv2.CMP_GE), np.uint8) & np.uint8(1 << place)
    return patterns


def uniform_patterns() -> NDArray[np.uint8]:
    """Return the place of each pattern among the uniform ones, uint8 [256]: at most two changes around the circle."""
    return _places().copy()


def pattern_histogram(places: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Return the shares of the patterns where the mask is not 0, float64 [59]; None where it has too few pixels."""
    counts = np.asarray(cv2.calcHist([places], [0], mask, [PATTERNS], [0, PATTERNS]), np.float64).ravel()
    total = float(counts.sum())
    return counts / total if total >= _FEWEST else None


def analyse_texture(view: FaceView) -> ArtifactFinding:
    """Compare the uniform patterns of the face with those around it: half the χ² distance, 0 the same to 1 disjoint."""
    places = cv2.LUT(local_binary_patterns(view.luma), _places())
    size = (SIDE, SIDE)
    masks = (view.inside(_FACE), view.ring(_INNER, _OUTER))
    face, around = (
        pattern_histogram(
            np.asarray(places, np.uint8),
            np.asarray(cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)[1:-1, 1:-1], np.uint8),
        )
        for mask in masks
    )
    if face is None or around is None:
        return ArtifactFinding(NAME, 0.0)
    distance = float(np.sum((face - around) ** 2 / np.maximum(face + around, 1e-12))) / 2
    return ArtifactFinding(NAME, share(distance, _HALF))


@cache
def _places() -> NDArray[np.uint8]:
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    uniform = np.count_nonzero(bits != np.roll(bits, 1, axis=1), axis=1) <= 2
    places = np.full(256, PATTERNS - 1, np.uint8)
    places[uniform] = np.arange(int(uniform.sum()), dtype=np.uint8)
    return places
