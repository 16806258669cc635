"""Blends as they were published: what tells source from target is always plain."""

import cv2
import numpy as np
import pytest

from models.training.blending import blend
from models.training.published import PUBLISHED
from tests.unit.models.training.test_blending import ASTRONAUT


def fineness(image: np.ndarray) -> float:
    """Spread of what is finer than a few pixels."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float((luma - cv2.GaussianBlur(luma, (0, 0), 1.5)).std())


@pytest.mark.parametrize("seed", range(12))
def test_a_change_makes_a_picture_much_coarser_or_much_sharper(seed: int) -> None:
    changed = PUBLISHED.change(ASTRONAUT.image, np.random.default_rng(seed))
    assert changed.shape == ASTRONAUT.image.shape
    assert changed.dtype == np.uint8
    ratio = fineness(changed) / fineness(ASTRONAUT.image)
    assert ratio < 0.8 or ratio > 1.15


def test_chances_of_outlines_sum_to_1() -> None:
    assert sum(PUBLISHED.outlines.values()) == pytest.approx(1)


def test_a_blend_is_what_its_seed_makes() -> None:
    first, again = (blend(ASTRONAUT, np.random.default_rng(4), draw=PUBLISHED) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    assert (first.image != ASTRONAUT.image).any()
