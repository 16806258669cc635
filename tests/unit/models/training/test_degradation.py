"""Degradation: faces and their blends go the same way."""

import numpy as np
import pytest

from models.training.degradation import choose_view, cut, degrade, through_h264
from tests.unit.models.training.test_blending import ASTRONAUT

FACE = cut(ASTRONAUT.image, choose_view(ASTRONAUT, 128, np.random.default_rng(0)), 128)


def test_equal_draws_degrade_equally() -> None:
    for seed in range(30):
        first, again = (degrade(FACE, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert first.shape == FACE.shape
        assert first.dtype == np.uint8


def test_a_higher_rate_factor_of_h264_loses_more() -> None:
    losses = [np.abs(through_h264(FACE, crf).astype(int) - FACE).mean() for crf in (10, 25, 40, 50)]
    assert losses == sorted(losses)
    assert losses[-1] > 2 * losses[0]


def test_a_predicted_frame_shows_the_picture_and_not_the_one_before() -> None:
    predicted = through_h264(FACE, 18, predicted=True).astype(int)
    assert np.abs(predicted - FACE).mean() < np.abs(predicted - np.roll(FACE, (1, 1), (0, 1))).mean()


@pytest.mark.parametrize("seed", range(20))
def test_a_view_holds_the_face(seed: int) -> None:
    view = choose_view(ASTRONAUT, 128, np.random.default_rng(seed))
    places = np.c_[ASTRONAUT.landmarks, np.ones(5, np.float32)] @ view.matrix.T
    assert ((places > 8) & (places < 120)).all()


def test_mirrored_views_are_mirrored() -> None:
    views = [choose_view(ASTRONAUT, 128, np.random.default_rng(seed)) for seed in range(20)]
    assert {view.mirrored for view in views} == {True, False}
    mirrored = next(view for view in views if view.mirrored)
    straight = type(mirrored)(mirrored.matrix, mirrored=False)
    np.testing.assert_array_equal(cut(ASTRONAUT.image, mirrored, 128), cut(ASTRONAUT.image, straight, 128)[:, ::-1])
