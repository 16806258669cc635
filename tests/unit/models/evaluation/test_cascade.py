"""What the cascade saves and loses."""

from pathlib import Path

import numpy as np
import pytest

from models.evaluation.cascade import cascade_points
from models.evaluation.face_logits import FaceLogits, load_logits

CHANCE = np.random.default_rng(11)
FAKE = np.repeat([False, True], 200)
SCREEN = np.where(FAKE, 1.0, -1.0) + CHANCE.normal(0, 1.5, 400)
PRIMARY = np.where(FAKE, 2.0, -2.0) + CHANCE.normal(0, 1.2, 400)
FOUND = FaceLogits(
    ("fast", "fine"), np.stack([SCREEN, PRIMARY], axis=1), FAKE, np.array([str(number) for number in range(400)])
)


def mean(fast: float, fine: float) -> float:
    return 0.3 * fast + 0.7 * fine


def test_asking_about_everything_loses_nothing_and_saves_nothing() -> None:
    (point,) = cascade_points(FOUND, "fast", "fine", mean, (0.0,))
    assert point.asked == 1.0
    assert point.loss == 0.0
    assert point.auc > 0.97


def test_a_higher_suspicion_asks_less_and_ends_at_the_screen_alone() -> None:
    points = cascade_points(FOUND, "fast", "fine", mean, (0.0, 0.2, 0.5, 0.999999))
    assert [point.asked for point in points] == sorted((point.asked for point in points), reverse=True)
    assert points[1].asked_of_real < points[1].asked
    assert 0 < points[1].loss < points[3].loss
    assert points[3].asked == 0.0


def test_the_faces_of_a_file_are_one_sample() -> None:
    twice = FaceLogits(FOUND.names, np.repeat(FOUND.logits, 2, 0), np.repeat(FAKE, 2), np.repeat(FOUND.groups, 2))
    suspicions = (0.1, 0.4)
    assert cascade_points(twice, "fast", "fine", mean, suspicions) == cascade_points(
        FOUND, "fast", "fine", mean, suspicions
    )


def test_logits_are_read_as_they_were_written(tmp_path: Path) -> None:
    FOUND.save(tmp_path / "scores.npz")
    read = load_logits(tmp_path / "scores.npz")
    assert read.names == FOUND.names
    np.testing.assert_array_equal(read.logits, FOUND.logits)
    np.testing.assert_array_equal(read.fake, FOUND.fake)
    np.testing.assert_array_equal(read.groups, FOUND.groups)


def test_a_detector_that_judged_nothing_is_named() -> None:
    with pytest.raises(ValueError, match="other is not among fast, fine"):
        cascade_points(FOUND, "fast", "other", mean, (0.5,))


def test_one_class_alone_has_no_auc() -> None:
    reals = FaceLogits(FOUND.names, FOUND.logits[:9], FAKE[:9], FOUND.groups[:9])
    with pytest.raises(ValueError, match="reals and fakes"):
        cascade_points(reals, "fast", "fine", mean, (0.5,))
