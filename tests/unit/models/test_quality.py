import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray
from skimage import data

from models.quality import DEFAULT_GATE, QualityGate, face_quality

Image = NDArray[np.uint8]
Points = NDArray[np.float32]

FRONTAL: Points = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]], np.float32)
"""Both eyes, nose, both corners of the mouth."""


@pytest.fixture(scope="module")
def portrait() -> Image:
    """The face of the photograph that scikit-image ships."""
    photograph: Image = data.astronaut()  # type: ignore[no-untyped-call]
    return photograph[60:200, 160:290]


def with_nose_at(x: float) -> Points:
    points = FRONTAL.copy()
    points[2, 0] = x
    return points


def test_a_face_of_a_good_photograph_is_evidence(portrait: Image) -> None:
    quality = face_quality(portrait, 120.0, FRONTAL)
    assert quality.usable
    assert quality.sharpness > 0.5
    assert quality.exposure > 0.8
    assert quality.frontality == pytest.approx(1.0)


def test_a_blurred_face_is_not(portrait: Image) -> None:
    blurred = np.asarray(cv2.GaussianBlur(portrait, (0, 0), 8), np.uint8)
    quality = face_quality(blurred, 120.0, FRONTAL)
    assert quality.sharpness < DEFAULT_GATE.sharpness
    assert not quality.usable


@pytest.mark.parametrize("scale", [0.04, 0.0])
def test_a_face_in_the_dark_is_not(portrait: Image, scale: float) -> None:
    dark = (portrait * scale).astype(np.uint8)
    quality = face_quality(dark, 120.0, FRONTAL)
    assert quality.exposure < DEFAULT_GATE.exposure
    assert not quality.usable


def test_a_face_that_is_burnt_out_is_not(portrait: Image) -> None:
    burnt = np.clip(portrait.astype(np.int16) + 200, 0, 255).astype(np.uint8)
    quality = face_quality(burnt, 120.0, FRONTAL)
    assert quality.exposure < DEFAULT_GATE.exposure
    assert not quality.usable


def test_a_face_of_few_pixels_is_not_however_sharp_it_is(portrait: Image) -> None:
    assert face_quality(portrait, 39.9, FRONTAL).usable is False
    assert face_quality(portrait, 40.0, FRONTAL).usable is True


@pytest.mark.parametrize(
    ("nose", "frontality"), [(50, 1.0), (40, 0.5), (60, 0.5), (30, 0.0), (70, 0.0), (10, 0.0), (95, 0.0)]
)
def test_a_face_is_as_frontal_as_its_nose_is_in_the_middle(portrait: Image, nose: float, frontality: float) -> None:
    assert face_quality(portrait, 120.0, with_nose_at(nose)).frontality == pytest.approx(frontality)


def test_a_profile_is_not_evidence(portrait: Image) -> None:
    assert not face_quality(portrait, 120.0, with_nose_at(32)).usable


def test_a_face_whose_eyes_are_in_one_place_is_a_profile(portrait: Image) -> None:
    points = FRONTAL.copy()
    points[1] = points[0]
    assert face_quality(portrait, 120.0, points).frontality == 0.0


def test_a_tilted_head_is_as_frontal_as_an_upright_one(portrait: Image) -> None:
    turn = np.array([[0.0, -1.0], [1.0, 0.0]], np.float32)
    assert face_quality(portrait, 120.0, FRONTAL @ turn).frontality == pytest.approx(1.0)


def test_a_gate_can_ask_for_more(portrait: Image) -> None:
    assert not face_quality(portrait, 120.0, FRONTAL, QualityGate(size_px=200.0)).usable


def test_a_face_is_measured_at_one_size_whatever_its_own(portrait: Image) -> None:
    doubled = np.asarray(cv2.resize(portrait, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    small, large = face_quality(portrait, 120.0, FRONTAL), face_quality(doubled, 240.0, FRONTAL)
    assert large.sharpness == pytest.approx(small.sharpness, abs=0.1)


@given(seed=st.integers(0, 1000), height=st.integers(1, 300), width=st.integers(1, 300))
def test_every_measure_of_any_picture_is_a_share(seed: int, height: int, width: int) -> None:
    crop = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    quality = face_quality(crop, float(min(height, width)), FRONTAL)
    for share in (quality.sharpness, quality.exposure, quality.frontality):
        assert 0.0 <= share <= 1.0
