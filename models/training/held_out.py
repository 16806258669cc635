"""Blends of faces that nothing was learnt from, as picture files, to evaluate detectors on."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from models.training.blending import Draw, Image, Portrait, blend
from models.training.degradation import through_h264
from models.training.portraits import OnStep, resized

FACE = 150.0
"""Longer side of a face while it is blended, pixels."""


def write_blends(
    portraits: Sequence[Portrait], folder: Path, *, draw: Draw, crf: int | None, seed: int, on_step: OnStep
) -> int:
    """Write each face to `real/`, and blended into itself to `fake/`: PNG, the fake's outline in its name.

    Args:
        portraits: faces with their surroundings; the larger ones are reduced to `FACE`.
        folder: for both folders.
        draw: how they are blended.
        crf: constant rate factor of the H.264 that both go through, as a key frame; None for none.
        seed: of the blends.
        on_step: told how far it is.

    Returns:
        How many pairs were written.
    """
    for label in ("real", "fake"):
        (folder / label).mkdir(parents=True, exist_ok=True)
    for index, portrait in enumerate(portraits):
        target = resized(portrait, FACE)
        mixed = blend(target, np.random.default_rng([seed, index]), draw=draw)
        name = f"{index:04d}-{Path(portrait.name).stem}"
        _write(folder / "real" / f"{name}.png", target.image, crf)
        _write(folder / "fake" / f"{name}-{mixed.outline}.png", mixed.image, crf)
        on_step("blending", index + 1, len(portraits))
    return len(portraits)


def _write(path: Path, image: Image, crf: int | None) -> None:
    height, width = (side - side % 2 for side in image.shape[:2])
    even = np.ascontiguousarray(image[:height, :width])
    shown = even if crf is None else through_h264(even, crf)
    if not cv2.imwrite(str(path), cv2.cvtColor(shown, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path} cannot be written")
