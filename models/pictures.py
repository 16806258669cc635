"""Pictures of evidence: a face, and where a detector saw alteration in it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.heat import Heat

SIDE = 96
"""Of each of a thumbnail's two halves, pixels."""
_QUALITY = 80
_CELL = 16
"""Side of a cell of a blurred face, pixels: six across it. At eight by eight people are still recognised, see
L. D. Harmon and B. Julesz, "Masking in visual recognition", Science 180 (1973)."""
_MOST_OPAQUE = 0.65
"""Of the colour laid over the hottest cells."""


_FULL = 0.4
"""A map whose strongest cell is above it is shown as strongly as can be: pictures say where, scores how much."""


def shown(heat: Heat) -> Heat:
    """Return a map as pictures show it: scaled so that its strongest cell is 1, unless it is a weak one."""
    return np.asarray(heat / max(float(heat.max()), _FULL), np.float32)


def overlay(crop: NDArray[np.uint8], heat: Heat) -> NDArray[np.uint8]:
    """Return a crop with a map laid over it: the hotter, the more yellow and the less of the face.

    Args:
        crop: uint8 [H, W, 3] RGB.
        heat: float32 [S, S] in [0, 1], over the whole crop.
    """
    height, width = crop.shape[:2]
    smooth = np.clip(
        np.asarray(cv2.resize(shown(heat), (width, height), interpolation=cv2.INTER_CUBIC), np.float32), 0, 1
    )
    levels = np.rint(smooth * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_PLASMA), cv2.COLOR_BGR2RGB)
    share = (_MOST_OPAQUE * smooth)[:, :, None]
    return np.asarray(np.rint(crop * (1 - share) + colours * share), np.uint8)


def blurred(jpeg: bytes) -> bytes:
    """Return a thumbnail of which nobody can be told: reduced to some cells, and enlarged again.

    Args:
        jpeg: as `thumbnail` gives it.
    """
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("not a picture")
    height, width = picture.shape[:2]
    cells = cv2.resize(picture, (width // _CELL, height // _CELL), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)
    return _encoded(np.asarray(coarse, np.uint8))


def thumbnail(crop: NDArray[np.uint8], heat: Heat | None) -> bytes:
    """Return a small JPEG of a face: beside it, where there is a map, the same with the map laid over it.

    Args:
        crop: uint8 [H, W, 3] RGB.
        heat: float32 [S, S] in [0, 1], over the whole crop.
    """
    small = np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    halves = [small] if heat is None else [small, overlay(small, heat)]
    return _encoded(np.concatenate(halves, axis=1)[:, :, ::-1])


def _encoded(picture: NDArray[np.uint8]) -> bytes:
    """A picture, uint8 [H, W, 3] BGR, as JPEG."""
    written, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not written:
        raise ValueError("OpenCV could not encode the thumbnail")
    return encoded.tobytes()
