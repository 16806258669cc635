from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray
from skimage import data

from bench.artifacts import LANDMARKS
from models.faces import Face, FaceDetector
from models.quality import DEFAULT_GATE, QualityGate, colour_outlier, face_quality, head_pose, noise_deviation

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
    quality = face_quality(crop, float(min(height, width)), FRONTAL, detection_score=0.5, origin=(3, 200))
    for share in (
        quality.sharpness,
        quality.exposure,
        quality.frontality,
        quality.contrast,
        quality.noise,
        quality.blockiness,
        quality.occlusion,
    ):
        assert 0.0 <= share <= 1.0


ORIGIN = (160, 60)
"""Of the portrait in its photograph, where `LANDMARKS` are."""
HALVES = {
    "left": (slice(0, 140), slice(0, 65)),
    "lower": (slice(75, 140), slice(0, 130)),
    "upper": (slice(0, 60), slice(0, 130)),
}


def covered(portrait: Image, half: str, colour: tuple[int, int, int]) -> Image:
    image = portrait.copy()
    image[HALVES[half]] = colour
    return image


def test_a_face_in_haze_is_no_evidence(portrait: Image) -> None:
    haze = (150 + (portrait.astype(np.float32) - 150) * 0.05).astype(np.uint8)
    quality = face_quality(haze, 120.0, FRONTAL)
    assert quality.contrast < DEFAULT_GATE.contrast < face_quality(portrait, 120.0, FRONTAL).contrast
    assert not quality.usable


def test_a_face_lost_in_noise_is_no_evidence(portrait: Image) -> None:
    noise = np.random.default_rng(1).normal(0, 80, portrait.shape)
    quality = face_quality(np.clip(portrait + noise, 0, 255).astype(np.uint8), 120.0, FRONTAL)
    assert quality.noise > DEFAULT_GATE.most_noise
    assert not quality.usable


@pytest.mark.parametrize("deviation", [2.0, 5.0, 10.0, 20.0])
def test_the_deviation_of_noise_is_found_on_a_slope(deviation: float) -> None:
    slope = np.add.outer(np.linspace(60, 120, 200), np.linspace(0, 60, 200))
    noisy = slope + np.random.default_rng(1).normal(0, deviation, slope.shape)
    assert noise_deviation(slope.astype(np.uint8)) < 1.0
    assert noise_deviation(np.clip(noisy, 0, 255).astype(np.uint8)) == pytest.approx(deviation, rel=0.1)


def test_a_strongly_compressed_face_shows_blocks_and_stays_evidence(portrait: Image) -> None:
    _, encoded = cv2.imencode(".jpg", portrait, [cv2.IMWRITE_JPEG_QUALITY, 12])
    compressed = face_quality(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8), 120.0, FRONTAL)
    assert compressed.blockiness > face_quality(portrait, 120.0, FRONTAL).blockiness + 0.2
    assert compressed.usable


def head(yaw: float, pitch: float, roll: float) -> Points:
    """Eyes, nose and mouth corners of a head turned by these degrees, seen from afar."""
    points = np.array([[-18, -20, 0], [18, -20, 0], [0, 3, 15], [-15, 20, 0], [15, 20, 0]], np.float64)
    y, p, r = np.radians([yaw, pitch, roll])
    turned = points @ np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    turned = turned @ np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    turned = turned @ np.array([[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(turned[:, :2] * 1.7 + 90, np.float32)


@pytest.mark.parametrize("roll", [-40.0, 0.0, 25.0, 100.0])
@pytest.mark.parametrize("pitch", [-20.0, 0.0, 20.0])
@pytest.mark.parametrize("yaw", [-40.0, -15.0, 0.0, 30.0])
def test_the_pose_of_a_turned_head_is_found(yaw: float, pitch: float, roll: float) -> None:
    pose = head_pose(head(yaw, pitch, roll))
    assert pose.yaw == pytest.approx(yaw, abs=8)
    assert pose.pitch == pytest.approx(pitch, abs=8)
    assert pose.roll == pytest.approx(roll, abs=8)


def test_landmarks_in_one_place_look_nowhere() -> None:
    pose = head_pose(np.ones((5, 2), np.float32))
    assert (pose.yaw, pose.pitch, pose.roll) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("colour", [(60, 90, 150), (40, 160, 60), (250, 230, 20)])
def test_a_face_half_covered_is_no_evidence(portrait: Image, half: str, colour: tuple[int, int, int]) -> None:
    seen = face_quality(portrait, 120.0, LANDMARKS, detection_score=0.9, origin=ORIGIN)
    hidden = face_quality(covered(portrait, half, colour), 120.0, LANDMARKS, detection_score=0.75, origin=ORIGIN)
    assert seen.usable
    assert seen.occlusion < 0.4
    assert hidden.occlusion > DEFAULT_GATE.most_occlusion
    assert not hidden.usable


def test_a_doubtful_detection_makes_another_colour_weigh_more(portrait: Image) -> None:
    image = covered(portrait, "lower", (60, 60, 60))
    sure, doubtful = (
        face_quality(image, 120.0, LANDMARKS, detection_score=score, origin=ORIGIN).occlusion for score in (0.95, 0.6)
    )
    assert 0.0 < sure < doubtful
    assert face_quality(image, 120.0, LANDMARKS).occlusion == 0.0


def test_a_face_of_one_colour_is_covered_by_nothing() -> None:
    assert colour_outlier(np.full((100, 100, 3), 130, np.uint8), FRONTAL) == 0.0


def test_most_covered_faces_are_kept_out_and_hardly_any_other(data: Path, detector: FaceDetector) -> None:
    """The share of photographs, not of faces that look at the camera: profiles are kept out too."""
    images = [cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in sorted((data / "faces/val/real").glob("*.jpg"))]
    seen, hidden = [], []
    for image in (np.asarray(each, np.uint8) for each in images[:40]):
        faces = detector.detect([image])[0]
        if not faces:
            continue
        face = max(faces, key=lambda each: each.box[2] - each.box[0])
        seen.append(judged(image, face))
        x0, y0, x1, y1 = (int(edge) for edge in face.box)
        image[(y0 + y1) // 2 : y1, x0:x1] = (60, 90, 150)
        again = [each for each in detector.detect([image])[0] if x0 < (each.box[0] + each.box[2]) / 2 < x1]
        hidden += [judged(image, again[0])] if again else []
    assert len(seen) >= 38
    assert len(hidden) >= 30
    assert np.mean(seen) >= 0.9
    assert np.mean(hidden) <= 0.2


def judged(image: Image, face: Face) -> bool:
    x0, y0, x1, y1 = (int(edge) for edge in face.box)
    side = min(face.box[2] - face.box[0], face.box[3] - face.box[1])
    crop = image[y0:y1, x0:x1]
    return face_quality(crop, side, face.landmarks, detection_score=face.score, origin=(x0, y0)).usable
