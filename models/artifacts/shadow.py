"""Shadow: whether the face is dark on the side on which what is around it is dark."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artifacts.findings import HEATMAP_SIDE, ArtifactFinding, located, share
from models.artifacts.view import FaceView

NAME = "shadow"
_FACE, _INNER, _OUTER = 0.85, 1.15, 1.9
_DARKEST = 0.3
"""Share of the cells that are taken for shadow."""
_FEWEST = 40
_HALF = 0.35


def shadow_side(view: FaceView, part: NDArray[np.bool_]) -> tuple[float, NDArray[np.bool_]]:
    """Return on which side of the face a part's shadow lies, and the shadow's cells, bool [64, 64].

    The side is the mean place of the darkest cells across the face against that of the others, in half widths of the
    face, times their contrast of luma, 0 to 1: negative on the picture's left.

    Args:
        part: bool [64, 64].
    """
    if int(part.sum()) < _FEWEST:
        return 0.0, np.zeros_like(part)
    luma = view.coarse[:, :, 0]
    inside = luma[part]
    place = int(_DARKEST * len(inside))
    limit = float(np.partition(inside, place)[place])
    dark = part & (luma <= limit)
    light = part & ~dark
    if not light.any():
        return 0.0, np.zeros_like(part)
    bright = float(luma[light].mean())
    contrast = 1.0 - float(luma[dark].mean()) / (bright + 1.0)
    return float(view.across[dark].mean() - view.across[light].mean()) * contrast, dark


def analyse_shadow(view: FaceView) -> ArtifactFinding:
    """Compare the side of the face's shadow with that of neck and surroundings.

    After Kee, O'Brien & Farid 2013 (https://doi.org/10.1145/2487228.2487236): shadows of one light agree. Here only
    left against right, so only a contradiction counts: the measure is twice the lesser of the two.
    """
    face, dark = shadow_side(view, view.inside(_FACE))
    around, _ = shadow_side(view, view.ring(_INNER, _OUTER))
    contradiction = 2 * min(abs(face), abs(around)) if face * around < 0.0 else 0.0
    strength = cv2.resize(dark.astype(np.float32), (HEATMAP_SIDE,) * 2, interpolation=cv2.INTER_AREA)
    return located(NAME, share(contradiction, _HALF), np.asarray(strength, np.float32))
