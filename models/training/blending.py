"""Self-blended images: a face blended into itself, or into one like it, so that only the blending gives it away.

Source of the idea: Shiohara & Yamasaki, CVPR 2022 (https://arxiv.org/abs/2204.08376). A network that learns to see
a blend, and never a forgery, learns no generator by heart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.crops import TEMPLATE

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]

# Outlines in the coordinates of `models.crops.TEMPLATE` (an upright face, side 1), drawn by hand around its points.
_JAW = [(0.10, 0.45), (0.11, 0.62), (0.16, 0.80), (0.27, 0.95), (0.40, 1.05), (0.50, 1.08), (0.60, 1.05), (0.73, 0.95),
        (0.84, 0.80), (0.89, 0.62), (0.90, 0.45)]  # fmt: skip
_BROWS = [(0.86, 0.33), (0.70, 0.26), (0.56, 0.29), (0.44, 0.29), (0.30, 0.26), (0.14, 0.33)]
_FOREHEAD = [(0.88, 0.22), (0.75, 0.05), (0.50, -0.02), (0.25, 0.05), (0.12, 0.22)]
_INNER = [(0.18, 0.40), (0.20, 0.62), (0.28, 0.84), (0.40, 0.95), (0.60, 0.95), (0.72, 0.84), (0.80, 0.62),
          (0.82, 0.40), (0.68, 0.31), (0.32, 0.31)]  # fmt: skip
_MOUTH = [(0.30, 0.78), (0.36, 0.92), (0.50, 0.98), (0.64, 0.92), (0.70, 0.78), (0.58, 0.70), (0.42, 0.70)]
_LOWER = [
    (0.14, 0.66),
    (0.18, 0.82),
    (0.28, 0.96),
    (0.50, 1.07),
    (0.72, 0.96),
    (0.82, 0.82),
    (0.86, 0.66),
    (0.50, 0.56),
]
_EYES = [(0.16, 0.40), (0.22, 0.55), (0.42, 0.55), (0.50, 0.50), (0.58, 0.55), (0.78, 0.55), (0.84, 0.40), (0.70, 0.32),
         (0.50, 0.36), (0.30, 0.32)]  # fmt: skip
_NOSE = [(0.44, 0.44), (0.36, 0.66), (0.42, 0.72), (0.50, 0.74), (0.58, 0.72), (0.64, 0.66), (0.56, 0.44)]

OUTLINES: dict[str, NDArray[np.float32]] = {
    name: np.array(points, np.float32)
    for name, points in {
        "face": _JAW + _BROWS,
        "head": _JAW + _FOREHEAD,
        "inner": _INNER,
        "lower": _LOWER,
        "mouth": _MOUTH,
        "eyes": _EYES,
        "nose": _NOSE,
    }.items()
}
"""What may be blended, by name: float32 [K, 2], in the coordinates of `models.crops.TEMPLATE`."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A face with its surroundings.

    Attributes:
        image: uint8 [S, S, 3] RGB.
        landmarks: float32 [5, 2] in its pixels, in the order of `models.faces.Face`.
        box: x0, y0, x1, y1 of the face in its pixels.
        name: of the file; a file's faces are always in the same part of a split.
    """

    image: Image
    landmarks: NDArray[np.float32]
    box: tuple[float, float, float, float]
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """A blended image and where it is blended.

    Attributes:
        image: uint8 [S, S, 3] RGB.
        mask: float32 [S, S] in [0, 1], the share of the source.
        outline: which of `OUTLINES` was drawn.
    """

    image: Image
    mask: Mask
    outline: str


@dataclass(frozen=True, slots=True)
class Draw:
    """What chance may make of a face.

    Attributes:
        outlines: chance of each of `OUTLINES`; they sum to 1.
        change: what tells source from target, uint8 [H, W, 3] RGB to the same.
    """

    outlines: Mapping[str, float]
    change: Callable[[Image, np.random.Generator], Image]


def blend(
    portrait: Portrait, rng: np.random.Generator, other: Portrait | None = None, draw: Draw | None = None
) -> Blend:
    """Blend a face into itself, or another into it.

    Source and target differ by a change of colour or of frequencies to one of them, and by a small shift, turn and
    stretch of the source: the traces that a pasted face leaves.

    Args:
        portrait: the target.
        rng: decides everything.
        other: a face to paste instead, brought to the landmarks of the target and to its colours.
        draw: what chance may do, by default `TRAINING`.
    """
    draw = draw or TRAINING
    target = portrait.image
    source = target if other is None else _brought_to(other, portrait)
    if rng.random() < 0.5:
        source = draw.change(source, rng)
    else:
        target = draw.change(target, rng)
    mask, outline = draw_mask(portrait.landmarks, target.shape[0], rng, draw.outlines)
    matrix = _small_motion(portrait, rng)
    size = target.shape[1::-1]
    source = _image(cv2.warpAffine(source, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    mask = np.asarray(cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR), np.float32)
    mask *= np.float32(rng.choice([0.25, 0.5, 0.75, 1.0, 1.0, 1.0]))
    share = mask[:, :, None]
    mixed = target.astype(np.float32) * (1 - share) + source.astype(np.float32) * share
    return Blend(_image(np.clip(np.rint(mixed), 0, 255)), mask, outline)


def draw_mask(
    landmarks: NDArray[np.float32], side: int, rng: np.random.Generator, outlines: Mapping[str, float] | None = None
) -> tuple[Mask, str]:
    """Draw one of `OUTLINES` on a face, jittered, bent and blurred.

    Args:
        landmarks: float32 [5, 2], pixels.
        side: of the mask, pixels.
        rng: decides everything.
        outlines: chance of each, by default those of `TRAINING`.

    Returns:
        float32 [side, side] in [0, 1], and the outline's name.
    """
    chances = outlines or TRAINING.outlines
    name = str(rng.choice(list(chances), p=list(chances.values())))
    points = OUTLINES[name] + rng.normal(0, 0.02, OUTLINES[name].shape).astype(np.float32)
    stretch = rng.uniform(0.88, 1.08, 2).astype(np.float32)
    points = (points - points.mean(0)) * stretch + points.mean(0)
    placed = points @ (fit := _template_to(landmarks))[:, :2].T + fit[:, 2]
    mask = np.zeros((side, side), np.float32)
    cv2.fillPoly(mask, [np.rint(placed * 8).astype(np.int32)], 1.0, lineType=cv2.LINE_AA, shift=3)
    scale = float(np.sqrt(abs(np.linalg.det(fit[:, :2]))))
    mask = _bent(mask, scale, rng)
    blur = float(np.exp(rng.uniform(np.log(0.006), np.log(0.09)))) * scale
    if rng.random() < 0.5:
        # Blurring inwards: a mask must not reach over the outline, as in most face-swap programs.
        reach = max(1, round(1.5 * blur))
        inwards = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2))
        # Of a narrow outline nothing may be left.
        mask = np.asarray(inwards, np.float32) if inwards.max() > 0.5 else mask
    blurred = np.asarray(cv2.GaussianBlur(mask, (0, 0), max(0.3, blur)), np.float32)
    return np.clip(blurred / blurred.max(), 0, 1), name


def _template_to(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Affine map, float32 [2, 3], from the template to a face: least squares, so that a turned face is narrow."""
    design = np.concatenate([TEMPLATE, np.ones((5, 1), np.float32)], axis=1)
    solution, *_ = np.linalg.lstsq(design, landmarks, rcond=None)
    return np.asarray(solution.T, np.float32)


def _bent(mask: Mask, scale: float, rng: np.random.Generator) -> Mask:
    """Elastic deformation (Simard et al., ICDAR 2003), at most some percent of the face."""
    side = mask.shape[0]
    cells = int(rng.integers(4, 9))
    reach = scale * rng.uniform(0.0, 0.06)
    field = rng.normal(0, reach, (cells, cells, 2)).astype(np.float32)
    field = np.asarray(cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
    rows, columns = np.indices((side, side), dtype=np.float32)
    return np.asarray(cv2.remap(mask, columns + field[..., 0], rows + field[..., 1], cv2.INTER_LINEAR), np.float32)


def _small_motion(portrait: Portrait, rng: np.random.Generator) -> NDArray[np.float32]:
    x0, y0, x1, y1 = portrait.box
    face = max(x1 - x0, y1 - y0)
    centre = ((x0 + x1) / 2, (y0 + y1) / 2)
    matrix = np.asarray(cv2.getRotationMatrix2D(centre, rng.uniform(-2, 2), rng.uniform(0.96, 1.04)), np.float64)
    matrix[:, 2] += rng.uniform(-0.03, 0.03, 2) * face
    return np.asarray(matrix, np.float32)


def _brought_to(other: Portrait, portrait: Portrait) -> Image:
    """Another face, warped onto the landmarks of this one, with this one's mean and spread of colours."""
    there, here = _template_to(other.landmarks), _template_to(portrait.landmarks)
    whole = np.array([[0, 0, 1]], np.float32)
    matrix = (np.concatenate([here, whole]) @ np.linalg.inv(np.concatenate([there, whole])))[:2]
    size = portrait.image.shape[1::-1]
    moved = cv2.warpAffine(other.image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    inside = np.zeros(portrait.image.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.rint(OUTLINES["inner"] @ here[:, :2].T + here[:, 2]).astype(np.int32)], 255)
    lab, wanted = (cv2.cvtColor(each, cv2.COLOR_RGB2LAB) for each in (moved, portrait.image))
    (mean, spread), (wanted_mean, wanted_spread) = (cv2.meanStdDev(each, mask=inside) for each in (lab, wanted))
    ratio = np.clip(wanted_spread / np.maximum(spread, 1.0), 0.5, 2.0)
    matched = (lab - mean.ravel()) * ratio.ravel() + wanted_mean.ravel()
    return _image(cv2.cvtColor(np.clip(matched, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB))


def _changed(image: Image, rng: np.random.Generator) -> Image:
    """A change of colour and of frequencies, as between two recordings of a face: mostly a slight one."""
    changed = image
    if rng.random() < 0.8:
        changed = shift_colour(changed, rng, strength=rng.uniform(0.15, 1.0))
    kind = rng.random()
    if kind < 0.42:
        changed = through_fewer_pixels(changed, float(np.exp(rng.uniform(np.log(1.15), np.log(4.0)))), rng)
    elif kind < 0.62:
        amount = rng.uniform(0.2, 1.0)
        soft = cv2.GaussianBlur(changed, (0, 0), rng.uniform(0.7, 2.0))
        changed = _image(cv2.addWeighted(changed, 1 + amount, soft, -amount, 0))
    elif kind < 0.74:
        changed = _image(cv2.GaussianBlur(changed, (0, 0), rng.uniform(0.4, 1.8)))
    elif kind < 0.84:
        # Autoencoders smooth skin and keep edges (Tomasi & Manduchi, ICCV 1998).
        changed = _image(cv2.bilateralFilter(changed, 5, rng.uniform(12, 45), rng.uniform(1.5, 4)))
    elif kind < 0.93:
        changed = through_jpeg(changed, int(rng.integers(25, 80)))
    else:
        noise = rng.normal(0, rng.uniform(2, 8), changed.shape)
        changed = _image(np.clip(changed + noise, 0, 255))
    return changed


TRAINING = Draw(
    {"face": 0.38, "head": 0.14, "inner": 0.18, "lower": 0.10, "mouth": 0.08, "eyes": 0.08, "nose": 0.04}, _changed
)
"""Whole faces and parts, mostly slightly changed: what the fleet's detectors learn from."""


def shift_colour(image: Image, rng: np.random.Generator, strength: float) -> Image:
    """Shift channels, hue, saturation, brightness and contrast.

    Args:
        image: uint8 [H, W, 3] RGB.
        rng: decides how much.
        strength: 1 is what tells a blend from its target.
    """
    shift = rng.uniform(-18, 18, 3) * strength
    gain = 1 + rng.uniform(-0.12, 0.12) * strength
    moved = (image.astype(np.float32) - 128) * np.float32(gain) + 128 + shift.astype(np.float32)
    changed = _image(np.clip(moved, 0, 255))
    if rng.random() < 0.5:
        hsv = cv2.cvtColor(changed, cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 0] = (hsv[..., 0] + rng.uniform(-6, 6) * strength) % 180
        hsv[..., 1] = np.clip(hsv[..., 1] * (1 + rng.uniform(-0.25, 0.25) * strength), 0, 255)
        changed = _image(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB))
    return changed


def through_fewer_pixels(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Reduce `factor` times and enlarge again, both by a way that chance chooses."""
    height, width = image.shape[:2]
    reduced = (max(8, round(width / factor)), max(8, round(height / factor)))
    down = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_NEAREST)[int(rng.choice(3, p=[0.6, 0.3, 0.1]))]
    up = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)[int(rng.choice(3, p=[0.5, 0.45, 0.05]))]
    return _image(cv2.resize(cv2.resize(image, reduced, interpolation=down), (width, height), interpolation=up))


def through_jpeg(image: Image, quality: int) -> Image:
    """Encode and decode as JPEG, `quality` 1 to 100."""
    _, encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _image(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB))


def _image(array: object) -> Image:
    return np.asarray(array, np.uint8)
