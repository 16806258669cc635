"""What the artifact analyses cost a face crop, on one core, and what they would in plain Python."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import cos, pi, sqrt
from time import process_time

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from models.artifacts.analysis import ANALYSES, CROP_MARGIN, analyse
from models.artifacts.compression import BLOCK, block_dct
from models.artifacts.squares import square_of
from models.artifacts.texture import NEIGHBOURS, local_binary_patterns
from models.artifacts.view import SIDE, FaceView
from models.crops import square_crop

BOX = (165.0, 65.0, 270.0, 200.0)
"""The face of scikit-image's photograph of an astronaut, pixels."""
LANDMARKS: NDArray[np.float32] = np.array([[203, 108], [246, 108], [226, 135], [208, 156], [244, 156]], np.float32)
"""Its eyes, nose and mouth corners, by eye."""
_BUDGET_MS = 3.0


def astronaut() -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return a face crop, uint8 [256, 256, 3], and its landmarks, float32 [5, 2]."""
    photograph = np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]
    left, top, side = square_of(BOX, CROP_MARGIN)
    landmarks = (LANDMARKS - np.array([left, top])) * (SIDE / side)
    return square_crop(photograph, BOX, CROP_MARGIN, SIDE), np.asarray(landmarks, np.float32)


def plain_local_binary_patterns(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what `local_binary_patterns` does, pixel by pixel."""
    rows = luma.tolist()
    patterns = [
        [
            sum((rows[y + dy][x + dx] >= rows[y][x]) << bit for bit, (dy, dx) in enumerate(NEIGHBOURS))
            for x in range(1, len(rows[0]) - 1)
        ]
        for y in range(1, len(rows) - 1)
    ]
    return np.array(patterns, np.uint8)


def plain_block_dct(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return what `block_dct` does, sum by sum: rows, then columns of each block."""
    waves = [
        [sqrt((1 if k == 0 else 2) / BLOCK) * cos((2 * n + 1) * k * pi / (2 * BLOCK)) for n in range(BLOCK)]
        for k in range(BLOCK)
    ]
    places = range(BLOCK)
    transformed = np.empty((luma.shape[0] // BLOCK, luma.shape[1] // BLOCK, BLOCK, BLOCK))
    for row, column in np.ndindex(transformed.shape[:2]):
        top, left = row * BLOCK, column * BLOCK
        block = luma[top : top + BLOCK, left : left + BLOCK].tolist()
        across = [[sum((line[n] - 128) * wave[n] for n in places) for wave in waves] for line in block]
        transformed[row, column] = [[sum(across[n][k] * wave[n] for n in places) for k in places] for wave in waves]
    return transformed


def measure(run: Run) -> Section:
    """Measure all analyses of a crop, each alone, and two of their parts against plain Python."""
    crop, landmarks = astronaut()
    repetitions, runs = run.amount(15, 3), run.amount(40, 5)
    with _one_thread():
        run.tell("artifacts: the analyses of a crop")
        view = FaceView.of(crop, landmarks)
        parts: list[tuple[str, Callable[[], object]]] = [
            ("all", lambda: analyse(crop, landmarks)),
            ("what they share", lambda: FaceView.of(crop, landmarks)),
            *((name, lambda find=find: find(view)) for name, find in ANALYSES.items()),
        ]
        taken: dict[str, list[float]] = {name: [] for name, _ in parts}
        for _ in range(repetitions):
            for name, part in parts:
                taken[name].append(_milliseconds(part, runs))
        run.tell("artifacts: plain Python")
        ratios = _against_plain(view.luma, run.amount(5, 1), runs)
    cost = Table(
        f"Artifact analyses, ms a crop of {SIDE} x {SIDE} on one core",
        ("", "ms"),
        tuple((name, Samples(tuple(values)).text(2)) for name, values in taken.items()),
        f"Processor time, not the clock's; the budget of all is {_BUDGET_MS:g} ms. One by one they find their "
        "constants and arrays in the caches, so that their sum is less than all.",
    )
    against = Table(
        "Vectorised against plain Python",
        ("", "vectorised, ms", "plain, ms", "ratio"),
        ratios,
        "The same result, checked in this run: equal patterns, coefficients to 0.001.",
    )
    return Section("Artifact analyses", (cost, against))


def _against_plain(luma: NDArray[np.uint8], repetitions: int, runs: int) -> tuple[tuple[str, ...], ...]:
    np.testing.assert_array_equal(local_binary_patterns(luma), plain_local_binary_patterns(luma))
    np.testing.assert_allclose(block_dct(luma), plain_block_dct(luma), atol=1e-3)
    rows = []
    compared: tuple[tuple[str, Callable[[], object], Callable[[], object]], ...] = (
        ("local binary patterns", lambda: local_binary_patterns(luma), lambda: plain_local_binary_patterns(luma)),
        ("DCT of 8 x 8 blocks", lambda: block_dct(luma), lambda: plain_block_dct(luma)),
    )
    for name, vectorised, plain in compared:
        pairs = [(_milliseconds(vectorised, runs), _milliseconds(plain, 1)) for _ in range(repetitions)]
        ours, theirs = (Samples(tuple(values)) for values in zip(*pairs, strict=True))
        rows.append((name, ours.text(3), theirs.text(1), theirs.over(ours).text()))
    return tuple(rows)


def _milliseconds(part: Callable[[], object], runs: int) -> float:
    began = process_time()
    for _ in range(runs):
        part()
    return (process_time() - began) / runs * 1000


@contextmanager
def _one_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
