"""Self-blended images: what is blended lies where the mask says, and nowhere else."""

import cv2
import numpy as np
import pytest
from skimage import data

from models.training.blending import OUTLINES, Portrait, blend, draw_mask, shift_colour, through_fewer_pixels

PHOTOGRAPH = np.ascontiguousarray(data.astronaut()[:300, 80:380])  # type: ignore[no-untyped-call]
ASTRONAUT = Portrait(
    PHOTOGRAPH,
    np.array([[124, 112], [158, 110], [143, 134], [129, 147], [160, 145]], np.float32),
    (97.0, 62.0, 190.0, 176.0),
    "astronaut",
)


@pytest.mark.parametrize("seed", range(25))
def test_what_lies_outside_the_mask_is_one_image_untouched_or_changed_as_a_whole(seed: int) -> None:
    made = blend(ASTRONAUT, np.random.default_rng(seed))
    outside = made.mask == 0
    assert made.mask.min() >= 0
    assert 0.2 < made.mask.max() <= 1
    assert outside.mean() > 0.5
    assert made.image.shape == ASTRONAUT.image.shape
    assert made.image.dtype == np.uint8
    # Of a source that is pasted nothing reaches the far corner: it is the target's, whatever became of that.
    assert outside[-40:].all()
    assert outside[:, :40].all()


def test_a_blend_changes_the_face_where_the_target_itself_is_left_alone() -> None:
    untouched = 0
    for seed in range(40):
        made = blend(ASTRONAUT, np.random.default_rng(seed))
        difference = np.abs(made.image.astype(int) - ASTRONAUT.image).sum(2)
        if difference[made.mask == 0].any():
            continue
        untouched += 1
        assert difference[made.mask > 0].mean() > 0.5, made.outline
    assert 10 <= untouched <= 30


def test_the_same_seed_makes_the_same_blend_and_another_seed_another() -> None:
    first, again, other = (blend(ASTRONAUT, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert (first.image != other.image).any()


def test_masks_lie_on_the_face_and_every_outline_is_drawn() -> None:
    drawn = set()
    for seed in range(200):
        mask, name = draw_mask(ASTRONAUT.landmarks, 300, np.random.default_rng(seed))
        drawn.add(name)
        weights = mask / mask.sum()
        rows, columns = np.indices(mask.shape)
        centre = (float((columns * weights).sum()), float((rows * weights).sum()))
        assert 110 < centre[0] < 175, (name, centre)
        assert 70 < centre[1] < 175, (name, centre)
        assert mask.max() == 1, name
    assert drawn == set(OUTLINES)


def test_a_mouth_mask_lies_below_an_eye_mask() -> None:
    heights: dict[str, list[float]] = {"eyes": [], "mouth": []}
    for seed in range(200):
        mask, name = draw_mask(ASTRONAUT.landmarks, 300, np.random.default_rng(seed))
        if name in heights:
            heights[name].append(float((mask.sum(1) * np.arange(300)).sum() / mask.sum()))
    assert max(heights["eyes"]) < min(heights["mouth"])


def test_another_face_is_brought_to_the_landmarks_and_the_colours_of_the_target() -> None:
    mirrored = Portrait(
        np.ascontiguousarray(ASTRONAUT.image[:, ::-1, ::-1]),
        (np.array([299, 0], np.float32) + ASTRONAUT.landmarks * np.array([-1, 1], np.float32))[[1, 0, 2, 4, 3]],
        (109.0, 62.0, 202.0, 176.0),
        "mirrored",
    )
    made = blend(ASTRONAUT, np.random.default_rng(11), mirrored)
    inside = made.mask > 0.2
    assert inside.any()
    # Blue skin of the source would show as blue above red; its colours were matched before.
    assert made.image[inside][:, 0].mean() > made.image[inside][:, 2].mean()


def test_fewer_pixels_take_away_high_frequencies() -> None:
    def energy(image: np.ndarray) -> float:
        return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())

    reduced = through_fewer_pixels(ASTRONAUT.image, 3.0, np.random.default_rng(2))
    assert reduced.shape == ASTRONAUT.image.shape
    assert energy(reduced) < 0.7 * energy(ASTRONAUT.image)


def test_a_colour_shift_of_no_strength_changes_nothing_visible() -> None:
    for seed in range(10):
        same = shift_colour(ASTRONAUT.image, np.random.default_rng(seed), strength=0.0)
        assert np.abs(same.astype(int) - ASTRONAUT.image).mean() < 3
