from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from models.exceptions import GraphInvalid, ShapeMismatch
from models.faces import Face, FaceDetector, reduced_size, suppress
from models.graph import fold
from models.manifest import Manifest
from tests.support.tiny_models import write_brightness

# The astronaut's face, in her photograph of 512 x 512.
FACE = (172, 65, 277, 205)


@pytest.fixture(scope="module")
def photograph() -> NDArray[np.uint8]:
    return np.ascontiguousarray(astronaut()[:, :, :3])  # type: ignore[no-untyped-call]


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width, height = (max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    shared = width * height
    return shared / (sum((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)) - shared)


def test_the_astronauts_face_is_found_with_its_landmarks(detector: FaceDetector, photograph: NDArray[np.uint8]) -> None:
    (found,) = detector.detect([photograph])
    face = found[0]
    assert overlap(face.box, FACE) > 0.6
    assert 0.5 < face.score <= 1
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.mark.parametrize("long_side", [512, 256, 200])
def test_boxes_are_in_the_coordinates_of_the_frame_given(
    detector: FaceDetector, photograph: NDArray[np.uint8], long_side: int
) -> None:
    (found,) = detector.detect([photograph], long_side)
    (full,) = detector.detect([photograph])
    assert overlap(found[0].box, full[0].box) > 0.75


def test_frames_of_any_sizes_are_found_in_one_call(detector: FaceDetector, photograph: NDArray[np.uint8]) -> None:
    frames = [photograph, np.zeros((90, 160, 3), np.uint8), photograph[:400], photograph[:, ::-1]]
    together = detector.detect(frames)
    alone = [detector.detect([frame])[0] for frame in frames]
    assert [len(faces) for faces in together] == [len(faces) for faces in alone]
    for ours, theirs in zip(together, alone, strict=True):
        for face, same in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(face.box, same.box, atol=0.01)
    assert together[1] == []


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (33, 31), (32, 32)])
def test_a_frame_of_any_size_is_looked_at(detector: FaceDetector, size: tuple[int, int]) -> None:
    assert detector.detect(np.zeros((2, *size, 3), np.uint8)) == [[], []]


def test_no_frames_have_no_faces(detector: FaceDetector) -> None:
    assert detector.detect([]) == []


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_what_is_no_frame_is_refused(detector: FaceDetector, frame: NDArray[np.uint8]) -> None:
    with pytest.raises(ShapeMismatch, match="centerface: frames"):
        detector.detect([frame])


def test_boxes_stay_in_the_frame(detector: FaceDetector, photograph: NDArray[np.uint8]) -> None:
    cut = np.ascontiguousarray(photograph[80:, 200:])
    for face in detector.detect([cut])[0]:
        x0, y0, x1, y1 = face.box
        assert 0 <= x0 < x1 <= cut.shape[1]
        assert 0 <= y0 < y1 <= cut.shape[0]


def test_a_network_that_is_no_centerface_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    write_brightness(tmp_path / "m.onnx")
    with pytest.raises(GraphInvalid, match="CenterFace answers"):
        fold(manifest.entry("centerface"), tmp_path / "m.onnx")


def test_of_boxes_that_overlap_the_best_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [2, 0, 12, 10]], np.float32)
    scores = np.array([0.6, 0.9, 0.7, 0.5], np.float32)
    assert suppress(boxes, scores, 0.3).tolist() == [1, 2]


def slow_suppress(boxes: NDArray[np.float32], scores: NDArray[np.float32], max_overlap: float) -> list[int]:
    kept: list[int] = []
    for at in sorted(range(len(boxes)), key=lambda each: -scores[each]):
        if all(overlap(tuple(boxes[at]), tuple(boxes[other])) < max_overlap for other in kept):
            kept.append(at)
    return kept


def test_suppression_equals_its_definition() -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        corners = random.uniform(0, 50, (40, 2))
        boxes = np.concatenate([corners, corners + random.uniform(5, 40, (40, 2))], 1).astype(np.float32)
        scores = random.random(40).astype(np.float32)
        assert suppress(boxes, scores, 0.3).tolist() == slow_suppress(boxes, scores, 0.3)


@pytest.mark.parametrize(
    ("size", "reduced"),
    [((1080, 1920), (360, 640)), ((360, 640), (360, 640)), ((4000, 10), (640, 2)), ((3000, 1), (640, 1))],
)
def test_frames_are_reduced_and_never_enlarged(size: tuple[int, int], reduced: tuple[int, int]) -> None:
    assert reduced_size(*size, 640) == reduced


def test_a_face_scales_with_its_frame() -> None:
    face = Face((1, 2, 3, 4), 0.5, np.ones((5, 2), np.float32)).scaled(2, 3)
    assert face.box == (2, 6, 6, 12)
    assert face.landmarks[0].tolist() == [2, 3]


@pytest.mark.data
def test_portraits_have_faces(detector: FaceDetector, data: Path) -> None:
    portraits = sorted((data / "faces" / "train" / "real_portrait").glob("*.jpg"))[:100]
    images = [np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), np.uint8) for path in portraits]
    assert np.mean([bool(faces) for faces in detector.detect(images)]) > 0.9
