from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.evaluation.figures import FEWEST_FILES, Table, area_of, either_way, figures_of
from models.evaluation.lineup import FACE_SIZE, Row
from models.evaluation.report import Judgement, Kind
from models.evaluation.shapes import shape_of
from models.statistics import balanced, calibration_error

DETECTOR, ARTIFACT = Row("detector", Kind.DETECTOR, 1.0, 0.5), Row("artifact", Kind.ARTIFACT, 0.0)
SIZE = Row(FACE_SIZE, Kind.BASELINE, 0.0)


def table(
    *, apart: float, files: int = 60, frames: int = 1, size_apart: float = 0.0, seed: int = 1
) -> tuple[Table, NDArray[np.bool_]]:
    """So many files of each label, with scores so far apart in standard deviations."""
    random = np.random.default_rng(seed)
    fake_file = np.arange(2 * files) % 2 == 1
    file = np.arange(2 * files).repeat(frames)
    fake = fake_file[file]
    scores = random.normal(apart * fake, 1.0)
    sizes = random.normal(100 + 10 * size_apart * fake, 10.0)
    first_half = np.arange(2 * files) % 4 < 2
    return Table(fake, file, first_half[file], {"detector": scores, "artifact": scores, FACE_SIZE: sizes}), fake


@pytest.mark.parametrize(
    ("apart", "judgement"),
    [(1.5, Judgement.SEPARATES), (0.0, Judgement.DOES_NOT), (-1.5, Judgement.WRONG_WAY)],
)
def test_a_row_separates_where_its_whole_interval_lies_above_a_half(apart: float, judgement: Judgement) -> None:
    found = figures_of(table(apart=apart)[0], DETECTOR, seed=1, rounds=200)
    assert found is not None
    assert found.judgement is judgement
    auc = found.metrics.auc
    assert auc.low is not None
    assert auc.high is not None
    assert auc.low <= auc.value <= auc.high
    assert (auc.low > 0.5) == (judgement is Judgement.SEPARATES)


def test_of_a_few_files_nothing_is_said_however_well_they_are_told_apart() -> None:
    few, _ = table(apart=9.0, files=FEWEST_FILES - 1, frames=30)
    enough, _ = table(apart=9.0, files=FEWEST_FILES, frames=30)
    for samples, judgement in ((few, Judgement.TOO_FEW), (enough, Judgement.SEPARATES)):
        found = figures_of(samples, ARTIFACT, seed=1, rounds=50)
        assert found is not None
        assert found.metrics.auc.value == 1
        assert found.judgement is judgement


def test_a_single_file_of_a_label_has_figures_and_no_interval() -> None:
    one = Table(
        np.array([False, True, True]),
        np.arange(3),
        np.zeros(3, bool),
        {"artifact": np.arange(3.0), FACE_SIZE: np.arange(3.0)},
    )
    found = figures_of(one, ARTIFACT, seed=1, rounds=50)
    assert found is not None
    assert (found.metrics.auc.value, found.metrics.auc.low, found.metrics.auc.high) == (1, None, None)


def test_the_margin_over_size_is_the_difference_of_both_in_the_same_draws() -> None:
    samples, _ = table(apart=1.0, size_apart=1.0)
    detector, size = (figures_of(samples, row, seed=1, rounds=200) for row in (DETECTOR, SIZE))
    assert detector is not None
    assert size is not None
    assert size.margin is None
    assert detector.margin is not None
    expected = detector.metrics.auc.value - size.metrics.auc.value
    assert detector.margin.value == pytest.approx(expected, abs=1e-5)
    # The same scores under another name have no margin in any draw.
    copied = replace(samples, scores={**samples.scores, "artifact": samples.scores[FACE_SIZE]})
    same = figures_of(copied, ARTIFACT, seed=1, rounds=200)
    assert same is not None
    assert same.margin is not None
    assert (same.margin.value, same.margin.low, same.margin.high) == (0, 0, 0)


def test_a_baseline_is_turned_where_small_tells_more_and_a_detector_never() -> None:
    samples, _ = table(apart=-1.0, size_apart=-1.0)
    size, detector = (figures_of(samples, row, seed=1, rounds=20) for row in (SIZE, DETECTOR))
    assert size is not None
    assert detector is not None
    assert size.turned
    assert size.metrics.auc.value > 0.5
    assert not detector.turned
    assert detector.metrics.auc.value < 0.5
    scores, turned = either_way(np.array([1.0, 2.0]), np.array([False, True]))
    assert (scores.tolist(), turned) == ([1, 2], False)


def test_calibration_is_fitted_on_one_half_and_judged_on_the_other() -> None:
    samples, fake = table(apart=2.0, files=400)
    # Logits of the right probabilities, three times too sure.
    honest = 2.0 * (samples.scores["detector"] - 1.0)
    samples = replace(samples, scores={**samples.scores, "detector": 3 * honest})
    found = figures_of(samples, DETECTOR, seed=1, rounds=50)
    assert found is not None
    assert found.calibration is not None
    assert found.calibration.slope == pytest.approx(1 / 3, rel=0.25)
    before, after = found.metrics.calibration_error_before, found.metrics.calibration_error_after
    assert before is not None
    assert after is not None
    assert after.value < before.value / 1.5
    rest = ~samples.first_half
    said = 1 / (1 + np.exp(-3 * honest[rest]))
    assert before.value == pytest.approx(calibration_error(said, fake[rest], balanced(fake[rest])), abs=1e-5)
    # What the first half is like changes what is fitted, and not what is said of the model as shipped.
    changed = np.where(samples.first_half, 0.0, 3 * honest)
    again = figures_of(replace(samples, scores={**samples.scores, "detector": changed}), DETECTOR, seed=1, rounds=50)
    assert again is not None
    assert again.metrics.calibration_error_before == before
    assert again.calibration != found.calibration


def test_only_probabilities_have_a_calibration_and_only_of_enough_files() -> None:
    artifact = figures_of(table(apart=1.0)[0], ARTIFACT, seed=1, rounds=20)
    few = figures_of(table(apart=1.0, files=8)[0], DETECTOR, seed=1, rounds=20)
    for found in (artifact, few):
        assert found is not None
        assert found.metrics.calibration_error_before is None
        assert found.metrics.calibration_error_after is None


def test_the_same_seed_gives_the_same_figures() -> None:
    samples, _ = table(apart=0.7)
    first, again, other = (figures_of(samples, DETECTOR, seed=seed, rounds=60) for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.metrics == again.metrics
    assert first.metrics.auc.value == other.metrics.auc.value
    assert first.metrics.auc.low != other.metrics.auc.low


def test_frames_of_a_clip_are_drawn_together() -> None:
    random = np.random.default_rng(4)
    once, _ = table(apart=0.8, files=20)
    clips, _ = table(apart=0.8, files=20, frames=15)
    of_file = random.normal(0.8 * (np.arange(40) % 2), 1.0)
    alike = replace(clips, scores=dict.fromkeys(clips.scores, of_file[clips.file]))
    single = replace(once, scores=dict.fromkeys(once.scores, of_file[once.file]))
    of_frames, of_files = (figures_of(each, ARTIFACT, seed=1, rounds=400) for each in (alike, single))
    assert of_frames is not None
    assert of_files is not None
    # Frames that are all alike tell no more than their clip.
    assert of_frames.metrics.auc == of_files.metrics.auc


def test_a_row_without_an_answer_is_measured_on_what_it_answers_to() -> None:
    samples, fake = table(apart=3.0)
    scores = samples.scores["artifact"].copy()
    scores[:60] = np.nan
    found = figures_of(replace(samples, scores={**samples.scores, "artifact": scores}), ARTIFACT, seed=1, rounds=20)
    assert found is not None
    assert len(found.table.fake) == 60
    assert found.table.files(fake=True) == 30
    only_reals = np.where(fake, np.nan, 1.0)
    assert (
        figures_of(replace(samples, scores={**samples.scores, "artifact": only_reals}), ARTIFACT, seed=1, rounds=20)
        is None
    )


def test_files_have_an_auc_with_its_interval() -> None:
    fake = np.arange(80) % 2 == 1
    estimate = area_of(np.random.default_rng(1).normal(fake, 1.0), fake, seed=1, rounds=100)
    assert estimate.low is not None
    assert estimate.high is not None
    assert 0.5 < estimate.low < estimate.value < estimate.high < 1


def test_what_is_drawn_are_the_corners_of_the_curve_and_all_scores() -> None:
    samples, fake = table(apart=1.0, files=2000)
    logits = samples.scores["detector"]
    shape = shape_of(logits, fake, samples.first_half, None, probabilities=True)
    assert len(shape.roc) == 200
    assert shape.roc[0] == (0, 0)
    assert shape.roc[-1] == (1, 1)
    assert sum(shape.reals) == (~fake).sum()
    assert sum(shape.fakes) == fake.sum()
    assert shape.before == ()
    perfect = shape_of(np.arange(10.0), np.arange(10) > 4, np.zeros(10, bool), None, probabilities=False)
    assert perfect.roc == ((0, 0), (0, 1), (1, 1))
    assert perfect.reals == ()
