"""Golden vectors: pictures, and what a model answers to them in fp32 on a CPU. It is trusted where it repeats that.

A provider that computes something else, a quantisation that broke, colours in another order, another normalisation:
each answers otherwise, and none of them fails by itself.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from models.exceptions import (
    GoldenMismatch,
    GraphInvalid,
    HashMismatch,
    InferenceError,
    ManifestError,
    OutOfMemory,
    WeightsMissing,
)
from models.manifest import Entry, GoldenSpec

Pictures = NDArray[np.uint8]
"""uint8 [K, S, S, 3] RGB."""

FRAME = 128
"""Side of the picture that a face detector is given, pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Pictures and answers.

    Attributes:
        images: see `Pictures`.
        answers: float32 [K, A]: a detector's calibrated logit (A is 1), a face detector's map of scores in [0, 1].
        tolerance: largest difference that is still the same answer; the manifest keeps it.
    """

    images: Pictures
    answers: NDArray[np.float32]
    tolerance: float

    def to_bytes(self) -> bytes:
        """Return it as an `.npz` file; the same vector always gives the same bytes."""
        file = io.BytesIO()
        np.savez_compressed(file, images=self.images, answers=self.answers)
        return file.getvalue()

    def difference(self, answers: NDArray[np.float32]) -> float:
        """Return the largest difference between what was answered now and then; infinite where shapes differ."""
        if answers.shape != self.answers.shape or not np.isfinite(answers).all():
            return float("inf")
        return float(np.abs(answers - self.answers).max())


def load_golden(entry: Entry) -> Golden:
    """Read and check an entry's golden vector.

    Raises:
        ManifestError: the entry has none.
        WeightsMissing: the file is not there.
        HashMismatch: it is another one.
        GraphInvalid: it holds no such arrays.
    """
    spec = _spec(entry)
    try:
        content = spec.path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsMissing(entry.name, "golden.path", f"{spec.path} does not exist") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != spec.sha256:
        raise HashMismatch(entry.name, "golden.sha256", f"{spec.path} has {digest}, the manifest says {spec.sha256}")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            images, answers = arrays["images"], arrays["answers"]
    except (ValueError, KeyError, OSError, BadZipFile) as error:
        problem = f"{spec.path} holds no `images` and `answers`: {error}"
        raise GraphInvalid(entry.name, "golden.path", problem) from error
    side = entry.input.size or FRAME
    whole = images.ndim == 4 and images.shape[1:] == (side, side, 3) and images.dtype == np.uint8
    if not whole or answers.ndim != 2 or answers.dtype != np.float32 or len(answers) != len(images):
        problem = (
            f"wants images uint8 [K, {side}, {side}, 3] and answers float32 [K, A], has {images.dtype} "
            f"{list(images.shape)} and {answers.dtype} {list(answers.shape)}"
        )
        raise GraphInvalid(entry.name, "golden.path", problem)
    return Golden(images, answers, spec.tolerance)


def require_golden(entry: Entry) -> None:
    """Make sure that an entry may serve.

    Raises:
        ManifestError: it has no golden vector.
    """
    _spec(entry)


def reproduced(entry: Entry, answer: Callable[[Pictures], NDArray[np.float32]]) -> str:
    """Make sure that a session answers as the entry's golden vector says, and return what that says of it.

    Args:
        entry: without a golden vector it may be measured, and anything passes.
        answer: the session.

    Raises:
        GoldenMismatch: it answers otherwise, or fails.
        OutOfMemory: there is no memory to find out.
        WeightsMissing, HashMismatch, GraphInvalid: see `load_golden`.
    """
    if entry.golden is None:
        return "no golden vector"
    golden = load_golden(entry)
    try:
        difference = golden.difference(answer(golden.images))
    except OutOfMemory:
        raise
    except InferenceError as error:
        raise GoldenMismatch(entry.name, "golden", error.problem) from error
    if difference > golden.tolerance:
        problem = f"its answers are {difference:.3g} off, more than the tolerance of {golden.tolerance:g}"
        raise GoldenMismatch(entry.name, "golden", problem)
    return f"golden vector to {difference:.1g}"


def _spec(entry: Entry) -> GoldenSpec:
    if entry.golden is None:
        problem = f"an entry serves only with a golden vector: `fleet models golden {entry.name}` makes it"
        raise ManifestError(entry.name, "golden", problem)
    return entry.golden


def pictures(side: int) -> Pictures:
    """Draw the pictures of a golden vector: a face, and a landscape without one.

    What networks have never seen the like of, they answer wildly, and quantised ones otherwise: so both have the
    spectrum of photographs.

    Args:
        side: of each, pixels.
    """
    y, x = np.mgrid[0:side, 0:side].astype(np.float64) / side
    return np.stack([_coarse(0.9 * _face(x, y) + 0.25 * _landscape(side, 1) - 30), _coarse(_landscape(side, 2))])


def _landscape(side: int, seed: int) -> NDArray[np.float64]:
    """Noise whose amplitude falls with its frequency as that of photographs does (Field 1987, JOSA A 4), coloured."""
    random = np.random.default_rng(seed)
    frequencies = np.fft.fftfreq(side)
    falling = np.hypot(*np.meshgrid(frequencies, frequencies))
    falling[0, 0] = 1.0
    luma, *colours = (
        np.real(np.fft.ifft2(np.fft.fft2(random.normal(size=(side, side))) / falling**1.3)) for _ in range(4)
    )
    mixed = np.stack([0.9 * luma + 0.35 * colour for colour in colours], -1)
    spread = (mixed - mixed.mean((0, 1))) / mixed.std((0, 1))
    return np.asarray(45 * spread + np.array([150, 115, 95]))


def _coarse(picture: NDArray[np.float64]) -> Pictures:
    """As bytes, in steps of four: what is kept in a repository should be small."""
    return (np.clip(np.rint(picture / 4), 0, 63) * 4).astype(np.uint8)


def _face(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """A lit oval of skin before a blue wall: eyes, nose, mouth, hair."""
    light = 0.75 + 0.35 * (1 - x) + 0.04 * np.sin(40 * x) * np.sin(37 * y)
    picture = np.stack([60 + 40 * y, 90 + 30 * x, 150 - 30 * y], -1)
    for centre, radii, colour in (
        ((0.50, 0.40), (0.34, 0.36), (70, 45, 30)),
        ((0.50, 0.52), (0.28, 0.36), (214, 160, 130)),
        ((0.38, 0.44), (0.055, 0.03), (245, 240, 235)),
        ((0.62, 0.44), (0.055, 0.03), (245, 240, 235)),
        ((0.38, 0.44), (0.025, 0.028), (50, 60, 40)),
        ((0.62, 0.44), (0.025, 0.028), (50, 60, 40)),
        ((0.50, 0.58), (0.035, 0.07), (196, 138, 110)),
        ((0.50, 0.72), (0.10, 0.03), (170, 60, 70)),
    ):
        distance = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2
        share = np.clip((1.15 - distance) / 0.3, 0, 1)[..., None]
        picture = picture * (1 - share) + np.array(colour) * share
    return np.asarray(picture * light[..., None])
