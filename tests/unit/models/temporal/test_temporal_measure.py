from dataclasses import replace
from math import sin
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.temporal import track
from models.evidence import FaceEvidence
from models.faces import FaceDetector
from models.temporal.analysis import ANALYSES, analyse_track
from models.temporal.clips import SCORED, ClipTrack, read_clip, read_clips
from models.temporal.measure import SHORTCUTS, measure, scores_of


def clip(name: str, *, fake: bool, logits: list[float], seed: int = 1) -> ClipTrack:
    """A clip whose face a detector judged so, frame by frame."""
    faces = track(len(logits), seed=seed)
    judged = tuple((at, replace(face, logits={SCORED: logit})) for (at, face), logit in zip(faces, logits, strict=True))
    return ClipTrack(name, fake, 16 / 9, judged)


def flicker(seed: int) -> list[float]:
    return [float(logit) for logit in np.random.default_rng(seed).normal(0, 2, 40)]


def swing(seed: int) -> list[float]:
    return [2 * sin(number / (9 + seed)) for number in range(40)]


def test_fakes_whose_scores_flicker_are_separated_by_smoothness_and_not_by_their_size() -> None:
    real = [clip(f"real_{seed}", fake=False, logits=swing(seed), seed=seed) for seed in range(6)]
    fake = [clip(f"fake_{seed}", fake=True, logits=flicker(seed), seed=seed) for seed in range(4)]
    rows = {each.analysis: each for each in measure([*real, *fake], rounds=50)}
    assert list(rows) == [*ANALYSES, *SHORTCUTS]
    assert rows["score_smoothness"].auc == 1.0
    assert rows["score_smoothness"].separates
    assert rows["face_size"].auc == 0.5
    assert not rows["face_size"].separates
    for each in rows.values():
        assert (each.real, each.fake) == (6, 4)
        assert each.auc is not None
        assert each.low is not None
        assert each.high is not None
        assert each.low <= each.auc <= each.high


def test_an_analysis_that_no_fake_is_long_enough_for_has_a_row_without_a_figure() -> None:
    real = [clip("real", fake=False, logits=swing(1))]
    fake = [clip("fake", fake=True, logits=flicker(1)[:10])]
    rows = {each.analysis: each for each in measure([*real, *fake], rounds=10)}
    assert (rows["score_spectrum"].real, rows["score_spectrum"].fake) == (1, 0)
    assert rows["score_spectrum"].auc is None
    assert not rows["score_spectrum"].separates
    assert rows["score_smoothness"].auc is not None


def test_a_measurement_is_the_same_when_it_is_repeated() -> None:
    clips = [clip(str(seed), fake=bool(seed % 2), logits=flicker(seed), seed=seed) for seed in range(5)]
    assert measure(clips, rounds=20) == measure(clips, rounds=20)


def test_no_clips_are_said_to_be_none(tmp_path: Path, detector: FaceDetector) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \.mp4 files"):
        read_clips(tmp_path, detector, lambda *_: None)


@pytest.mark.data
def test_a_clip_is_read_into_the_track_of_its_face(data: Path, detector: FaceDetector) -> None:
    asked: list[tuple[int, ...]] = []

    def by_brightness(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        asked.append(crops.shape)
        return np.asarray(crops.mean(axis=(1, 2, 3)) / 255, np.float64)

    read = read_clip(data / "video" / "fake_a.mp4", detector, by_brightness, fps=10, seconds=1.5)
    assert read is not None
    assert read.fake
    assert read.aspect == pytest.approx(536 / 500)
    times = [at for at, _ in read.faces]
    assert len(times) == 16
    assert times == pytest.approx([100 * number for number in range(16)], abs=5)
    assert asked == [(16, 256, 256, 3)]
    first, *others = (face for _, face in read.faces)
    assert first.motion is None
    assert all(whole(face) and face.motion is not None for face in others)
    assert {each.name for each in analyse_track(read.faces, (SCORED,), aspect=read.aspect)} == set(ANALYSES)
    assert scores_of(read)["face_size"] > 100


def whole(face: FaceEvidence) -> bool:
    """Whether a face has all that is looked at in one frame."""
    return len(face.landmarks) == 5 and face.light is not None and bool(face.artifacts) and SCORED in face.logits
