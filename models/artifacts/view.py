"""A face crop as all analyses look at it: what several of them need is computed once."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artifacts.ellipse import FaceEllipse

SIDE = 256
"""Crops are looked at in this size, pixels; others are brought to it."""
COARSE_SIDE = 64
"""Colours, light and noise are compared in cells of 4 x 4 pixels."""

_NOISE: NDArray[np.float32] = np.array([1, -2, 1], np.float32)
"""Along both axes: the difference of two Laplacians, blind to planes and straight edges (Immerkaer 1996,
https://doi.org/10.1006/cviu.1996.0060)."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceView:
    """A crop and its intermediates. Nothing in it is written to.

    Attributes:
        luma: uint8 [256, 256], ITU-R BT.601.
        coarse: float32 [64, 64, 3], Y, Cr, Cb, 0-255, each the mean of its pixels.
        noise: float32 [64, 64], the mean in each cell of the response to Immerkaer's operator, absolute, in luma.
        slope: float32 [64, 64], the mean in each cell of the gradient's magnitude (Sobel), luma by pixel.
        ellipse: where the face is.
        across, along: float32 [64, 64], the cells in the ellipse's own coordinates.
        radius: float32 [64, 64], their length: below 1 inside the face.
    """

    luma: NDArray[np.uint8]
    coarse: NDArray[np.float32]
    noise: NDArray[np.float32]
    slope: NDArray[np.float32]
    ellipse: FaceEllipse
    across: NDArray[np.float32]
    along: NDArray[np.float32]
    radius: NDArray[np.float32]

    @classmethod
    def of(cls, crop: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> Self:
        """Prepare a crop.

        Args:
            crop: uint8 [H, W, 3] RGB, H and W ≥ 1; resized unless 256 x 256.
            landmarks: float32 [5, 2] in the crop's pixels: eyes, nose, mouth corners.

        Raises:
            ValueError: crop or landmarks are no such arrays.
        """
        if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or 0 in crop.shape:
            raise ValueError(f"a crop is uint8 [H, W, 3] with pixels, got {crop.dtype} {list(crop.shape)}")
        if landmarks.shape != (5, 2):
            raise ValueError(f"landmarks are [5, 2], got {list(landmarks.shape)}")
        height, width = crop.shape[:2]
        if (height, width) != (SIDE, SIDE):
            shrinks = height > SIDE or width > SIDE
            way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            crop = np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=way), np.uint8)
        colours = cv2.cvtColor(crop, cv2.COLOR_RGB2YCrCb)
        luma = np.ascontiguousarray(colours[:, :, 0])
        size = (COARSE_SIDE, COARSE_SIDE)
        noise = np.abs(cv2.sepFilter2D(luma, cv2.CV_32F, _NOISE, _NOISE))
        slope = cv2.magnitude(
            cv2.Sobel(luma, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(luma, cv2.CV_32F, 0, 1, scale=0.125)
        )
        ellipse = FaceEllipse.of(np.asarray(landmarks / np.array([width, height]), np.float32))
        across, along = ellipse.coordinates(COARSE_SIDE)
        return cls(
            np.asarray(luma, np.uint8),
            np.asarray(cv2.resize(colours, size, interpolation=cv2.INTER_AREA), np.float32),
            np.asarray(cv2.resize(noise, size, interpolation=cv2.INTER_AREA), np.float32),
            np.asarray(cv2.resize(slope, size, interpolation=cv2.INTER_AREA), np.float32),
            ellipse,
            across,
            along,
            np.sqrt(across * across + along * along),
        )

    def inside(self, radius: float) -> NDArray[np.bool_]:
        """Cells within a radius of the face's centre, bool [64, 64]."""
        return np.asarray(self.radius < radius)

    def ring(self, inner: float, outer: float) -> NDArray[np.bool_]:
        """Cells between two radii, bool [64, 64]."""
        return np.asarray((self.radius >= inner) & (self.radius < outer))
