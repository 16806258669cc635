"""YuNet (Wu et al. 2023, https://doi.org/10.1007/s11633-023-1423-y): no anchors, cells of 8, 16 and 32 pixels.

Decoding as in OpenCV's `FaceDetectorYN` (modules/objdetect/src/face_detect.cpp).
"""

import numpy as np
from numpy.typing import NDArray

from models.face_maps.maps import Answers, FaceMaps, Found

CELLS = (8, 16, 32)
"""Pixels that a cell covers, by level."""
LARGEST_LOG_SIZE = 6.0
"""The log of a size, in cells, above this would be a face of thousands of pixels: clipped before exp can overflow."""


def _of_level(answers: Answers, cell: int) -> NDArray[np.float32]:
    """Scores of one level, in the shape of its outputs without their last axis."""
    certain = np.clip(answers[f"cls_{cell}"][..., 0], 0, 1) * np.clip(answers[f"obj_{cell}"][..., 0], 0, 1)
    return np.asarray(np.sqrt(certain), np.float32)


def _scores(answers: Answers) -> NDArray[np.float32]:
    return np.concatenate([_of_level(answers, cell) for cell in CELLS], axis=1)


def _find(answers: Answers, width: int, min_score: float) -> Found:
    boxes, scores, points = [], [], []
    for cell in CELLS:
        of_level = _of_level(answers, cell)
        (places,) = np.nonzero(of_level > min_score)
        corners = np.stack(np.divmod(places, width // cell)[::-1], 1).astype(np.float32)
        distances = answers[f"bbox_{cell}"][places]
        centres = (corners + distances[:, :2]) * cell
        spans = np.exp(np.minimum(distances[:, 2:], LARGEST_LOG_SIZE)) * cell
        boxes.append(np.concatenate([centres - spans / 2, centres + spans / 2], 1))
        scores.append(of_level[places])
        points.append((answers[f"kps_{cell}"][places].reshape(-1, 5, 2) + corners[:, None]) * cell)
    return (
        np.concatenate(boxes).astype(np.float32),
        np.concatenate(scores),
        np.concatenate(points).astype(np.float32),
    )


MAPS = FaceMaps(
    "YuNet",
    {
        f"{name}_{cell}": ("N", f"cells_{cell}", width)
        for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
        for cell in CELLS
    },
    _scores,
    _find,
)
