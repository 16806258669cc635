"""Blends as they were published: whole faces, changed as Shiohara & Yamasaki change them, to compare figures by.

Source: Self-Blended Images, CVPR 2022 (https://arxiv.org/abs/2204.08376), section 3 and the authors' code. Colours: a
shift of each channel by up to 20 in three of ten, brightness and contrast by up to 10 %; hue and saturation are moved
by less than one step there. Then either half or a quarter of the pixels along each side, or sharpened. Masks are those
of `models.training.blending`, which knows five landmarks instead of 81.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.blending import Draw, Image

_SHIFTED = 0.3
_SHARPENING = np.full((3, 3), -1.0, np.float32)
_IDENTITY = np.pad(np.ones((1, 1), np.float32), 1)


def _changed(image: Image, rng: np.random.Generator) -> Image:
    changed = image.astype(np.float32)
    if rng.random() < _SHIFTED:
        changed = np.clip(changed + rng.uniform(-20, 20, 3).astype(np.float32), 0, 255)
    contrast, brightness = 1 + rng.uniform(-0.1, 0.1), 255 * rng.uniform(-0.1, 0.1)
    changed = np.clip(changed * np.float32(contrast) + np.float32(brightness), 0, 255)
    if rng.random() < 0.5:
        return _through_a_share_of_pixels(changed, int(rng.choice([2, 4])))
    kernel, share = _SHARPENING.copy(), np.float32(rng.uniform(0.2, 0.5))
    kernel[1, 1] = 8 + rng.uniform(0.5, 1.0)
    sharpened = cv2.filter2D(changed, -1, (1 - share) * _IDENTITY + share * kernel, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(np.clip(np.rint(sharpened), 0, 255), np.uint8)


def _through_a_share_of_pixels(image: NDArray[np.float32], factor: int) -> Image:
    height, width = image.shape[:2]
    small = cv2.resize(image, (width // factor, height // factor), interpolation=cv2.INTER_NEAREST)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.rint(large), np.uint8)


PUBLISHED = Draw({"face": 0.5, "head": 0.25, "inner": 0.25}, _changed)
"""Whole faces, plainly changed."""
