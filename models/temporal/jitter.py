"""Landmark jitter: whether the points of a face tremble against each other."""

import numpy as np
from numpy.typing import NDArray

from models.artifacts.findings import share
from models.temporal.findings import TemporalFinding
from models.temporal.series import Series

NAME = "landmark_jitter"
FEWEST = 5
"""Triples of frames that follow each other that it takes."""
LONGEST_STEP_MS = 500
"""Of a face that may have spoken and turned in between nothing is told, milliseconds."""
_HALF = 0.03
"""Mean deviation, in distances of the eyes, that maps to 0.5: a pixel or two of a face of a hundred."""


def tremble(series: Series) -> NDArray[np.float64]:
    """Return how far the landmarks of each frame are from where its neighbours have them, in distances of the eyes.

    Both neighbours are laid over the frame by the similarity that fits best (Procrustes analysis, Gower 1975,
    https://doi.org/10.1007/BF02291478; in the plane a complex factor, in closed form), so that a head that moves,
    nears or tilts has none. What is left is the deviation from the line between them: a head that turns at a steady
    pace has nearly none. Landmarks over time as a cue: Sun et al. 2021 (https://arxiv.org/abs/2104.04480).

    Args:
        series: x and y of five landmarks, values float64 [T, 5, 2], eyes first, in one unit along both axes.

    Returns:
        float64 [K], the root mean square over the landmarks, by triple of frames that follow each other. Triples
        whose eyes coincide are left out.
    """
    middles = series.triples(LONGEST_STEP_MS)
    points = series.values[..., 0] + 1j * series.values[..., 1]
    centred = points - points.mean(axis=1, keepdims=True)
    here = centred[middles]
    before, after = (_laid_over(centred[middles + step], here) for step in (-1, 1))
    left, right = series.neighbours(middles)
    off = here - left[:, None] * before - right[:, None] * after
    off /= np.sqrt(1.0 + left * left + right * right)[:, None]
    eyes = np.abs(points[middles, 1] - points[middles, 0])
    apart = eyes > 0.0
    return np.asarray(np.sqrt(np.mean(np.abs(off[apart]) ** 2, axis=1)) / eyes[apart])


def analyse_jitter(series: Series) -> TemporalFinding | None:
    """Score the mean tremble of landmarks; samples are triples of frames."""
    trembles = tremble(series)
    if len(trembles) < FEWEST:
        return None
    raw = float(trembles.mean())
    return TemporalFinding(NAME, share(raw, _HALF), raw, len(trembles))


def _laid_over(points: NDArray[np.complex128], target: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Centred points [K, 5], turned and scaled to fit the target's best; those all in one place stay there."""
    size = np.sum(np.abs(points) ** 2, axis=1)
    fit = np.sum(np.conj(points) * target, axis=1)
    factor = np.divide(fit, size, out=np.zeros_like(fit), where=size > 0.0)
    return np.asarray(points * factor[:, None])
