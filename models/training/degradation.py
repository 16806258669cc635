"""What happens to media on their way: cropping, rescaling, H.264, JPEG, noise. For real and blended faces alike.

A pair, a face and its blend, is degraded by the same draw of chance, so that nothing but the blend tells them apart.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.blending import Portrait, shift_colour, through_fewer_pixels, through_jpeg

Image = NDArray[np.uint8]
Pixels = TypeVar("Pixels", np.uint8, np.float32)


@dataclass(frozen=True, slots=True)
class View:
    """A crop to be cut: similarity from the portrait's pixels to the crop's, and whether it is mirrored."""

    matrix: NDArray[np.float32]
    mirrored: bool


def choose_view(portrait: Portrait, size: int, rng: np.random.Generator, margin: float = 0.3) -> View:
    """Choose a crop around a face: about `margin` around its box, somewhat off, turned and mirrored by chance.

    Args:
        portrait: the face.
        size: side of the crop, pixels.
        rng: decides.
        margin: of `models.manifest.CropSpec`, about which the crop varies.
    """
    x0, y0, x1, y1 = portrait.box
    face = max(x1 - x0, y1 - y0)
    side = face * (1 + margin) * rng.uniform(0.88, 1.15)
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) + rng.uniform(-0.05, 0.05, 2) * face
    middle = (float(centre[0]), float(centre[1]))
    matrix = np.asarray(cv2.getRotationMatrix2D(middle, rng.normal(0, 4), size / side), np.float64)
    matrix[:, 2] += size / 2 - centre
    return View(np.asarray(matrix, np.float32), bool(rng.random() < 0.5))


def cut(image: NDArray[Pixels], view: View, size: int) -> NDArray[Pixels]:
    """Cut a view, uint8 [S, S, 3] or float32 [S, S], to `size`; what shrinks is averaged first."""
    shrink = float(np.hypot(view.matrix[0, 0], view.matrix[1, 0]))
    source = cv2.GaussianBlur(image, (0, 0), 0.45 / shrink) if shrink < 0.7 else image
    crop = cv2.warpAffine(source, view.matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop[:, ::-1].copy() if view.mirrored else crop, image.dtype)


def degrade(crop: Image, rng: np.random.Generator) -> Image:
    """Degrade a crop as platforms do; equal draws degrade equally.

    Args:
        crop: uint8 [S, S, 3] RGB.
        rng: decides what and how much.
    """
    if rng.random() < 0.4:
        crop = shift_colour(crop, rng, strength=1.4)
    if rng.random() < 0.06:
        crop = np.repeat(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    if rng.random() < 0.45:
        crop = through_fewer_pixels(crop, rng.uniform(1.1, 3.0), rng)
    if rng.random() < 0.12:
        crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.4, 1.4)), np.uint8)
    if rng.random() < 0.15:
        noise = np.random.default_rng(int(rng.integers(2**31))).normal(0, rng.uniform(1, 7), crop.shape)
        crop = np.asarray(np.clip(crop + noise, 0, 255), np.uint8)
    way = rng.random()
    if way < 0.45:
        crop = through_h264(crop, int(rng.integers(17, 37)), predicted=bool(rng.random() < 0.5))
    elif way < 0.85:
        crop = through_jpeg(crop, int(rng.integers(40, 99)))
    return crop


def through_h264(crop: Image, crf: int, *, predicted: bool = False) -> Image:
    """Encode and decode a crop as H.264.

    Args:
        crop: uint8 [H, W, 3] RGB, sides even.
        crf: constant rate factor of x264, 0 to 51.
        predicted: whether as a frame predicted from one that lies a pixel beside it, else as a key frame.
    """
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = crop.shape[1], crop.shape[0], "yuv420p"
    encoder.time_base, encoder.framerate, encoder.thread_count = Fraction(1, 25), Fraction(25), 1
    encoder.options = {"crf": str(crf), "preset": "superfast", "tune": "zerolatency", "x264-params": "log-level=none"}
    images = [np.roll(crop, (1, 1), (0, 1)), crop] if predicted else [crop]
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = []
    for number, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    frames = [frame for packet in packets for frame in decoder.decode(packet)]
    frames += decoder.decode(None)
    return np.asarray(frames[-1].to_ndarray(format="rgb24"), np.uint8)
