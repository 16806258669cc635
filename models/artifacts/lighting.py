"""Lighting: whether the parts of a face are lit from one direction."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artifacts.findings import HEATMAP_SIDE, ArtifactFinding, located, share
from models.artifacts.view import FaceView

NAME = "lighting"
_RADIUS = 0.9
"""The outermost tenth is seen edge-on, or is hair."""
_FEWEST = 40
"""Cells that a part needs."""
_HALF = 0.45
"""Measure that maps to 0.5."""
_DAMPING = 1e-3
"""Keeps the fit of a flat part solvable (ridge), by cell."""


def light_of(view: FaceView, part: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return where a part of the face is lit from: float64 [2], x and y, in shares of its mean brightness.

    Least squares of Lambert's law with an ambient term, luma ~ a n_x + b n_y + c n_z + d, on the normals of an
    ellipsoid in place of the head (Johnson & Farid 2005, https://doi.org/10.1145/1073170.1073171, extended from a
    contour to a surface). (0.5, 0) is lit from the picture's right, at ± 50 %.

    Args:
        part: bool [64, 64], cells within the face.
    """
    if int(part.sum()) < _FEWEST:
        return np.zeros(2)
    across, along = view.across[part], view.along[part]
    depth = np.sqrt(np.maximum(0.0, 1.0 - across * across - along * along))
    luma = view.coarse[:, :, 0][part].astype(np.float64)
    design = np.stack([across, along, depth, np.ones_like(depth)], axis=1).astype(np.float64)
    normal = design.T @ design + np.eye(4) * (_DAMPING * len(luma))
    mean = float(luma.mean())
    fitted = np.linalg.solve(normal, design.T @ (luma - mean))
    return np.asarray(fitted[:2] / (mean + 16.0))


def analyse_lighting(view: FaceView) -> ArtifactFinding:
    """Compare where the upper and the lower half of the face are lit from, across it.

    The measure is the difference of the two, where they contradict each other: one is lit from the left and the
    other from the right. Along the face the fit is blind: brow, eyes and beard are there.
    """
    face = view.inside(_RADIUS)
    upper, lower = light_of(view, face & (view.along < 0.0)), light_of(view, face & (view.along >= 0.0))
    contradiction = abs(float(upper[0] - lower[0])) if upper[0] * lower[0] < 0.0 else 0.0
    score = share(contradiction, _HALF)
    half = view.along < 0.0 if abs(upper[0]) < abs(lower[0]) else view.along >= 0.0
    strength = cv2.resize((face & half).astype(np.float32), (HEATMAP_SIDE,) * 2, interpolation=cv2.INTER_AREA)
    return located(NAME, score, np.asarray(strength, np.float32))
