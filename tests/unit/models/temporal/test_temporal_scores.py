"""Analyses of the score signal, on series that are known."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from models.temporal.changes import LEAST_FRAMES, analyse_changes, change_points, optimal_starts
from models.temporal.consistency import analyse_consistency, mean_change
from models.temporal.series import Series, deviations
from models.temporal.smoothness import analyse_smoothness, roughness
from models.temporal.spectrum import analyse_spectrum, explained_shares, strongest_period


def series(values: NDArray[np.float64] | list[float], times_ms: NDArray[np.int64] | None = None) -> Series:
    """A series with a sample each 200 ms, unless said otherwise."""
    array = np.asarray(values, np.float64)
    return Series(200 * np.arange(len(array), dtype=np.int64) if times_ms is None else times_ms, array)


def noise(count: int, seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=count)


def uneven(count: int, seed: int = 3) -> NDArray[np.int64]:
    return np.cumsum(np.random.default_rng(seed).integers(120, 280, count)).astype(np.int64)


def test_a_series_of_unsorted_times_unequal_lengths_or_no_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="ascend strictly"):
        Series(np.array([0, 0], np.int64), np.zeros(2))
    with pytest.raises(ValueError, match="one value a time"):
        Series(np.array([0, 1], np.int64), np.zeros(3))
    with pytest.raises(ValueError, match="finite"):
        Series(np.array([0, 1], np.int64), np.array([0.0, np.nan]))


def test_samples_with_a_gap_between_them_do_not_follow_each_other() -> None:
    times = np.array([0, 100, 200, 600, 700, 800, 1000], np.int64)
    assert series([0.0] * 7, times).adjacent().tolist() == [True, True, False, True, True, True]
    assert series([0.0] * 7, times).triples().tolist() == [1, 4, 5]
    assert series([0.0] * 3, np.array([0, 2000, 4001], np.int64)).adjacent().tolist() == [True, False]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_short_series_have_no_triples(count: int) -> None:
    assert len(series([1.0] * count).triples()) == 0
    assert len(series([1.0] * count).adjacent()) == max(0, count - 1)


@given(slope=st.floats(-5, 5), level=st.floats(-5, 5), seed=st.integers(0, 50))
def test_a_straight_line_deviates_nowhere_however_uneven_its_times(slope: float, level: float, seed: int) -> None:
    times = uneven(30, seed)
    straight = series(level + slope * times / 1000, times)
    assert np.abs(deviations(straight, straight.triples())).max() < 1e-9


def test_deviations_of_white_noise_have_its_variance() -> None:
    times = uneven(4000)
    white = series(2.0 * noise(4000), times)
    assert float(np.var(deviations(white, white.triples()))) == pytest.approx(4.0, rel=0.1)


def test_a_thinned_series_keeps_its_mean_and_its_order() -> None:
    long = series(noise(1000))
    thin = long.thinned(300)
    assert len(thin) == 250
    assert float(thin.values.mean()) == pytest.approx(float(long.values.mean()))
    assert (np.diff(thin.times_ms) > 0).all()
    assert long.thinned(1000) is long
    assert len(series(noise(1001)).thinned(300)) == 251


def test_white_noise_is_rough_and_a_slow_swing_is_smooth() -> None:
    at = np.arange(100)
    rough, smooth = roughness(series(3 * noise(100))), roughness(series(3 * np.sin(at / 12)))
    assert rough == pytest.approx(1.0, abs=0.35)
    assert smooth is not None
    assert smooth < 0.01


def test_flicker_of_a_few_hundredths_of_a_logit_means_nothing() -> None:
    found = analyse_smoothness(series(0.05 * noise(100)))
    assert found is not None
    assert found.score < 0.05


def test_a_gap_is_not_taken_for_flicker() -> None:
    times = np.concatenate([np.arange(20), np.arange(20) + 200]).astype(np.int64) * 100
    ramp = np.concatenate([np.linspace(-3, -2, 20), np.linspace(2, 3, 20)])
    found = analyse_smoothness(series(ramp, times))
    assert found is not None
    assert found.raw == pytest.approx(0.0, abs=1e-12)
    assert found.samples == 36


def test_smoothness_takes_eight_triples() -> None:
    assert analyse_smoothness(series(noise(9))) is None
    assert analyse_smoothness(series(noise(10))) is not None


def test_consistency_is_the_mean_change_from_frame_to_frame() -> None:
    assert mean_change(series([0.1, 0.3, 0.2, 0.2, 0.6])) == pytest.approx((0.2 + 0.1 + 0.0 + 0.4) / 4)
    assert mean_change(series([0.1, 0.3, 0.2, 0.2])) is None


def test_consistency_is_the_mean_over_the_measures_that_are_long_enough() -> None:
    steady, flickering = series([0.5] * 12), series([0.2, 0.6] * 3)
    found = analyse_consistency([steady, flickering, series([0.0, 1.0])])
    assert found is not None
    assert found.raw == pytest.approx(0.2)
    assert found.samples == 11
    assert analyse_consistency([]) is None
    assert analyse_consistency([series([0.0, 1.0])]) is None


@pytest.mark.parametrize("level", [0.8, 3.0, -2.0])
def test_a_step_is_found_where_it_is(level: float) -> None:
    values = 0.1 * noise(60)
    values[25:] += level
    (change,) = change_points(series(values))
    assert change.at_ms == 25 * 200
    assert change.step == pytest.approx(level, abs=0.1)
    assert change.before == pytest.approx(values[:25].mean())
    assert change.after == pytest.approx(values[25:].mean())


def test_a_manipulated_middle_has_two_changes() -> None:
    values = 0.4 * noise(90)
    values[30:55] += 4.0
    assert [change.at_ms for change in change_points(series(values))] == [30 * 200, 55 * 200]


def test_a_single_frame_that_is_off_is_no_new_level() -> None:
    values = 0.1 * noise(40)
    values[20] += 1.0
    assert change_points(series(values)) == ()


def test_white_noise_hardly_ever_has_a_change() -> None:
    assert sum(bool(change_points(series(noise(80, seed)))) for seed in range(100)) <= 8


def test_a_step_below_the_noise_of_logits_is_none() -> None:
    assert change_points(series([0.0] * 20 + [0.05] * 20)) == ()


@given(values=st.lists(st.floats(-6, 6), min_size=3, max_size=13), penalty=st.floats(0, 20))
def test_no_other_choice_of_changes_costs_less(values: list[float], penalty: float) -> None:
    def cost(starts: tuple[int, ...]) -> float:
        parts = np.split(np.array(values), starts)
        return sum(float(((part - part.mean()) ** 2).sum()) for part in parts) + penalty * len(starts)

    places = range(LEAST_FRAMES, len(values) - LEAST_FRAMES + 1)
    allowed = (
        starts
        for count in range(len(values) // LEAST_FRAMES)
        for starts in combinations(places, count)
        if all(later - earlier >= LEAST_FRAMES for earlier, later in pairwise(starts))
    )
    chosen = optimal_starts(np.array(values), penalty)
    assert cost(tuple(chosen)) == pytest.approx(min(cost(starts) for starts in allowed), abs=1e-8)


def test_a_long_series_is_thinned_and_its_step_still_found() -> None:
    values = 0.2 * noise(3000)
    values[1500:] += 2.0
    (change,) = change_points(series(values))
    assert change.at_ms == pytest.approx(1500 * 200, abs=8 * 200)


def test_the_greater_the_step_the_higher_the_score() -> None:
    scores = []
    for step in (0.0, 1.0, 4.0):
        found = analyse_changes(series(np.concatenate([0.1 * noise(20), step + 0.1 * noise(20, 2)])))
        assert found is not None
        scores.append(found.score)
    assert scores[0] == 0.0
    assert scores[1] == pytest.approx(1 / 3, abs=0.03)
    assert scores[2] == pytest.approx(2 / 3, abs=0.03)
    assert analyse_changes(series(noise(11))) is None


@pytest.mark.parametrize("period_ms", [700.0, 1600.0, 5000.0])
def test_a_period_is_found_in_uneven_times(period_ms: float) -> None:
    times = uneven(120)
    waves = np.asarray(np.sin(2 * np.pi * times / period_ms), np.float64)
    found = strongest_period(series(waves + 0.2 * noise(120), times))
    assert found is not None
    assert found.milliseconds == pytest.approx(period_ms, rel=0.03)
    assert found.share > 0.85


def test_a_periodic_series_scores_high_and_white_noise_and_a_trend_score_nothing() -> None:
    at = np.arange(150)
    periodic = analyse_spectrum(series(2 * np.sin(at * 0.7) + 0.5 * noise(150)))
    trend = analyse_spectrum(series(np.linspace(0, 3, 150)))
    assert periodic is not None
    assert trend is not None
    assert periodic.score > 0.8
    assert trend.score == pytest.approx(0.0, abs=1e-6)
    scores = [found.score for seed in range(60) if (found := analyse_spectrum(series(noise(100, seed)))) is not None]
    assert sum(score > 0 for score in scores) <= 8
    assert max(scores) < 0.2


def test_a_period_on_a_steep_trend_is_still_seen() -> None:
    at = np.arange(100)
    found = strongest_period(series(np.asarray(0.1 * at + np.sin(2 * np.pi * at / 10), np.float64)))
    assert found is not None
    assert found.milliseconds == pytest.approx(2000, rel=0.03)
    assert found.share > 0.9


def test_a_period_of_a_hundredth_of_a_logit_means_nothing() -> None:
    found = analyse_spectrum(series(np.asarray(0.01 * np.sin(np.arange(100)), np.float64)))
    assert found is not None
    assert found.score == 0.0


def test_a_swing_that_comes_only_once_is_no_period() -> None:
    at = np.arange(100)
    found = analyse_spectrum(series(np.sin(2 * np.pi * at / 100)))
    assert found is not None
    assert found.score < 0.35


def test_shares_are_those_of_a_least_squares_fit_of_sines() -> None:
    times = uneven(50)
    seconds, values = times / 1000, noise(50) - noise(50).mean()
    frequencies = np.array([0.3, 0.9, 1.7])
    expected = []
    for frequency in frequencies:
        design = np.stack([np.cos(2 * np.pi * frequency * seconds), np.sin(2 * np.pi * frequency * seconds)], axis=1)
        fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
        expected.append(1 - ((values - fitted) ** 2).sum() / (values**2).sum())
    np.testing.assert_allclose(explained_shares(seconds, values, frequencies), expected, atol=1e-9)


def test_a_series_too_short_for_a_period_has_none() -> None:
    assert strongest_period(series(noise(15))) is None
    assert strongest_period(series(noise(16))) is not None


@given(
    values=st.lists(st.one_of(st.floats(-60, 60), st.just(0.0)), max_size=40),
    seed=st.integers(0, 20),
    repeats=st.booleans(),
)
def test_whatever_the_scores_findings_are_numbers_between_0_and_1_and_the_same_again(
    values: list[float], seed: int, repeats: bool
) -> None:
    times = np.cumsum(np.random.default_rng(seed).choice([1, 40, 200, 5000], len(values))).astype(np.int64)
    given_series = series(values[:1] * len(values) if repeats else values, times)
    for analyse in (analyse_smoothness, analyse_changes, analyse_spectrum):
        found = analyse(given_series)
        if found is not None:
            assert 0.0 <= found.score <= 1.0
            assert np.isfinite(found.raw)
            assert found.samples > 0
        assert analyse(given_series) == found
