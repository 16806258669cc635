"""Pairs to learn from: a face and a blend of it, seen through the same degradation."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.blending import Image, Mask, Portrait, blend
from models.training.degradation import choose_view, cut, degrade, through_h264
from models.training.portraits import resized

_OF_ANOTHER = 0.2
"""Share of blends whose source is another face."""
_SMALLEST, _LARGEST = 72.0, 230.0
"""Longer side of a face while it is blended, pixels: traces of blending come in all widths."""
_LEAST = 0.05
"""A mask below this is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A face and its blend, cut and degraded alike.

    Attributes:
        real: uint8 [S, S, 3] RGB.
        fake: likewise.
        mask: float32 [S, S] in [0, 1], where the fake is blended.
    """

    real: Image
    fake: Image
    mask: Mask


def draw_pair(portraits: Sequence[Portrait], index: int, size: int, seed: Sequence[int]) -> Pair:
    """The pair that a seed makes of a portrait.

    Args:
        portraits: all of a split; another face is taken from them.
        index: of the target.
        size: side of the crops, pixels.
        seed: decides everything.
    """
    rng = np.random.default_rng(list(seed))
    face = float(np.exp(rng.uniform(np.log(_SMALLEST), np.log(_LARGEST))))
    target = resized(portraits[index], face)
    other = None
    if rng.random() < _OF_ANOTHER:
        other = _alike(portraits, index, rng)
    mixed = blend(target, rng, other)
    view = choose_view(target, size, rng)
    draw = int(rng.integers(2**31))
    real, fake = (degrade(cut(image, view, size), np.random.default_rng(draw)) for image in (target.image, mixed.image))
    return Pair(real, fake, cut(mixed.mask, view, size))


def validation_pairs(portraits: Sequence[Portrait], size: int, seed: int, crf: int) -> tuple[Pair, ...]:
    """One pair of each portrait, with nothing but H.264 at `crf` between the photograph and the crop."""
    pairs = []
    for index, portrait in enumerate(portraits):
        rng = np.random.default_rng([seed, index])
        target = resized(portrait, 150.0)
        mixed = blend(target, rng)
        view = choose_view(target, size, rng)
        real, fake = (through_h264(cut(image, view, size), crf) for image in (target.image, mixed.image))
        pairs.append(Pair(real, fake, cut(mixed.mask, view, size)))
    return tuple(pairs)


def stacked(pairs: Sequence[Pair], cells: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """A batch of pairs.

    Returns:
        uint8 [2B, S, S, 3], the faces and then their blends; float32 [2B], 1 for a blend; float32
        [2B, cells, cells], the share of each cell that is blended: a source that is mixed in by a quarter covers
        as much as one that is pasted.
    """
    images = np.stack([pair.real for pair in pairs] + [pair.fake for pair in pairs])
    labels = np.repeat(np.array([0, 1], np.float32), len(pairs))
    masks = np.zeros((len(images), cells, cells), np.float32)
    for place, pair in enumerate(pairs):
        covered = pair.mask / max(float(pair.mask.max()), _LEAST)
        masks[len(pairs) + place] = cv2.resize(covered, (cells, cells), interpolation=cv2.INTER_AREA)
    return images, labels, masks


def _alike(portraits: Sequence[Portrait], index: int, rng: np.random.Generator) -> Portrait | None:
    """Of some faces by chance the one whose landmarks lie most like this one's."""
    mine = _shape(portraits[index])
    others = [int(each) for each in rng.integers(0, len(portraits), 12)]
    candidates = [each for each in others if portraits[each].name != portraits[index].name]
    if not candidates:
        return None
    return portraits[min(candidates, key=lambda each: float(np.abs(_shape(portraits[each]) - mine).sum()))]


def _shape(portrait: Portrait) -> NDArray[np.float32]:
    x0, y0, x1, y1 = portrait.box
    corner, side = np.array([x0, y0], np.float32), np.float32(max(x1 - x0, y1 - y0))
    return np.asarray((portrait.landmarks - corner) / side, np.float32)
