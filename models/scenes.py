"""Scene cuts: where a frame differs as a whole from the one before."""

import cv2
import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 32, 18
"""Frames are compared reduced to this size, pixels: motion hardly shows, a cut does."""
_CUT = 48.0
"""Mean absolute difference of the reduced frames, 0 to 255, from which a new scene begins."""


def view(image: NDArray[np.uint8]) -> bytes:
    """Return a frame, uint8 [H, W, 3] RGB, reduced to 32 x 18 pixels of luma: 576 bytes, row by row."""
    reduced = cv2.resize(image, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(reduced, cv2.COLOR_RGB2GRAY).tobytes()


def is_cut(before: bytes, after: bytes) -> bool:
    """Tell whether two successive frames, as `view` gives them, belong to different scenes."""
    difference = np.frombuffer(before, np.uint8).astype(np.int16) - np.frombuffer(after, np.uint8)
    return float(np.abs(difference).mean()) > _CUT
