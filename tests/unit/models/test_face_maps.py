"""The answers of face detectors are read as their makers read them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.exceptions import GraphInvalid, ImportIncomplete
from models.face_maps import FACE_MAPS
from models.face_maps.centerface import HEAT, LANDMARKS, OFFSETS, SIZES
from models.faces import FaceDetector
from models.families.catalogue import Format
from models.graph import prepare
from models.importing import Facts, import_checkpoint
from models.manifest import Entry, Family, Manifest, Role
from tests.support.media import photograph
from tests.support.tiny_models import write_brightness

FACTS = Facts(licence="BSD-3-Clause", origin="https://doi.org/10.1007/s11633-023-1423-y")


def centerface_answers() -> dict[str, NDArray[np.float32]]:
    return {name: np.zeros((channels, 8, 16), np.float32) for name, (_, channels, *_) in _channels("centerface")}


def _channels(layout: str) -> list[tuple[str, tuple[int | str, int, str, str]]]:
    return [(name, tuple(shape)) for name, shape in FACE_MAPS[layout].outputs.items()]  # type: ignore[misc]


def test_centerfaces_maps_are_boxes_and_landmarks() -> None:
    answers = centerface_answers()
    answers[HEAT][0, 3, 5] = 0.9
    answers[SIZES][:, 3, 5] = np.log([6.0, 4.0])
    answers[OFFSETS][:, 3, 5] = (0.25, -0.25)
    answers[LANDMARKS][:, 3, 5] = [0.1, 0.2, 0.1, 0.8, 0.5, 0.5, 0.9, 0.3, 0.9, 0.7]
    boxes, scores, points = FACE_MAPS["centerface"].find(answers, 64, 0.5)
    # Centre at cell (x 5 - 0.25 + 0.5, y 3 + 0.25 + 0.5), 4 cells wide and 6 high, 4 pixels a cell.
    np.testing.assert_allclose(boxes, [[13, 3, 29, 27]], atol=1e-5)
    np.testing.assert_allclose(scores, [0.9])
    np.testing.assert_allclose(points[0, 0], [13 + 0.2 * 16, 3 + 0.1 * 24], atol=1e-5)
    np.testing.assert_allclose(points[0, 3], [13 + 0.3 * 16, 3 + 0.9 * 24], atol=1e-5)


def yunet_answers(width: int, height: int) -> dict[str, NDArray[np.float32]]:
    return {
        f"{name}_{cell}": np.zeros((width // cell * (height // cell), channels), np.float32)
        for name, channels in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
        for cell in (8, 16, 32)
    }


def test_yunets_maps_are_boxes_and_landmarks() -> None:
    answers = yunet_answers(96, 64)
    place = 2 * 6 + 3  # Third row, fourth column of the cells of 16 pixels, of which six are a row.
    answers["cls_16"][place], answers["obj_16"][place] = 0.81, 1.2
    answers["bbox_16"][place] = [0.5, 0.25, np.log(2.0), np.log(3.0)]
    answers["kps_16"][place] = [0, 0, 1, 0, 0.5, 0.5, 0, 1, 1, 1]
    boxes, scores, points = FACE_MAPS["yunet"].find(answers, 96, 0.5)
    np.testing.assert_allclose(scores, [0.9], atol=1e-6)
    np.testing.assert_allclose(boxes, [[56 - 16, 36 - 24, 56 + 16, 36 + 24]], atol=1e-4)
    np.testing.assert_allclose(points[0], [[48, 32], [64, 32], [56, 40], [48, 48], [64, 48]], atol=1e-4)


@pytest.mark.parametrize(
    ("layout", "answers"), [("centerface", centerface_answers()), ("yunet", yunet_answers(64, 32))]
)
def test_maps_without_a_face_have_none(layout: str, answers: dict[str, NDArray[np.float32]]) -> None:
    boxes, scores, points = FACE_MAPS[layout].find(answers, 64, 0.5)
    assert (boxes.shape, scores.shape, points.shape) == ((0, 4), (0,), (0, 5, 2))


def test_a_size_beyond_all_measure_is_no_overflow() -> None:
    answers = yunet_answers(64, 32)
    answers["cls_8"][0], answers["obj_8"][0], answers["bbox_8"][0] = 1, 1, [0, 0, 1e4, 1e4]
    boxes, _, _ = FACE_MAPS["yunet"].find(answers, 64, 0.5)
    assert np.isfinite(boxes).all()


def test_a_network_that_is_no_yunet_is_not_imported(tmp_path: Path) -> None:
    write_brightness(tmp_path / "m.onnx")
    with pytest.raises(GraphInvalid, match="YuNet answers"):
        import_checkpoint(
            tmp_path / "m.onnx", Format.ONNX, architecture="yunet", name="faces", into=tmp_path / "in", facts=FACTS
        )
    with pytest.raises(ImportIncomplete, match="licence"):
        import_checkpoint(tmp_path / "m.onnx", Format.ONNX, architecture="yunet", name="faces", into=tmp_path / "in")


@pytest.fixture(scope="module")
def yunet_file(data: Path) -> Path:
    return data / "weights" / "yunet_n_dynamic.onnx"


@pytest.fixture(scope="module")
def imported(yunet_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Entry, Path]:
    """An imported YuNet, and the folder of its manifest."""
    folder = tmp_path_factory.mktemp("imported")
    entry = import_checkpoint(yunet_file, Format.ONNX, architecture="yunet", name="yunet", into=folder, facts=FACTS)
    return entry, folder


@pytest.fixture(scope="module")
def yunet(imported: tuple[Entry, Path]) -> FaceDetector:
    entry, folder = imported
    return FaceDetector(entry, prepare(entry, folder / "yunet.onnx", folder / "cache"))


def test_an_imported_yunet_is_the_face_detector_of_its_manifest(imported: tuple[Entry, Path]) -> None:
    entry, folder = imported
    assert (entry.role, entry.family, entry.input.colour) == (Role.FACES, Family.YUNET, "BGR")
    manifest = Manifest.load(folder / "manifest.yaml")
    assert [each.name for each in manifest.chosen([Role.FACES])] == ["yunet"]
    assert entry.golden is not None


@pytest.mark.parametrize("crop", [(0, 0), (40, 100)])
def test_yunet_finds_what_opencv_finds_with_it(yunet: FaceDetector, yunet_file: Path, crop: tuple[int, int]) -> None:
    picture = np.ascontiguousarray(photograph()[crop[0] :, crop[1] :])
    height, width = picture.shape[:2]
    reference = cv2.FaceDetectorYN.create(str(yunet_file), "", (width, height), 0.5, 0.3)
    _, expected = reference.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    (found,) = yunet.detect([picture])
    assert len(found) == len(expected) == 1
    x0, y0, x1, y1 = found[0].box
    np.testing.assert_allclose([x0, y0, x1 - x0, y1 - y0], expected[0, :4], atol=1.0)
    np.testing.assert_allclose(found[0].landmarks.ravel(), expected[0, 4:14], atol=1.0)
    assert found[0].score == pytest.approx(expected[0, 14], abs=0.01)


def test_yunet_finds_the_faces_that_centerface_finds(yunet: FaceDetector, detector: FaceDetector, data: Path) -> None:
    pictures = [
        np.ascontiguousarray(np.asarray(cv2.imread(str(file)), np.uint8)[..., ::-1])
        for file in sorted((data / "faces" / "val" / "real").iterdir())[:40]
    ]
    common = theirs = 0
    for picture in pictures:
        (ours,), (reference,) = yunet.detect([picture]), detector.detect([picture])
        theirs += len(reference)
        common += sum(any(overlap(each.box, face.box) > 0.5 for each in ours) for face in reference)
    assert theirs > 40
    assert common >= 0.95 * theirs


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width, height = (max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    shared = width * height
    return shared / (sum((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)) - shared)
