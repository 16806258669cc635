"""How well a face can be judged, and the gate that keeps poor ones out of the decision."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.evidence import Quality

_SIDE = 112
"""Faces are measured at one size, so that sharpness means the same for all, pixels."""
_SHARPNESS_HALF = 60.0
"""Laplacian variance that maps to sharpness 0.5."""
_DARK, _BRIGHT = 16, 239
"""Luma outside of which detail is lost (the nominal range of ITU-R BT.601)."""


@dataclass(frozen=True, slots=True)
class QualityGate:
    """The least that a face must have to be evidence."""

    size_px: float = 40.0
    """Shorter side of the box in the examined frame, pixels."""
    sharpness: float = 0.08
    exposure: float = 0.35
    frontality: float = 0.15

    def admits(self, size_px: float, sharpness: float, exposure: float, frontality: float) -> bool:
        """Tell whether a face with these measures can be judged."""
        return (
            size_px >= self.size_px
            and sharpness >= self.sharpness
            and exposure >= self.exposure
            and frontality >= self.frontality
        )


DEFAULT_GATE = QualityGate()


def face_quality(
    crop: NDArray[np.uint8], size_px: float, landmarks: NDArray[np.float32], gate: QualityGate = DEFAULT_GATE
) -> Quality:
    """Measure a face.

    Args:
        crop: uint8 [H, W, 3] RGB, the face and some margin.
        size_px: shorter side of its box in the examined frame, pixels.
        landmarks: float32 [5, 2]: both eyes, nose, both mouth corners, pixels of the frame.
        gate: what to ask for.

    Sharpness is the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) at a fixed size, mapped to
    v / (v + 60). Exposure is the share of pixels that are neither crushed nor burnt out. Frontality is 1
    with the nose midway between the eyes, and 0 with it at or beyond one of them.
    """
    luma = cv2.cvtColor(cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    variance = float(cv2.Laplacian(luma, cv2.CV_32F).var())
    sharpness = variance / (variance + _SHARPNESS_HALF)
    exposure = float(np.mean((luma > _DARK) & (luma < _BRIGHT)))
    frontality = _frontality(landmarks)
    usable = gate.admits(size_px, sharpness, exposure, frontality)
    return Quality(size_px, sharpness, exposure, frontality, usable)


def _frontality(landmarks: NDArray[np.float32]) -> float:
    left_eye, right_eye, nose = landmarks[0], landmarks[1], landmarks[2]
    between = right_eye - left_eye
    distance = float(np.hypot(*between))
    if distance == 0.0:
        return 0.0
    along = float(np.dot(nose - left_eye, between)) / distance**2
    return float(np.clip(1.0 - 2.0 * abs(along - 0.5), 0.0, 1.0))
