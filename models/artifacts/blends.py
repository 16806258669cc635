"""Faces blended with a disturbed copy of themselves: fakes of which everything but the blending is real."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artifacts.analysis import CROP_MARGIN
from models.artifacts.ellipse import FaceEllipse
from models.artifacts.squares import square_of
from models.fitting.faces import LabelledFace

_COLOUR, _SOFTEST = 18.0, 1.5
"""How much a copy is disturbed: levels by channel, and the standard deviation of its blur, pixels."""
_SHIFT, _STRETCH = 0.03, 0.05
"""How far it is moved and stretched, in sides of the face."""
_EDGE = (0.02, 0.1)
"""How soft the mask's edge is, in sides of the face."""


def self_blend(face: LabelledFace, *, seed: int) -> LabelledFace:
    """Return a face, labelled fake, whose inner part was replaced by its own disturbed copy; same seed, same blend.

    Source: Shiohara & Yamasaki 2022 (https://arxiv.org/abs/2204.08376), with an ellipse about the landmarks as mask.
    """
    random = np.random.default_rng(seed)
    image, side = face.image, face.side
    height, width = image.shape[:2]
    x0, y0, x1, y1 = face.face.box
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    stretch = random.uniform(1 - _STRETCH, 1 + _STRETCH, 2)
    shift = random.uniform(-_SHIFT, _SHIFT, 2) * side
    matrix = np.array([[stretch[0], 0.0, 0.0], [0.0, stretch[1], 0.0]])
    matrix[:, 2] = middle + shift - stretch * middle
    moved = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    if random.random() < 0.5:
        moved = cv2.GaussianBlur(moved, (0, 0), float(random.uniform(0.5, _SOFTEST)))
    copy = np.asarray(moved, np.float32)
    copy += random.uniform(-_COLOUR, _COLOUR, 3).astype(np.float32)
    mask = np.asarray(_radius(face) < random.uniform(0.75, 1.05), np.float32)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), float(random.uniform(*_EDGE)) * side), np.float32)[:, :, None]
    blended = np.clip(image * (1 - soft) + copy * soft, 0, 255).astype(np.uint8)
    return replace(face, group=f"{face.group}, self-blended", fake=True, image=blended)


def _radius(face: LabelledFace) -> NDArray[np.float32]:
    """Distance of each pixel of the picture from the face's middle, 1 on its outline, float32 [H, W]."""
    left, top, side = square_of(face.face.box, CROP_MARGIN)
    landmarks = (face.face.landmarks - np.array([left, top])) / side
    across, along = FaceEllipse.of(np.asarray(landmarks, np.float32)).coordinates(side)
    height, width = face.image.shape[:2]
    radius = np.full((height, width), np.inf, np.float32)
    x, y = max(left, 0), max(top, 0)
    inside = np.hypot(across, along)[y - top : height - top, x - left : width - left]
    radius[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return radius
