"""Where in a face a detector saw alteration: a coarse map that travels with the evidence."""

from base64 import b64decode, b64encode
from math import isqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from models.evidence import RelativeBox

Heat = NDArray[np.float32]
"""float32 [S, S] in [0, 1], over the crop that the detector judged."""
_STRONG = 0.5
"""Cells from this share of the strongest make a region."""
_LEAST = 0.25
"""A map that is nowhere above it shows nothing."""


def pack(heat: Heat) -> str:
    """Return a map as text: a byte a cell, row by row, in Base64."""
    return b64encode(np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8).tobytes()).decode()


def unpack(text: str) -> Heat:
    """Return the map that `pack` wrote, to 1/255.

    Raises:
        ValueError: the text is no square map.
    """
    cells = np.frombuffer(b64decode(text, validate=True), np.uint8)
    side = isqrt(len(cells))
    if side == 0 or side * side != len(cells):
        raise ValueError(f"a map is square, this one has {len(cells)} cells")
    return (cells.reshape(side, side) / np.float32(255)).astype(np.float32)


def regions(heat: Heat) -> tuple[RelativeBox, ...]:
    """Return the boxes around a map's strong and connected cells, the strongest first, as shares of the crop."""
    strongest = float(heat.max())
    if strongest < _LEAST:
        return ()
    strong = np.asarray(heat >= _STRONG * strongest, np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(strong, connectivity=8)
    side = heat.shape[0]
    peaks = [(float(heat[labels == label].max()), label) for label in range(1, count)]
    boxes = []
    for _, label in sorted(peaks, reverse=True):
        left, top, width, height = (int(edge) / side for edge in stats[label][:4])
        boxes.append(RelativeBox(left, top, width, height))
    return tuple(boxes)
