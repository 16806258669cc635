"""Compression: what JPEG and the video codecs leave of their blocks, their edges and their steps."""

from functools import cache
from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artifacts.findings import ArtifactFinding, either, share
from models.artifacts.view import FaceView

NAME = "compression"
BLOCK = 8
"""Side of a block of JPEG (ITU-T T.81), pixels."""
_BLOCKINESS_HALF, _RINGING_HALF, _DOUBLE_HALF = 0.6, 3.0, 0.25
"""Raw measures that map to 0.5; 95 % of photographs score less over all three."""
_FLOOR = 0.5
"""Of differences of luma: less than rounding makes of a flat picture."""
_EDGE = 12.0
"""Mean gradient from which a cell has an edge that rings, luma by pixel."""
_FEWEST_CELLS = 40
_MODES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2))
"""Frequencies whose coefficients are many enough in a face to have a histogram."""
_LARGEST = 128
"""Coefficients are counted up to this magnitude."""
_FREQUENCIES = 160
"""Frequencies between 0 and 1/2 at which a histogram of coefficients is looked at."""
_FEWEST = 96
"""Coefficients other than 0 that a histogram needs."""
_COMB = 0.25
"""From which a histogram is that of a quantised coefficient."""


def blockiness(luma: NDArray[np.uint8]) -> float:
    """Return how much the steps between blocks exceed those within, 0 for none; blind to where the grid begins.

    The logarithm of the ratio of the mean absolute difference across the likeliest of the eight grids to that of the
    second likeliest, the mean of both directions (differences at the borders of blocks against those within: Wang,
    Bovik & Evans 2000, https://doi.org/10.1109/ICIP.2000.899622).

    Args:
        luma: uint8 [H, W]; 0 is returned unless both are at least 17. A picture that was scaled after compression
            has lost its grid.
    """
    if min(luma.shape) <= 2 * BLOCK:
        return 0.0
    total = 0.0
    for profile in (_steps(luma, 1), _steps(luma, 0)):
        phases = np.bincount(np.arange(len(profile)) % BLOCK, profile, BLOCK) / (len(profile) / BLOCK)
        strongest = int(phases.argmax())
        others = np.delete(phases, strongest)
        total += float(np.log((phases[strongest] + _FLOOR) / (others.max() + _FLOOR)))
    return total / 2


def ringing(view: FaceView) -> float:
    """Return the ratio of noise in the cells beside strong edges to the noise elsewhere, less 1; at least 0.

    Coarse quantisation of high frequencies leaves Gibbs' oscillations about edges, within their block (Marziliano
    et al. 2004, https://doi.org/10.1016/j.image.2003.08.003). Cells of 4 x 4 pixels; those with an edge do not count.
    """
    edges = np.asarray(view.slope > _EDGE, np.uint8)
    near = np.asarray(cv2.dilate(edges, np.ones((3, 3), np.uint8)), np.bool_)
    beside = near & (edges == 0)
    if np.count_nonzero(beside) < _FEWEST_CELLS or near.all():
        return 0.0
    around, elsewhere = float(view.noise[beside].mean()), float(view.noise[~near].mean())
    return max(0.0, (around + _FLOOR) / (elsewhere + _FLOOR) - 1.0)


def block_dct(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the 8 x 8 DCT-II of each block, float32 [H/8, W/8, 8, 8], orthonormal: T.81's, before quantisation.

    Args:
        luma: uint8 [H, W], multiples of 8; 128 is subtracted as T.81 does.
    """
    height, width = luma.shape
    rows = luma.reshape(height // BLOCK, BLOCK, width).astype(np.float32) - 128
    # By rows of blocks: of one large product BLAS would make work for threads, which costs more than the product.
    columns = (_basis() @ rows).reshape(height // BLOCK, width, BLOCK) @ _basis().T
    blocks = columns.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(0, 2, 1, 3)
    return np.asarray(blocks, np.float32)


def double_quantisation(luma: NDArray[np.uint8]) -> float:
    """Return how surely the blocks were quantised twice with different steps, 0 to 1.

    Quantised coefficients lie on a comb of one step, so the Fourier transform of their histogram falls from
    frequency 0 and rises only at the inverse of the step. Where they were quantised before with another step, the
    comb's teeth are periodically uneven, and the transform has another peak before (Popescu & Farid 2004,
    https://doi.org/10.1007/978-3-540-30114-1_10). What is returned is that peak's height over the least before it,
    less twice its standard error, the mean over the frequencies of `_MODES` that are combs.

    Args:
        luma: uint8 [256, 256] whose blocks begin where those of the last JPEG did, and that was not scaled since.
    """
    coefficients = block_dct(luma)
    rows, columns = (list(part) for part in zip(*_MODES, strict=True))
    chosen = np.rint(np.abs(coefficients[:, :, rows, columns])).astype(np.intp).reshape(-1, len(_MODES))
    places = np.minimum(chosen, _LARGEST) + np.arange(len(_MODES)) * (_LARGEST + 1)
    counts = np.bincount(places.ravel(), minlength=len(_MODES) * (_LARGEST + 1)).reshape(len(_MODES), -1)
    counts = counts[:, 1:_LARGEST].astype(np.float64)
    numbers = counts.sum(1)
    enough = numbers >= _FEWEST
    if not enough.any():
        return 0.0
    combs = (counts[enough] @ _cosines()) / numbers[enough, None]
    rises = [_early_rise(comb, number) for comb, number in zip(combs, numbers[enough], strict=True)]
    found = [rise for rise in rises if rise is not None]
    return float(np.mean(found)) if found else 0.0


def _early_rise(comb: NDArray[np.float64], number: float) -> float | None:
    """Height of the highest peak before the one of the last step; None without a comb."""
    least = np.minimum.accumulate(comb)
    rise = comb - least
    last = int(rise.argmax())
    if rise[last] < _COMB:
        return None
    # A tooth is as wide as the histogram is narrow: its own flank is no other peak.
    flank = last
    while flank > 0 and comb[flank - 1] < comb[flank]:
        flank -= 1
    before = float(rise[: flank + 1].max())
    return max(0.0, before - 2.0 / sqrt(2.0 * number))


def analyse_compression(view: FaceView) -> ArtifactFinding:
    """Look for blocks, ringing and a second quantisation; nowhere in particular."""
    score = either(
        share(blockiness(view.luma), _BLOCKINESS_HALF),
        share(ringing(view), _RINGING_HALF),
        share(double_quantisation(view.luma), _DOUBLE_HALF),
    )
    return ArtifactFinding(NAME, score)


def _steps(luma: NDArray[np.uint8], axis: int) -> NDArray[np.float64]:
    """Mean absolute difference of neighbours by their place along an axis, float64: of whole blocks."""
    ahead = (luma[:, 1:], luma[:, :-1]) if axis == 1 else (luma[1:], luma[:-1])
    profile = np.asarray(cv2.reduce(cv2.absdiff(*ahead), 1 - axis, cv2.REDUCE_AVG, dtype=cv2.CV_32F), np.float64)
    return profile.ravel()[: profile.size // BLOCK * BLOCK]


@cache
def _basis() -> NDArray[np.float32]:
    """Rows of the orthonormal DCT-II of 8 samples."""
    places, frequencies = np.arange(BLOCK), np.arange(BLOCK)[:, None]
    basis = np.cos((2 * places + 1) * frequencies * np.pi / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, np.float32)


@cache
def _cosines() -> NDArray[np.float64]:
    """Cosine of each magnitude 1 to 127 at each frequency, float64 [127, 160]."""
    frequencies = np.arange(_FREQUENCIES) / (2 * _FREQUENCIES)
    return np.asarray(np.cos(2 * np.pi * np.arange(1, _LARGEST)[:, None] * frequencies))
