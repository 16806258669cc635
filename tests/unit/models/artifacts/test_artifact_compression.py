import cv2
import numpy as np

from bench.artifacts import plain_block_dct
from models.artifacts.compression import block_dct, blockiness, double_quantisation, ringing
from models.artifacts.view import FaceView
from tests.unit.models.artifacts.conftest import Image, Portrait, as_jpeg, as_luma


def test_strong_compression_shows_its_blocks(photograph: Image) -> None:
    plain = blockiness(as_luma(photograph))
    assert plain < 0.1
    assert blockiness(as_luma(as_jpeg(photograph, 20))) > plain + 0.15


def test_blocks_are_found_wherever_their_grid_begins(photograph: Image) -> None:
    wide = np.pad(as_jpeg(photograph, 20), ((3, 0), (5, 0), (0, 0)), mode="reflect")[:256, :256]
    assert blockiness(as_luma(wide)) > blockiness(as_luma(photograph)) + 0.15


def test_strong_compression_rings_about_edges() -> None:
    disc = np.full((256, 256, 3), 90, np.uint8)
    cv2.circle(disc, (128, 128), 90, (220, 220, 220), -1)
    disc = np.asarray(cv2.GaussianBlur(disc, (0, 0), 1.0), np.uint8)
    landmarks = np.zeros((5, 2), np.float32)
    clean = ringing(FaceView.of(disc, landmarks))
    assert clean < 1.5
    assert ringing(FaceView.of(as_jpeg(disc, 20), landmarks)) > clean + 2.0


def test_a_second_compression_with_finer_steps_is_told_from_a_single_one(photograph: Image) -> None:
    twice = double_quantisation(as_luma(as_jpeg(as_jpeg(photograph, 60), 75)))
    assert twice > 0.2
    assert double_quantisation(as_luma(as_jpeg(photograph, 75))) < twice / 2
    assert double_quantisation(as_luma(photograph)) == 0.0


def test_a_second_compression_on_another_grid_is_none(photograph: Image) -> None:
    aligned = double_quantisation(as_luma(as_jpeg(as_jpeg(photograph, 60), 75)))
    moved = as_jpeg(np.roll(as_jpeg(photograph, 60), (3, 4), axis=(0, 1)), 75)
    assert double_quantisation(as_luma(moved)) < aligned / 2


def test_blocks_have_the_coefficients_of_the_definition(portrait: Portrait) -> None:
    luma = as_luma(portrait.crop)[64:128, 32:128]
    np.testing.assert_allclose(block_dct(luma), plain_block_dct(luma), atol=1e-3)


def test_the_finding_joins_them(portrait: Portrait) -> None:
    assert portrait.score("compression", as_jpeg(portrait.crop, 10)) > portrait.score("compression") + 0.2
