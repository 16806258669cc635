"""Lighting over time: how a face is lit in one frame, and whether that drifts while the head keeps still."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artifacts.findings import share
from models.evidence import Light
from models.temporal.findings import TemporalFinding
from models.temporal.series import Series

NAME = "lighting_drift"
FEWEST = 4
"""Pairs of frames that follow each other that it takes."""
_SIDE = 16
"""Cells along each side of the face in which the plane is fitted."""
_ENOUGH = 64
"""Of a face's shorter side at least so many pixels are looked at: a plane needs no more."""
_DARK = 16.0
"""Added to brightness that is divided by, levels: black of ITU-R BT.601."""
_TURN = 15.0
"""Degrees that a head turns by which light on it is expected to change as much again."""
_HALF = 0.1
"""Change, in shares of the brightness, that maps to 0.5."""


def face_light(crop: NDArray[np.uint8]) -> Light:
    """Return how a face is lit: the plane through its luma by least squares.

    The first-order spherical harmonics of a Lambertian surface are linear in its normals (Basri & Jacobs 2003,
    https://doi.org/10.1109/TPAMI.2003.1177153); over a face they grow about linearly with the place.

    Args:
        crop: uint8 [H, W, 3] RGB, the face's box as it is in the frame, H and W ≥ 1.

    Raises:
        ValueError: it is no such array.
    """
    if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or 0 in crop.shape:
        raise ValueError(f"a crop is uint8 [H, W, 3] with pixels, got {crop.dtype} {list(crop.shape)}")
    step = max(1, min(crop.shape[:2]) // _ENOUGH)
    cells = cv2.resize(crop[::step, ::step], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    luma = np.asarray(cv2.cvtColor(cells, cv2.COLOR_RGB2GRAY), np.float64)
    mean, across, along = (float(part) for part in _plane() @ luma.ravel())
    return Light(mean, across, along)


def drift(series: Series) -> NDArray[np.float64]:
    """Return how much the light of a face changes from frame to frame, in shares of its brightness, float64 [K].

    The length of the change of mean, across and along, less the more the head turned meanwhile: a face that turns in
    a steady light is lit differently, one that keeps still is not. That the light of faces put in betrays them:
    Johnson & Farid 2007 (https://doi.org/10.1109/TIFS.2007.903848).

    Args:
        series: `Light.mean`, `across`, `along` and `Pose.yaw`, `pitch`, values float64 [T, 5].

    Returns:
        By pair of frames that follow each other.
    """
    adjacent = series.adjacent()
    change = np.diff(series.values, axis=0)[adjacent]
    brightness = (series.values[:-1, 0] + series.values[1:, 0])[adjacent] / 2 + _DARK
    turned = np.hypot(change[:, 3], change[:, 4])
    return np.asarray(np.linalg.norm(change[:, :3], axis=1) / brightness / (1.0 + turned / _TURN))


def analyse_drift(series: Series) -> TemporalFinding | None:
    """Score the mean drift of light; samples are pairs of frames."""
    drifts = drift(series)
    if len(drifts) < FEWEST:
        return None
    raw = float(drifts.mean())
    return TemporalFinding(NAME, share(raw, _HALF), raw, len(drifts))


@cache
def _plane() -> NDArray[np.float64]:
    """What takes the cells' luma to the plane's mean and rises, float64 [3, 256]: the design's pseudo-inverse."""
    middles = (np.arange(_SIDE) + 0.5) / _SIDE - 0.5
    across, along = np.meshgrid(middles, middles)
    design = np.stack([np.ones(_SIDE * _SIDE), across.ravel(), along.ravel()], axis=1)
    return np.asarray(np.linalg.pinv(design))
