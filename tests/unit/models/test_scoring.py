"""Frames to evidence: faces, the cascade of detectors, maps, motion, the worst face."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from models.asking import Asking, asking
from models.detectors import DetectorSet, LoadOptions
from models.exceptions import NonFiniteScore
from models.faces import Face
from models.heat import unpack
from models.scoring import Scored, ScoringLimits, StageSeconds, score_frames
from models.sources import default_cache
from schemas.media import DetectionLevel
from tests.support.tiny_models import (
    entry_fields,
    fleet_faces,
    write_brightness,
    write_entries,
    write_mapping,
    write_speechless,
)


@dataclass
class Still:
    frame_number: int
    pixels: NDArray[np.uint8]
    pts_ms: int = 0
    is_key: bool = True
    released: list[int] = field(default_factory=list)

    def release(self) -> None:
        self.released.append(self.frame_number)


PHOTOGRAPH = np.asarray(astronaut(), np.uint8)  # type: ignore[no-untyped-call]


def shifted(number: int, gain: float = 1.0) -> Still:
    """The photograph, moved by some pixels from frame to frame."""
    matrix = np.array([[1, 0, 2.0 * number], [0, 1, 0]], np.float32)
    moved = cv2.warpAffine(PHOTOGRAPH, matrix, (512, 512), borderMode=cv2.BORDER_REFLECT)
    return Still(number, np.asarray(np.clip(moved * gain, 0, 255), np.uint8), pts_ms=100 * number)


@pytest.fixture(scope="module")
def detectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DetectorSet]:
    """A screen that calls bright faces fake, a primary that says where, and a sampled one."""
    folder = tmp_path_factory.mktemp("models")
    plain, mapping = write_brightness(folder / "plain.onnx"), write_mapping(folder / "mapping.onnx")
    suspicious = {"layout": "logit", "suspicion": 0.5}
    mapped = {"layout": "logit", "name": "logit", "heat": "map"}
    entries = [
        fleet_faces(),
        entry_fields(path="plain.onnx", sha256=plain, name="fast", role="screen", output=suspicious),
        entry_fields(path="mapping.onnx", sha256=mapping, name="fine", role="primary", output=mapped),
        entry_fields(path="plain.onnx", sha256=plain, name="drawn", role="synthetic"),
    ]
    manifest = write_entries(folder / "manifest.yaml", entries)
    options = LoadOptions(cache=default_cache() / "models", threads=1)
    names = [str(each["name"]) for each in entries]
    with DetectorSet.load(manifest, options, names=names) as loaded:
        yield loaded


def scored(detectors: DetectorSet, frames: list[Still], asked: Asking, limits: ScoringLimits | None = None) -> Scored:
    return score_frames(frames, detectors, asked, limits or ScoringLimits(), StageSeconds())


def test_every_frame_is_released_and_every_face_placed(detectors: DetectorSet) -> None:
    frames = [shifted(number) for number in range(3)]
    found = scored(detectors, frames, asking(DetectionLevel.BASIC, detectors.entries))
    assert [frame.released for frame in frames] == [[0], [1], [2]]
    assert [len(frame.faces) for frame in found.frames] == [1, 1, 1]
    face = found.frames[0].faces[0]
    assert len(face.landmarks) == 5
    assert face.light is not None
    assert face.square is not None
    assert face.square.width > face.box.width
    assert set(face.logits) == {"fast"}
    assert face.artifacts == ()


def test_the_primary_is_not_asked_where_the_screen_sees_nothing(detectors: DetectorSet) -> None:
    found = scored(detectors, [shifted(0, 0.5)], asking(DetectionLevel.STANDARD, detectors.entries))
    face = found.frames[0].faces[0]
    assert face.logits["fast"] < 0
    assert set(face.logits) == {"fast", "drawn"}
    assert face.heat == ""
    assert len(face.artifacts) == 8


def test_the_primary_says_where_when_the_screen_is_suspicious(detectors: DetectorSet) -> None:
    found = scored(detectors, [shifted(0, 1.4), shifted(1, 1.4)], asking(DetectionLevel.STANDARD, detectors.entries))
    for frame in found.frames:
        face = frame.faces[0]
        assert face.logits["fast"] > 0
        assert face.logits["fine"] == pytest.approx(face.logits["fast"], abs=0.5)
        assert unpack(face.heat).shape == (4, 4)


def test_the_worst_face_is_shown_with_its_map(detectors: DetectorSet) -> None:
    found = scored(detectors, [shifted(0, 1.3), shifted(1, 1.45)], asking(DetectionLevel.STANDARD, detectors.entries))
    worst = found.worst
    assert worst is not None
    assert worst.pts_ms == 100
    assert worst.logit == found.frames[1].faces[0].logits["fine"]
    picture = cv2.imdecode(np.frombuffer(worst.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (96, 192, 3)


def test_without_a_detector_of_altered_faces_no_face_is_shown(detectors: DetectorSet) -> None:
    asked = Asking(every=(), sampled={"drawn": 1})
    found = scored(detectors, [shifted(0)], asked)
    assert found.worst is None
    assert set(found.frames[0].faces[0].logits) == {"drawn"}


def test_a_sampled_detector_judges_so_many_faces_of_a_track(detectors: DetectorSet) -> None:
    found = scored(detectors, [shifted(n) for n in range(5)], Asking(every=("fast",), sampled={"drawn": 2}))
    assert ["drawn" in frame.faces[0].logits for frame in found.frames] == [True, False, True, False, False]


def test_motion_is_measured_between_the_frames_of_a_track(detectors: DetectorSet) -> None:
    found = scored(detectors, [shifted(n) for n in range(3)], asking(DetectionLevel.ADVANCED, detectors.entries))
    first, *later = (frame.faces[0].motion for frame in found.frames)
    assert first is None
    for motion in later:
        assert motion is not None
        assert motion.interval_ms == 100
        # The whole picture moved: the face as much as what is around it.
        assert motion.unlike < 0.3 * motion.face


def test_the_order_in_which_frames_come_changes_nothing(detectors: DetectorSet) -> None:
    asked = asking(DetectionLevel.ADVANCED, detectors.entries)
    forwards = scored(detectors, [shifted(n) for n in range(4)], asked)
    backwards = scored(detectors, [shifted(n) for n in reversed(range(4))], asked)
    assert forwards.frames == backwards.frames


def test_what_does_not_fit_the_budget_is_judged_by_the_screen_alone(detectors: DetectorSet) -> None:
    asked = asking(DetectionLevel.STANDARD, detectors.entries)
    found = scored(detectors, [shifted(n, 1.4) for n in range(4)], asked, ScoringLimits(kept_bytes=20_000))
    assert all("fast" in frame.faces[0].logits for frame in found.frames)
    assert 0 < sum("fine" in frame.faces[0].logits for frame in found.frames) < 4


def test_a_frame_without_a_face_is_evidence_of_nothing(detectors: DetectorSet) -> None:
    blank = Still(0, np.full((64, 64, 3), 90, np.uint8))
    found = scored(detectors, [blank], asking(DetectionLevel.ADVANCED, detectors.entries))
    assert found.frames[0].faces == ()
    assert found.worst is None


def test_nothing_gives_nothing(detectors: DetectorSet) -> None:
    found = scored(detectors, [], asking(DetectionLevel.ADVANCED, detectors.entries))
    assert found == Scored((), b"", b"", None)


def test_a_face_that_a_detector_answers_with_no_number_says_so_and_the_others_are_judged(tmp_path: Path) -> None:
    bright = write_speechless(tmp_path / "speechless.onnx", above=0.6)
    plain = write_brightness(tmp_path / "plain.onnx")
    manifest = write_entries(
        tmp_path / "manifest.yaml",
        [
            fleet_faces(),
            entry_fields(path="speechless.onnx", sha256=bright, name="fine", role="primary"),
            entry_fields(path="plain.onnx", sha256=plain, name="drawn", role="synthetic"),
            entry_fields(path="speechless.onnx", sha256=bright, name="live", role="liveness"),
        ],
    )
    names = ["centerface", "fine", "drawn", "live"]
    options = LoadOptions(cache=default_cache() / "models", threads=1)
    with DetectorSet.load(manifest, options, names=names) as loaded:
        frames = [shifted(0, 0.8), shifted(1, 1.5), shifted(2, 0.8)]
        found = scored(loaded, frames, asking(DetectionLevel.ADVANCED, loaded.entries))
    faces = [of_frame.faces[0] for of_frame in found.frames]
    assert [sorted(each.logits) for each in faces] == [["drawn", "fine", "live"], ["drawn"], ["drawn", "fine", "live"]]
    assert [sorted(each.unanswered) for each in faces] == [[], ["fine", "live"], []]


def test_a_frame_that_the_face_detector_answers_with_no_number_says_so_and_the_others_are_judged(
    detectors: DetectorSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = detectors.faces.detect, count()

    def speechless(frames: Sequence[NDArray[np.uint8]], long_side: int) -> list[list[Face]]:
        if next(calls) == 1:
            raise NonFiniteScore("centerface", "output", "the map of scores has NaN or infinity")
        return real(frames, long_side)

    monkeypatch.setattr(detectors.faces, "detect", speechless)
    found = scored(detectors, [shifted(n, 0.8) for n in range(3)], asking(DetectionLevel.BASIC, detectors.entries))
    assert [(frame.unseen, len(frame.faces)) for frame in found.frames] == [("", 1), ("centerface", 0), ("", 1)]
