"""Edge consistency: whether the face is as sharp as what is around it."""

import numpy as np
from numpy.typing import NDArray

from models.artifacts.findings import ArtifactFinding, share
from models.artifacts.view import FaceView

NAME = "edge_consistency"
_FACE, _INNER, _OUTER = 0.9, 1.15, 1.9
_STRONGEST = 0.25
"""Share of a part's cells whose edges are compared."""
_FEWEST = 40
_FLOOR = 0.5
"""Of residual and gradient, levels: rounding."""
_HALF = 1.2


def edge_sharpness(view: FaceView, part: NDArray[np.bool_]) -> float | None:
    """Return the ratio of second to first derivatives over a part's strongest edges, logarithmic.

    The narrower an edge the greater its second derivative against its first (Elder & Zucker 1998,
    https://doi.org/10.1109/34.689301); contrast cancels.

    Args:
        part: bool [64, 64].

    Returns:
        None where the part has too few cells, or no edges.
    """
    steep = view.slope[part]
    if len(steep) < _FEWEST:
        return None
    place = int((1 - _STRONGEST) * len(steep))
    chosen = steep >= np.partition(steep, place)[place]
    first, second = float(steep[chosen].mean()), float(view.noise[part][chosen].mean())
    return float(np.log((second + _FLOOR) / (first + _FLOOR))) if first > _FLOOR else None


def analyse_edges(view: FaceView) -> ArtifactFinding:
    """Compare the sharpness of edges in the face and around it: the absolute logarithm of their ratio.

    A face that was synthesised small and enlarged is softer than its surroundings; so is a background out of focus.
    """
    face = edge_sharpness(view, view.inside(_FACE))
    around = edge_sharpness(view, view.ring(_INNER, _OUTER))
    if face is None or around is None:
        return ArtifactFinding(NAME, 0.0)
    return ArtifactFinding(NAME, share(abs(face - around), _HALF))
