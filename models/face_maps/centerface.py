"""CenterFace (https://arxiv.org/abs/1911.03599): four maps with a cell for every four pixels."""

import numpy as np
from numpy.typing import NDArray

from models.face_maps.maps import Answers, FaceMaps, Found

CELL = 4
"""Pixels that a cell covers."""
LARGEST_LOG_SIZE = 8.0
"""The log of a size above this would be a face of thousands of pixels: clipped before exp can overflow."""
HEAT, SIZES, OFFSETS, LANDMARKS = "537", "538", "539", "540"
"""Outputs: score of a face centred in the cell; log of height and width in cells; y and x of the centre within the
cell; y and x of each landmark from the box's corner, in box sizes."""


def _scores(answers: Answers) -> NDArray[np.float32]:
    heat = answers[HEAT]
    return heat.reshape(len(heat), -1)


def _find(answers: Answers, width: int, min_score: float) -> Found:  # noqa: ARG001  (the maps' shape says it)
    """Section 3.2 of the paper."""
    heat = answers[HEAT]
    rows, columns = np.nonzero(heat[0] > min_score)
    scores = heat[0, rows, columns]
    centres = np.stack([columns, rows], 1) + answers[OFFSETS][::-1, rows, columns].T + np.float32(0.5)
    spans = np.exp(np.minimum(answers[SIZES][::-1, rows, columns].T, LARGEST_LOG_SIZE))
    corners = (centres - spans / 2) * CELL
    spans = spans * CELL
    boxes = np.concatenate([corners, corners + spans], 1).astype(np.float32)
    points = answers[LANDMARKS][:, rows, columns].T.reshape(-1, 5, 2)[:, :, ::-1] * spans[:, None] + corners[:, None]
    return boxes, scores, points.astype(np.float32)


MAPS = FaceMaps(
    "CenterFace",
    {
        HEAT: ("N", 1, "h", "w"),
        SIZES: ("N", 2, "h", "w"),
        OFFSETS: ("N", 2, "h", "w"),
        LANDMARKS: ("N", 10, "h", "w"),
    },
    _scores,
    _find,
)
