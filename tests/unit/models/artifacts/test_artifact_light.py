"""Analyses of light, on a ball lit from a side."""

import numpy as np
import pytest

from models.artifacts.lighting import light_of
from models.artifacts.view import FaceView
from tests.unit.models.artifacts.conftest import Image, Portrait

LANDMARKS = np.array([[98, 108], [158, 108], [128, 135], [103, 168], [153, 168]], np.float32)


def lit(face: tuple[float, float], around: float = 0.0) -> Image:
    """A ball whose upper and lower halves are lit from these sides, -1 left to 1 right, before a lit background."""
    across, along = FaceView.of(np.zeros((256, 256, 3), np.uint8), LANDMARKS).ellipse.coordinates(256)
    inside = across**2 + along**2 < 1
    side = np.where(along < 0, face[0], face[1])
    luma = np.where(inside, 120 + 60 * side * across, 120 + 30 * around * np.clip(across, -2, 2))
    return np.repeat(luma.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("side", [-1.0, 0.5, 1.0])
def test_the_light_of_a_ball_is_found(side: float) -> None:
    view = FaceView.of(lit((side, side)), LANDMARKS)
    across, along = light_of(view, view.inside(0.9))
    assert across == pytest.approx(60 * side / 136, rel=0.1)
    assert abs(along) < 0.03


def test_a_face_whose_halves_are_lit_from_two_sides_contradicts_itself() -> None:
    ball = Portrait(lit((1.0, 1.0)), LANDMARKS)
    assert ball.score("lighting") == 0.0
    assert ball.score("lighting", lit((1.0, 0.3))) == 0.0
    assert ball.score("lighting", lit((1.0, -1.0))) > 0.5
    assert ball.score("lighting", lit((0.3, -0.3))) < ball.score("lighting", lit((1.0, -1.0)))


def test_a_photograph_with_half_of_its_face_mirrored_is_lit_from_two_sides(portrait: Portrait) -> None:
    across, along = FaceView.of(portrait.crop, portrait.landmarks).ellipse.coordinates(256)
    shade = np.clip(1 + 0.5 * across, 0.3, 1.7)[:, :, None]
    flipped = np.where(along[:, :, None] < 0, shade, 2 - shade)
    same, other = (np.clip(portrait.crop * light, 0, 255).astype(np.uint8) for light in (shade, flipped))
    assert portrait.score("lighting", other) > portrait.score("lighting", same) + 0.2


def test_a_face_shaded_on_the_side_that_is_bright_around_it_is_found() -> None:
    ball = Portrait(lit((1.0, 1.0), around=1.0), LANDMARKS)
    assert ball.score("shadow") == 0.0
    assert ball.score("shadow", lit((-1.0, -1.0), around=1.0)) > 0.3
    assert ball.score("shadow", lit((0.0, 0.0), around=1.0)) == 0.0
