"""Pairs and batches to learn from."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.faces import Face
from models.training.batches import BatchMaker
from models.training.portraits import read_portraits, resized, split
from models.training.recipe import Recipe
from models.training.samples import draw_pair, stacked, validation_pairs
from tests.unit.models.training.test_blending import ASTRONAUT

PORTRAITS = tuple(replace(ASTRONAUT, name=f"folder/{number}.jpg") for number in range(24))


def test_a_pair_differs_only_by_its_blend_where_nothing_is_degraded() -> None:
    for pair in validation_pairs(PORTRAITS[:4], 128, seed=3, crf=0):
        assert pair.real.shape == pair.fake.shape == (128, 128, 3)
        assert pair.mask.shape == (128, 128)
        assert pair.mask.max() > 0.2


def test_a_pair_is_what_its_seed_makes() -> None:
    first, again, other = (draw_pair(PORTRAITS, 0, 96, (1, step, 0)) for step in (4, 4, 5))
    np.testing.assert_array_equal(first.fake, again.fake)
    np.testing.assert_array_equal(first.real, again.real)
    assert (first.real != other.real).any()


def test_a_batch_says_which_are_blended_and_where() -> None:
    pairs = [draw_pair(PORTRAITS, 0, 96, (1, 2, place)) for place in range(3)]
    images, labels, masks = stacked(pairs, 6)
    assert images.shape == (6, 96, 96, 3)
    assert images.dtype == np.uint8
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert masks.shape == (6, 6, 6)
    assert not masks[:3].any()
    assert all(mask.max() > 0 for mask in masks[3:])


def test_what_is_mixed_in_by_a_quarter_covers_as_much_as_what_is_pasted() -> None:
    pair = draw_pair(PORTRAITS, 0, 96, (1, 2, 0))
    faint = replace(pair, mask=pair.mask * np.float32(0.25 / pair.mask.max()))
    _, _, (_, _, pasted, mixed) = stacked([pair, faint], 6)
    np.testing.assert_allclose(pasted, mixed, atol=1e-6)
    assert pasted.max() > 0.5


def test_batches_go_on_where_they_were_left_and_show_every_face_once_an_epoch() -> None:
    recipe = Recipe(size=64, steps=6, pairs=4, seed=9)
    maker = BatchMaker(PORTRAITS, recipe, 1)
    try:
        whole = [images for images, _, _ in maker.batches(0)]
        rest = [images for images, _, _ in maker.batches(4)]
        epoch = [index for step in range(6) for index in maker.indices(step)]
    finally:
        maker.close()
    assert len(whole) == 6
    for left, right in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(left, right)
    assert sorted(epoch) == list(range(24))


def test_no_file_is_in_both_parts() -> None:
    learnt, kept = split([*PORTRAITS, *PORTRAITS], 0.3, seed=1)
    assert len(learnt) + len(kept) == 48
    assert kept
    assert learnt
    assert not {each.name for each in learnt} & {each.name for each in kept}


def test_a_portrait_is_resized_with_its_box_and_landmarks() -> None:
    small = resized(ASTRONAUT, 57.0)
    assert small.box[3] - small.box[1] == pytest.approx(57.0, abs=0.5)
    np.testing.assert_allclose(small.landmarks / ASTRONAUT.landmarks, 0.5, atol=0.01)
    assert small.image.shape == (150, 150, 3)


class _Finder:
    """Finds what a test says."""

    def __init__(self, faces: list[Face]) -> None:
        self.faces = faces

    def detect(self, _: object) -> list[list[Face]]:
        return [self.faces]


def test_faces_that_are_small_or_cut_off_are_not_learnt_from(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), ASTRONAUT.image[:, :, ::-1])
    whole = Face(ASTRONAUT.box, 0.9, ASTRONAUT.landmarks)
    cut_off = Face((0.0, 62.0, 93.0, 176.0), 0.9, ASTRONAUT.landmarks)
    tiny = Face((97.0, 62.0, 120.0, 90.0), 0.9, ASTRONAUT.landmarks)
    found = read_portraits([tmp_path], _Finder([whole, cut_off, tiny]), lambda *_: None)
    assert len(found) == 1
    # What lies under the landmarks is what lay there in the photograph.
    x, y = np.rint(found[0].landmarks[2]).astype(int)
    nose_x, nose_y = np.rint(ASTRONAUT.landmarks[2]).astype(int)
    np.testing.assert_array_equal(found[0].image[y, x], ASTRONAUT.image[nose_y, nose_x])


def test_a_folder_without_photographs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no"):
        read_portraits([tmp_path], _Finder([]), lambda *_: None)
