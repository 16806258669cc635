"""How well a face can be judged, and the gate that keeps poor ones out of the decision."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artifacts.compression import blockiness
from models.artifacts.findings import share
from models.evidence import Pose, Quality

_SIDE = 112
"""Faces are measured at one size, so that sharpness means the same for all, pixels."""
_SHARPNESS_HALF = 60.0
"""Laplacian variance that maps to sharpness 0.5."""
_DARK, _BRIGHT = 16, 239
"""Luma outside of which detail is lost (the nominal range of ITU-R BT.601)."""
_WINDOW = 256
"""Noise and blocks do not survive scaling: they are measured on the face's middle as it is, pixels."""
_NOISE_HALF = 10.0
"""Standard deviation of noise, in luma, that maps to 0.5."""
_BLOCKINESS_HALF = 0.6
"""Blockiness that maps to 0.5: beyond JPEG of quality 20."""
_NOISE: NDArray[np.float32] = np.array([1, -2, 1], np.float32)
_OCCLUSION_HALF = 40.0
"""Chroma, in levels, by which a part of the face is off from the others, that maps to 0.5."""
_SURE = 0.9
"""Detection score of half of all faces that nothing covers."""
_DOUBT = 4.0
"""How much a lower score counts: one of 0.65 doubles the chroma."""

# Eyes, nose and mouth corners of a head that looks at the camera, x right, y down, z towards it: ArcFace's template
# (https://arxiv.org/abs/1801.07698), the nose a seventh of it before the rest, and as much lower as CenterFace puts it
# in photographs of people, so that their median pitch is about 0.
_HEAD: NDArray[np.float64] = np.array(
    [[-17.6, -20.1, -15.5], [17.6, -20.1, -15.5], [0.0, 2.9, 0.0], [-14.6, 20.5, -15.0], [14.6, 20.5, -15.0]]
)
_FIT: NDArray[np.float64] = np.linalg.pinv(_HEAD - _HEAD.mean(0))


@dataclass(frozen=True, slots=True)
class QualityGate:
    """The least that a face must have to be evidence, and the most of what spoils it."""

    size_px: float = 40.0
    """Shorter side of the box in the examined frame, pixels."""
    sharpness: float = 0.08
    exposure: float = 0.35
    frontality: float = 0.15
    contrast: float = 0.05
    most_noise: float = 0.75
    """0.75 is a standard deviation of 30 levels."""
    most_occlusion: float = 0.55
    """A face swap may be off in colour too: only what is far off is kept out."""

    def admits(self, face: Quality) -> bool:
        """Tell whether a face with these measures can be judged; its own `usable` is not looked at."""
        enough = (
            face.size_px >= self.size_px
            and face.sharpness >= self.sharpness
            and face.exposure >= self.exposure
            and face.frontality >= self.frontality
            and face.contrast >= self.contrast
        )
        return enough and face.noise <= self.most_noise and face.occlusion <= self.most_occlusion


EVERY_FACE = QualityGate(
    size_px=0.0, sharpness=0.0, exposure=0.0, frontality=0.0, contrast=0.0, most_noise=1.0, most_occlusion=1.0
)
"""Keeps none out: where the gate itself is not what is measured."""
DEFAULT_GATE = QualityGate()


def face_quality(
    crop: NDArray[np.uint8],
    size_px: float,
    landmarks: NDArray[np.float32],
    gate: QualityGate = DEFAULT_GATE,
    *,
    detection_score: float = 1.0,
    origin: tuple[int, int] | None = None,
) -> Quality:
    """Measure a face.

    Args:
        crop: uint8 [H, W, 3] RGB, the face's box as it is in the frame.
        size_px: shorter side of its box in the examined frame, pixels.
        landmarks: float32 [5, 2]: both eyes, nose, both mouth corners, pixels of the frame.
        gate: what to ask for.
        detection_score: how sure the face detector is, 0-1.
        origin: the crop's left and top in the frame; occlusion is not looked for without it.

    Sharpness is the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) at a fixed size, mapped to
    v / (v + 60). Exposure is the share of pixels that are neither crushed nor burnt out. Contrast is the standard
    deviation of luma (Peli 1990, https://doi.org/10.1364/JOSAA.7.002032) over the greatest there is, 127.5.
    Frontality is 1 with the nose midway between the eyes, and 0 with it at or beyond one of them. Noise, blockiness
    and occlusion are mapped likewise; see `noise_deviation`, `models.artifacts.compression.blockiness`,
    `colour_outlier`.
    """
    luma = cv2.cvtColor(cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    middle = np.asarray(cv2.cvtColor(_middle(crop), cv2.COLOR_RGB2GRAY), np.uint8)
    variance = float(cv2.Laplacian(luma, cv2.CV_32F).var())
    off = 0.0
    if origin is not None:
        doubt = 1.0 + _DOUBT * max(0.0, _SURE - detection_score)
        off = doubt * colour_outlier(crop, landmarks - np.array(origin, np.float32))
    measured = Quality(
        size_px,
        sharpness=variance / (variance + _SHARPNESS_HALF),
        exposure=float(np.mean((luma > _DARK) & (luma < _BRIGHT))),
        frontality=_frontality(landmarks),
        usable=False,
        contrast=float(np.std(luma)) / 127.5,
        noise=share(noise_deviation(middle), _NOISE_HALF),
        blockiness=share(blockiness(middle), _BLOCKINESS_HALF),
        occlusion=share(off, _OCCLUSION_HALF),
        pose=head_pose(landmarks),
    )
    return replace(measured, usable=gate.admits(measured))


def noise_deviation(luma: NDArray[np.uint8]) -> float:
    """Return the standard deviation of a picture's noise, luma levels.

    Source: Immerkaer 1996 (https://doi.org/10.1006/cviu.1996.0060). Fine structure counts as noise.

    Args:
        luma: uint8 [H, W]; 0 is returned unless both are at least 3.
    """
    if min(luma.shape) < 3:
        return 0.0
    response = np.asarray(cv2.sepFilter2D(luma, cv2.CV_32F, _NOISE, _NOISE))[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(response).mean())


def head_pose(landmarks: NDArray[np.float32]) -> Pose:
    """Return where a head looks, to some ten degrees: five points of a face that is nobody's in particular.

    Scaled orthographic projection of a rigid head, least squares, as the first step of POSIT (DeMenthon & Davis 1995,
    https://doi.org/10.1007/BF01450852), brought to the nearest rotation: yaw first, then pitch, then roll.

    Args:
        landmarks: float32 [5, 2], pixels.
    """
    affine = (_FIT @ (landmarks - landmarks.mean(0)).astype(np.float64)).T
    if not np.isfinite(affine).all() or not affine.any():
        return Pose()
    left, _, right = np.linalg.svd(affine, full_matrices=False)
    x, y = left @ right
    toward = np.cross(x, y)
    yaw = np.arctan2(-toward[0], toward[2])
    pitch = np.arcsin(np.clip(toward[1], -1.0, 1.0))
    roll = np.arctan2(-x[1], y[1])
    return Pose(*(float(np.degrees(angle)) for angle in (yaw, pitch, roll)))


def colour_outlier(crop: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> float:
    """Return how far the chroma of one part of a face is from the median of all, levels: a hint that it is covered.

    Five patches of skin are compared: both cheeks, chin, brow and the bridge of the nose. What covers a part, a hand
    before one's own face aside, is hardly ever of skin's colour; in a grey picture nothing is seen.

    Args:
        crop: uint8 [H, W, 3] RGB.
        landmarks: float32 [5, 2] in the crop's pixels; what lies outside is looked for at its edge.
    """
    height, width = crop.shape[:2]
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    reach = max(1, round(0.12 * float(np.hypot(*(right_eye - left_eye)))))
    if min(height, width) <= 2 * reach or not np.isfinite(landmarks).all():
        return 0.0
    centres = np.array(
        [
            (left_eye + left_mouth) / 2,
            (right_eye + right_mouth) / 2,
            mouth + 0.9 * (mouth - nose),
            eyes - 0.7 * (nose - eyes),
            (eyes + nose) / 2,
        ]
    )
    places = np.clip(centres, reach, np.array([width, height]) - reach - 1).astype(int)
    patches = np.stack([crop[y - reach : y + reach + 1, x - reach : x + reach + 1].reshape(-1, 3) for x, y in places])
    colours = np.asarray(cv2.cvtColor(patches, cv2.COLOR_RGB2YCrCb), np.float32)[:, :, 1:]
    chroma = np.median(colours, axis=1)
    return float(np.linalg.norm(chroma - np.median(chroma, axis=0), axis=1).max())


def _middle(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left = (max(0, (side - _WINDOW) // 2) for side in crop.shape[:2])
    return crop[top : top + _WINDOW, left : left + _WINDOW]


def _frontality(landmarks: NDArray[np.float32]) -> float:
    left_eye, right_eye, nose = landmarks[0], landmarks[1], landmarks[2]
    between = right_eye - left_eye
    distance = float(np.hypot(*between))
    if distance == 0.0:
        return 0.0
    along = float(np.dot(nose - left_eye, between)) / distance**2
    return float(np.clip(1.0 - 2.0 * abs(along - 0.5), 0.0, 1.0))
