from math import comb

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from models.statistics import (
    area,
    auc,
    average_precision,
    balanced,
    bin_of,
    bootstrap,
    calibration_error,
    calibration_errors,
    equal_error_rate,
    percentiles,
    roc,
    true_positives_at,
)

# Two reals and two fakes, one pair the wrong way round.
SCORES = np.array([0.1, 0.4, 0.35, 0.8])
FAKE = np.array([False, False, True, True])


def sample(seed: int, count: int = 200, *, ties: bool = False) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    fake = random.random(count) < 0.35
    scores = random.normal(0.8 * fake, 1.0)
    return (scores.round(0) if ties else scores), fake


def test_a_curve_counts_what_lies_at_or_above_each_threshold() -> None:
    curve = roc(SCORES, FAKE)
    np.testing.assert_array_equal(curve.thresholds, [0.8, 0.4, 0.35, 0.1])
    np.testing.assert_array_equal(curve.false_positives[0], [0, 0, 0.5, 0.5, 1])
    np.testing.assert_array_equal(curve.true_positives[0], [0, 0.5, 0.5, 1, 1])


def test_figures_of_four_scores_are_those_counted_by_hand() -> None:
    curve = roc(SCORES, FAKE)
    assert area(curve) == pytest.approx([0.75])
    # Precision 1 at recall 0.5, 2/3 at recall 1.
    assert average_precision(curve) == pytest.approx([0.5 * 1 + 0.5 * 2 / 3])
    # From the second threshold on half of the reals are above, and half of the fakes below.
    assert equal_error_rate(curve) == pytest.approx([0.5])
    assert true_positives_at(curve, 0.01) == pytest.approx([0.5])
    assert true_positives_at(curve, 0.5) == pytest.approx([1.0])


@pytest.mark.parametrize("ties", [False, True], ids=["all different", "many alike"])
@pytest.mark.parametrize("seed", range(4))
def test_figures_are_those_of_scikit_learn(seed: int, ties: bool) -> None:
    scores, fake = sample(seed, ties=ties)
    curve = roc(scores, fake)
    false_positives, true_positives, _ = roc_curve(fake, scores)
    assert area(curve)[0] == pytest.approx(roc_auc_score(fake, scores))
    assert area(curve)[0] == pytest.approx(auc(scores[~fake], scores[fake]))
    assert average_precision(curve)[0] == pytest.approx(average_precision_score(fake, scores))
    for rate in (0.01, 0.05, 0.3):
        wanted = true_positives[false_positives <= rate].max()
        assert true_positives_at(curve, rate)[0] == pytest.approx(wanted)


@given(st.integers(0, 10_000), st.booleans())
def test_at_the_equal_error_rate_both_errors_are_equal(seed: int, ties: bool) -> None:
    scores, fake = sample(seed, 40, ties=ties)
    if not fake.any() or fake.all():
        return
    curve = roc(scores, fake)
    rate = equal_error_rate(curve)[0]
    missed = 1 - np.interp(rate, *_upper(curve.false_positives[0], curve.true_positives[0]))
    low = 1 - np.interp(rate, *_lower(curve.false_positives[0], curve.true_positives[0]))
    assert missed - 1e-9 <= rate <= low + 1e-9


def _upper(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The curve's highest point at each rate."""
    rates = np.unique(x)
    return rates, np.array([y[x == rate].max() for rate in rates])


def _lower(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rates = np.unique(x)
    return rates, np.array([y[x == rate].min() for rate in rates])


def test_perfect_and_reversed_scores_are_the_extremes() -> None:
    fake = np.array([False] * 3 + [True] * 5)
    right, wrong = roc(np.arange(8.0), fake), roc(-np.arange(8.0), fake)
    assert (area(right)[0], equal_error_rate(right)[0], average_precision(right)[0]) == (1, 0, 1)
    assert (area(wrong)[0], equal_error_rate(wrong)[0], true_positives_at(wrong, 0.05)[0]) == (0, 1, 0)


def test_scores_that_are_all_the_same_tell_nothing() -> None:
    curve = roc(np.zeros(10), np.arange(10) < 3)
    assert area(curve)[0] == 0.5
    assert equal_error_rate(curve)[0] == pytest.approx(0.5)
    assert average_precision(curve)[0] == pytest.approx(0.3)
    assert true_positives_at(curve, 0.05)[0] == 0


def test_a_weight_of_two_is_the_sample_twice() -> None:
    scores, fake = sample(7, 60, ties=True)
    times = np.random.default_rng(1).integers(0, 4, 60)
    weighted = roc(scores, fake, times[None].astype(float))
    repeated = roc(scores.repeat(times), fake.repeat(times))
    for figure in (area, equal_error_rate, average_precision, lambda curve: true_positives_at(curve, 0.05)):
        assert figure(weighted)[0] == pytest.approx(figure(repeated)[0])


def test_rows_of_weights_are_measured_each_for_itself() -> None:
    scores, fake = sample(3)
    weights = np.random.default_rng(2).random((5, len(scores)))
    together = area(roc(scores, fake, weights))
    one_by_one = [area(roc(scores, fake, row[None]))[0] for row in weights]
    np.testing.assert_allclose(together, one_by_one)
    probabilities = 1 / (1 + np.exp(-scores))
    errors = calibration_errors(probabilities, fake, weights)
    assert errors == pytest.approx([calibration_error(probabilities, fake, row) for row in weights])


def test_calibration_error_is_counted_by_bins() -> None:
    probabilities = np.array([0.12, 0.18, 0.72, 0.78, 1.0])
    fake = np.array([False, True, True, True, True])
    # Means 0.15 and 0.75 and 1, seen 0.5 and 1 and 1, of 2, 2 and 1 samples.
    assert calibration_error(probabilities, fake, np.ones(5)) == pytest.approx((2 * 0.35 + 2 * 0.25 + 0) / 5)
    np.testing.assert_array_equal(bin_of(probabilities, 10), [1, 1, 7, 7, 9])
    assert calibration_error(np.full(2, 0.5), np.array([True, False]), balanced(np.array([True, False]))) == 0


def test_a_bootstrap_draws_the_same_for_the_same_seed() -> None:
    scores, fake = sample(5)
    cluster = np.arange(len(scores))

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return area(roc(scores, fake, weights))[:, None]

    first = bootstrap(statistic, fake, cluster, seed=3, rounds=40)
    np.testing.assert_array_equal(first, bootstrap(statistic, fake, cluster, seed=3, rounds=40))
    assert (first != bootstrap(statistic, fake, cluster, seed=4, rounds=40)).any()


def test_every_draw_has_as_many_clusters_of_each_class_as_there_are() -> None:
    fake = np.repeat([False, True, False, True, True], 3)
    cluster = np.repeat(np.arange(5), 3)
    drawn: list[NDArray[np.float64]] = []

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        drawn.append(weights)
        return np.zeros((len(weights), 1))

    bootstrap(statistic, fake, cluster, seed=1, rounds=50)
    weights = np.concatenate(drawn)
    assert (weights[:, ~fake].sum(1) == 6).all()
    assert (weights[:, fake].sum(1) == 9).all()
    # The samples of a cluster come and go together.
    assert (weights.reshape(50, 5, 3) == weights.reshape(50, 5, 3)[:, :, :1]).all()
    assert (weights[:, ~fake].min(1) == 0).any()


def test_the_bootstrap_of_a_mean_has_its_known_spread() -> None:
    random = np.random.default_rng(6)
    values, fake = random.normal(size=400), np.repeat([False, True], 200)

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((weights[:, fake] @ values[fake] / weights[:, fake].sum(1))[:, None])

    draws = bootstrap(statistic, fake, np.arange(400), seed=1, rounds=4000)
    expected = values[fake].std() / np.sqrt(200)
    assert draws.std() == pytest.approx(expected, rel=0.05)
    (low,), (high,) = percentiles(draws)
    assert high - low == pytest.approx(2 * 1.96 * expected, rel=0.08)


def test_frames_of_one_clip_give_no_narrower_interval_than_the_clip() -> None:
    random = np.random.default_rng(8)
    fake_clip = np.repeat([False, True], 12)
    of_clip = random.normal(0.8 * fake_clip, 1.0)
    frames = of_clip.repeat(20)
    fake = fake_clip.repeat(20)

    def width(cluster: NDArray[np.intp]) -> float:
        draws = bootstrap(lambda w: area(roc(frames, fake, w))[:, None], fake, cluster, seed=1, rounds=400)
        (low,), (high,) = percentiles(draws)
        return float(high - low)

    assert width(np.arange(24).repeat(20)) > 3 * width(np.arange(480))


def test_draws_without_a_number_are_left_out_of_an_interval() -> None:
    draws = np.array([[np.nan, 1.0], [np.nan, 2.0], [np.nan, np.nan], [np.nan, 3.0]])
    low, high = percentiles(draws)
    assert np.isnan(low[0])
    assert np.isnan(high[0])
    assert (low[1], high[1]) == pytest.approx((1.05, 2.95))


def test_an_exact_bootstrap_is_what_is_drawn() -> None:
    # Of two reals below and above a single fake, both, one or the other are drawn: AUC 1, 0.5 and 0.
    scores, fake = np.array([0.0, 2.0, 1.0]), np.array([False, False, True])
    draws = bootstrap(lambda w: area(roc(scores, fake, w))[:, None], fake, np.arange(3), seed=1, rounds=8000)
    shares = {value: float((draws == value).mean()) for value in (0.0, 0.5, 1.0)}
    for wins, value in enumerate((0.0, 0.5, 1.0)):
        assert shares[value] == pytest.approx(comb(2, wins) / 4, abs=0.02)
