"""Analyses that compare a face with what is around it, on pasted faces."""

import cv2
import numpy as np
import pytest

from tests.unit.models.artifacts.conftest import Image, Portrait

TINTS = [(30, 0, -30), (-30, 10, 20), (25, -25, 0)]


SKIN = (200, 150, 120)
LANDMARKS = np.array([[98, 108], [158, 108], [128, 135], [103, 168], [153, 168]], np.float32)


def skin() -> Portrait:
    """A face and what is around it of one colour, with the noise of a camera."""
    noise = np.random.default_rng(3).normal(0, 6, (256, 256, 3))
    return Portrait(np.clip(np.array(SKIN) + noise, 0, 255).astype(np.uint8), LANDMARKS)


def tinted(crop: Image, tint: tuple[int, int, int]) -> Image:
    return np.clip(crop.astype(np.int16) + np.array(tint, np.int16), 0, 255).astype(np.uint8)


def softened(crop: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), 2.5), np.uint8)


@pytest.mark.parametrize("tint", TINTS)
def test_a_pasted_face_of_another_colour_has_a_boundary(portrait: Portrait, tint: tuple[int, int, int]) -> None:
    pasted = portrait.pasted(tinted(portrait.crop, tint))
    assert portrait.score("blending_boundary", pasted) > portrait.score("blending_boundary") + 0.1


@pytest.mark.parametrize("tint", TINTS)
def test_a_tint_of_the_whole_picture_is_no_boundary(portrait: Portrait, tint: tuple[int, int, int]) -> None:
    whole = portrait.score("blending_boundary", tinted(portrait.crop, tint))
    assert whole == pytest.approx(portrait.score("blending_boundary"), abs=0.1)


def test_a_pasted_face_without_its_noise_has_a_boundary() -> None:
    noisy = skin()
    smooth = np.full_like(noisy.crop, SKIN)
    assert noisy.score("blending_boundary") < 0.1
    assert noisy.score("blending_boundary", noisy.pasted(smooth)) > 0.4


def test_the_boundary_lies_where_the_face_was_pasted() -> None:
    grey = np.full((256, 256, 3), 120, np.uint8)
    flat = Portrait(grey, LANDMARKS)
    finding = flat.finding("blending_boundary", flat.pasted(tinted(grey, (30, 0, -30))))
    assert finding.heatmap is not None
    assert finding.region is not None
    assert finding.score > 0.6
    assert finding.heatmap.max() == pytest.approx(finding.score)
    middle_row = finding.heatmap[17]
    assert middle_row[16] < 0.1 * finding.score
    assert abs(int(middle_row[:16].argmax()) - (128 - 0.95 * 63) / 8) <= 1.5
    assert flat.score("blending_boundary") == 0.0


@pytest.mark.parametrize("tint", [(0, 40, -40), (-50, 20, 40), (-40, 40, 0)])
def test_a_face_of_another_colour_than_its_neck_is_found(tint: tuple[int, int, int]) -> None:
    body = skin()
    assert body.score("colour") < 0.15
    assert body.score("colour", tinted(body.crop, tint)) < 0.15
    assert body.score("colour", body.pasted(tinted(body.crop, (25, 25, 25)))) < 0.15
    assert body.score("colour", body.pasted(tinted(body.crop, tint))) > 0.5


def test_a_face_softer_than_its_surroundings_is_found(portrait: Portrait) -> None:
    inside = portrait.score("edge_consistency", portrait.pasted(softened(portrait.crop)))
    whole = portrait.score("edge_consistency", softened(portrait.crop))
    assert inside > portrait.score("edge_consistency") + 0.1
    assert inside > whole + 0.1


def test_a_face_without_the_texture_around_it_is_found(portrait: Portrait) -> None:
    noise = np.random.default_rng(3).normal(0, 8, portrait.crop.shape)
    noisy = np.clip(portrait.crop + noise, 0, 255).astype(np.uint8)
    grained = Portrait(noisy, portrait.landmarks)
    same = grained.score("texture")
    assert grained.score("texture", grained.pasted(softened(noisy))) > same + 0.1
    assert same < portrait.score("texture") + 0.05
