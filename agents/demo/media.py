"""The demo's media: a photograph as clip and still, and both again with the face re-blended.

The photograph is matplotlib's sample: Grace Hopper, by James S. Davis, US Navy, in the public domain. The alteration
is a self-blended image (Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022): the face is
blended back over itself, shifted in colour, as coarse as a small network would draw it, and a little displaced. It
leaves the traces of a face swap, plain ones on purpose, and nobody's face is swapped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import cos, pi, sin
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from agents.demo.exceptions import ExtraMissing

Image = NDArray[np.uint8]
"""uint8 [H, W, 3] RGB."""

SIDE = 512
"""Sides of every picture, pixels."""
FPS = 25
SECONDS = 4
_JPEG_QUALITY = 92
_CRF = "20"

_FACE_CENTRE = (265.0, 232.0)
"""The middle of the face in the photograph, pixels from its top left."""
_FACE_AXES = (76.0, 90.0)
"""Half width and half height of the face in the photograph, pixels."""
_REACH = 1.3
"""How far around the face it is altered, in half widths and half heights: beyond, the mask is nothing."""
_COARSENESS = 6
"""How many pixels become one in the face that is blended over: some 40 are left across it."""
_WIDEST, _CLOSEST = 440.0, 360.0
"""Side of the part of the photograph that the clip begins and ends with, pixels."""


@dataclass(frozen=True, slots=True)
class DemoMedia:
    """One file of the demo."""

    name: str
    """Also its content id."""
    path: Path
    altered: bool
    """Whether the face was re-blended."""


def build(folder: Path) -> tuple[DemoMedia, ...]:
    """Write the four files to `folder`: the same bytes every time.

    Raises:
        ExtraMissing: matplotlib is not installed.
    """
    photograph = _photograph()
    untouched = list(_camera(photograph))
    altered = [(reblended(frame, face, number), face) for number, (frame, face) in enumerate(untouched)]
    media = []
    for state, frames in (("untouched", untouched), ("re-blended", altered)):
        clip, still = folder / f"clip-{state}.mp4", folder / f"still-{state}.jpg"
        _write_clip(clip, (frame for frame, _ in frames))
        _write_still(still, frames[len(frames) // 2][0])
        media += [DemoMedia(path.stem, path, frames is altered) for path in (clip, still)]
    return tuple(sorted(media, key=lambda each: (each.path.suffix, each.altered)))


def build_live(folder: Path) -> tuple[DemoMedia, DemoMedia]:
    """Write the two clips as a camera's encoder would send them: a key frame each second, no frame out of order.

    Raises:
        ExtraMissing: matplotlib is not installed.
    """
    untouched = list(_camera(_photograph()))
    clips = []
    for name, altered in (("untouched", False), ("re-blended", True)):
        frames = (
            reblended(frame, face, number) if altered else frame for number, (frame, face) in enumerate(untouched)
        )
        path = folder / f"live-{name}.mp4"
        # Forth and back, so that it goes on without a cut.
        there = list(frames)
        _write_clip(path, iter(there + there[::-1]), {"g": str(FPS), "bf": "0", "tune": "zerolatency"})
        clips.append(DemoMedia(name, path, altered))
    first, second = clips
    return first, second


@dataclass(frozen=True, slots=True)
class Ellipse:
    """Where a face is, pixels."""

    centre: tuple[float, float]
    axes: tuple[float, float]


def _photograph() -> Image:
    try:
        from matplotlib.cbook import get_sample_data  # noqa: PLC0415  (extra `demo`)
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            f"the demo's photograph needs the extra `demo`: pip install 'deepfake-fleet[demo]' ({error})"
        ) from error

    path = str(get_sample_data("grace_hopper.jpg", asfileobj=False))
    return np.asarray(cv2.imread(path, cv2.IMREAD_COLOR_RGB), np.uint8)


def _camera(photograph: Image) -> Iterator[tuple[Image, Ellipse]]:
    """Yield the frames of a slow pan and zoom towards the face, and where the face is in each."""
    frames = FPS * SECONDS
    for number in range(frames):
        share = 0.5 - 0.5 * cos(pi * number / (frames - 1))
        side = _WIDEST + share * (_CLOSEST - _WIDEST)
        scale = SIDE / side
        # The face drifts from left of the middle to right of it, as a hand-held camera would let it.
        left = _FACE_CENTRE[0] - side * (0.44 + 0.12 * share)
        top = max(0.0, _FACE_CENTRE[1] - side * (0.42 + 0.02 * sin(3 * pi * share)))
        matrix = np.array([[scale, 0.0, -left * scale], [0.0, scale, -top * scale]])
        frame = cv2.warpAffine(photograph, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        centre = ((_FACE_CENTRE[0] - left) * scale, (_FACE_CENTRE[1] - top) * scale)
        yield np.asarray(frame, np.uint8), Ellipse(centre, (_FACE_AXES[0] * scale, _FACE_AXES[1] * scale))


def reblended(frame: Image, face: Ellipse, number: int) -> Image:
    """Return `frame` with the face blended back over itself; `number` moves the displacement from frame to frame."""
    left, right = (round(face.centre[0] + sign * _REACH * face.axes[0]) for sign in (-1, 1))
    top, bottom = (round(face.centre[1] + sign * _REACH * face.axes[1]) for sign in (-1, 1))
    around = slice(max(0, top), bottom), slice(max(0, left), right)
    patch = np.ascontiguousarray(frame[around])
    source = _displaced(_coarse(_recoloured(patch)), number)
    centre = (face.centre[0] - around[1].start, face.centre[1] - around[0].start)
    mask = _soft_ellipse(patch.shape[:2], Ellipse(centre, face.axes))
    blended = mask * source.astype(np.float32) + (1.0 - mask) * patch.astype(np.float32)
    result = frame.copy()
    result[around] = np.clip(np.rint(blended), 0, 255).astype(np.uint8)
    return result


def _recoloured(patch: Image) -> Image:
    lab = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab = lab * np.array([1.05, 1.0, 1.0], np.float32) + np.array([-4.0, 5.0, -6.0], np.float32)
    return np.asarray(cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB), np.uint8)


def _coarse(patch: Image) -> Image:
    height, width = patch.shape[:2]
    small = cv2.resize(patch, (width // _COARSENESS, height // _COARSENESS), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _displaced(patch: Image, number: int) -> Image:
    """Enlarge a little about the middle, and sway by some pixels."""
    height, width = patch.shape[:2]
    grown = 1.015
    matrix = np.array(
        [
            [grown, 0.0, 3.0 * sin(0.9 * number) + (1 - grown) * width / 2],
            [0.0, grown, 2.0 * cos(0.7 * number) + (1 - grown) * height / 2],
        ]
    )
    moved = cv2.warpAffine(patch, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


def _soft_ellipse(shape: tuple[int, int], face: Ellipse) -> NDArray[np.float32]:
    """Return float32 [H, W, 1], 1 inside the face, falling to 0 over about a quarter of its half width."""
    mask = np.zeros(shape, np.float32)
    centre = (round(face.centre[0]), round(face.centre[1]))
    axes = (round(0.9 * face.axes[0]), round(0.9 * face.axes[1]))
    cv2.ellipse(mask, centre, axes, 0.0, 0.0, 360.0, (1.0,), thickness=-1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), face.axes[0] / 8), np.float32)[..., None]


def _write_clip(path: Path, frames: Iterator[Image], more: Mapping[str, str] | None = None) -> None:
    # One thread: the bytes of x264 depend on how many there are.
    options = {"crf": _CRF, "preset": "veryfast", "threads": "1", **(more or {})}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _write_still(path: Path, image: Image) -> None:
    written, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    if not written:
        raise RuntimeError(f"OpenCV cannot encode {path.name}")
    path.write_bytes(data.tobytes())
