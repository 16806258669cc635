"""Blending boundary: a step in colour or noise that runs around the face."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artifacts.findings import HEATMAP_SIDE, ArtifactFinding, located, share
from models.artifacts.view import COARSE_SIDE, FaceView

NAME = "blending_boundary"
_ANGLES, _RADII = 48, 28
_INNER, _OUTER = 0.55, 1.35
"""Where a boundary is looked for: from within the cheeks to beyond chin and hairline."""
_REACH = 2
"""Rings on each side that are compared."""
_WEIGHTS = np.array([0.5, 1.0, 1.0, 8.0], np.float32)
"""Of Y, Cr, Cb (levels) and of the logarithm of noise: what a visible step is in each."""
_HALF = 9.0
"""Weighted step that maps to 0.5."""
_DISAGREEMENT = 0.5
"""Standard deviations over the angles by which a step is reduced: what differs by angle is no closed line."""
_WIDTH = 0.08
"""Of the boundary in the heatmap, in radii of the face."""


def boundary_steps(view: FaceView) -> NDArray[np.float32]:
    """Return the steps across each ellipse around the face's centre, float32 [radii, angles, 4]: Y, Cr, Cb, log noise.

    A blended face differs from what is around it along one closed line, in colour and in the noise of its camera
    (Li et al. 2020, "Face X-ray", https://arxiv.org/abs/1912.13458); here the line is sought among ellipses.
    """
    across, along = _grid()
    x, y = view.ellipse.points(across, along, COARSE_SIDE)
    edge = cv2.BORDER_REPLICATE
    colours = cv2.remap(view.coarse, x, y, cv2.INTER_LINEAR, borderMode=edge)
    noise = cv2.remap(view.noise, x, y, cv2.INTER_LINEAR, borderMode=edge)
    polar = np.concatenate([colours, np.log1p(np.asarray(noise))[:, :, None]], axis=2) * _WEIGHTS
    summed = np.cumsum(polar, axis=0, dtype=np.float32)
    inner = (summed[_REACH : -2 * _REACH] - summed[: -3 * _REACH]) / _REACH
    outer = (summed[3 * _REACH :] - summed[2 * _REACH : -_REACH]) / _REACH
    return np.asarray(outer - inner, np.float32)


def analyse_blending(view: FaceView) -> ArtifactFinding:
    """Find the ellipse across which colour and noise step alike all around.

    The measure is the length of the mean step, reduced where the angles disagree, above the median of all radii:
    hair and background step too, but each its own way.
    """
    steps = boundary_steps(view)
    common = steps.mean(1)
    spread = np.sqrt(np.maximum((steps * steps).mean(1) - common * common, 0.0))
    coherent = np.linalg.norm(np.maximum(np.abs(common) - _DISAGREEMENT * spread, 0.0), axis=1)
    at = int(coherent.argmax())
    score = share(float(coherent[at] - np.median(coherent)), _HALF)
    radius = _radii()[at + _REACH + _REACH // 2]
    across, along = view.ellipse.coordinates(HEATMAP_SIDE)
    distance = np.hypot(across, along) - radius
    turn = (np.arctan2(along, across) / (2 * np.pi) * _ANGLES).astype(np.intp) % _ANGLES
    strength = np.exp(-((distance / _WIDTH) ** 2)) * np.linalg.norm(steps[at], axis=1)[turn]
    return located(NAME, score, np.asarray(strength, np.float32))


@cache
def _radii() -> NDArray[np.float64]:
    return np.linspace(_INNER, _OUTER, _RADII)


@cache
def _grid() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    turns = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
    radii = _radii()[:, None]
    return (radii * np.cos(turns)).astype(np.float32), (radii * np.sin(turns)).astype(np.float32)
