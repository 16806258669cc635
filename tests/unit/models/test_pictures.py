"""Small pictures of faces and of where they look altered."""

import cv2
import numpy as np

from models.pictures import SIDE, blurred, overlay, thumbnail

GREY = np.full((192, 192, 3), 120, np.uint8)
HALF = np.concatenate([np.zeros((12, 6), np.float32), np.ones((12, 6), np.float32)], axis=1)


def decoded(jpeg: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    return picture


def test_only_the_hot_half_is_coloured() -> None:
    laid = overlay(GREY, HALF)
    assert laid.shape == GREY.shape
    assert np.abs(laid[:, :60].astype(int) - 120).max() <= 4
    red, _, blue = laid[:, 150:].astype(int).mean((0, 1))
    assert red - blue > 30


def test_a_thumbnail_shows_the_face_and_beside_it_the_map() -> None:
    picture = decoded(thumbnail(GREY, HALF))
    assert picture.shape == (SIDE, 2 * SIDE, 3)
    assert np.abs(picture[:, :SIDE].astype(int) - 120).max() <= 6
    assert picture[:, -20:].astype(int).std() > 5


def test_without_a_map_it_is_the_face_alone() -> None:
    assert decoded(thumbnail(GREY, None)).shape == (SIDE, SIDE, 3)


def test_a_blurred_face_has_nothing_finer_than_its_cells() -> None:
    rng = np.random.default_rng(3)
    checks = np.kron(rng.integers(0, 2, (24, 24)), np.ones((8, 8))).astype(np.uint8) * 255
    sharp = thumbnail(np.repeat(checks[:, :, None], 3, 2), None)
    before, after = decoded(sharp).astype(float), decoded(blurred(sharp)).astype(float)
    assert after.shape == before.shape
    assert np.abs(np.diff(after, axis=1)).mean() < 0.15 * np.abs(np.diff(before, axis=1)).mean()
