"""What the cascade saves and loses."""

from pathlib import Path

import numpy as np
import pytest

from models.evaluation.cascade import Cascade, measure_cascade
from models.evaluation.face_logits import FaceLogits, load_logits

CHANCE = np.random.default_rng(11)
FAKE = np.repeat([False, True], 200)
SCREEN = np.where(FAKE, 1.0, -1.0) + CHANCE.normal(0, 1.5, 400)
PRIMARY = np.where(FAKE, 2.0, -2.0) + CHANCE.normal(0, 1.2, 400)
FOUND = FaceLogits(
    ("fast", "fine"), np.stack([SCREEN, PRIMARY], axis=1), FAKE, np.array([str(number) for number in range(400)])
)


def measured(found: FaceLogits, suspicions: tuple[float, ...], bounds: tuple[float, ...] = ()) -> Cascade:
    return measure_cascade(
        found,
        "fast",
        "fine",
        fuse=lambda fast, fine: 0.3 * fast + 0.7 * fine,
        alone=lambda fast: fast,
        suspicions=suspicions,
        bounds=bounds,
    )


def test_asking_about_everything_loses_nothing_and_saves_nothing() -> None:
    (point,) = measured(FOUND, (0.0,)).points
    assert point.asked == 1.0
    assert point.loss == 0.0
    assert point.auc > 0.97


def test_a_higher_suspicion_asks_less_and_ends_at_the_screen_alone() -> None:
    points = measured(FOUND, (0.0, 0.2, 0.5, 0.999999)).points
    assert [point.asked for point in points] == sorted((point.asked for point in points), reverse=True)
    assert points[1].asked_of_real < points[1].asked
    assert 0 < points[1].loss < points[3].loss
    assert points[3].asked == 0.0


def test_the_faces_of_a_file_are_one_sample() -> None:
    twice = FaceLogits(FOUND.names, np.repeat(FOUND.logits, 2, 0), np.repeat(FAKE, 2), np.repeat(FOUND.groups, 2))
    suspicions = (0.1, 0.4)
    assert measured(twice, suspicions, (0.5,)) == measured(FOUND, suspicions, (0.5,))


def test_low_scores_are_counted_by_label() -> None:
    low, high = measured(FOUND, (), (0.2, 0.5)).below
    assert low.fake < high.fake < low.real < high.real
    fused = 0.3 * SCREEN + 0.7 * PRIMARY
    assert (high.real, high.fake) == (float((fused[~FAKE] < 0).mean()), float((fused[FAKE] < 0).mean()))


def test_logits_are_read_as_they_were_written(tmp_path: Path) -> None:
    FOUND.save(tmp_path / "scores.npz")
    read = load_logits(tmp_path / "scores.npz")
    assert read.names == FOUND.names
    np.testing.assert_array_equal(read.logits, FOUND.logits)
    np.testing.assert_array_equal(read.fake, FOUND.fake)
    np.testing.assert_array_equal(read.groups, FOUND.groups)


def test_a_detector_that_judged_nothing_is_named() -> None:
    with pytest.raises(ValueError, match="other is not among fast, fine"):
        measure_cascade(FOUND, "fast", "other", fuse=max, alone=float, suspicions=(0.5,))


def test_one_class_alone_has_no_auc() -> None:
    reals = FaceLogits(FOUND.names, FOUND.logits[:9], FAKE[:9], FOUND.groups[:9])
    with pytest.raises(ValueError, match="reals and fakes"):
        measured(reals, (0.5,))
