from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.cluster import DBSCAN

from models.temporal.segments import NOISE, StretchKind, cluster_times, suspicious_stretches

SUSTAINED, INTERMITTENT, ISOLATED = StretchKind.SUSTAINED, StretchKind.INTERMITTENT, StretchKind.ISOLATED


def stretches(scores: list[float], threshold: float = 0.5) -> list[tuple[float, float, int, StretchKind]]:
    """Stretches of frames a second apart, in seconds."""
    scored = [(1000 * number, score) for number, score in enumerate(scores)]
    return [
        (each.start_ms / 1000, each.end_ms / 1000, each.frames, each.kind)
        for each in suspicious_stretches(scored, threshold, 1000)
    ]


@given(
    times=st.lists(st.integers(0, 3000), min_size=1, max_size=80).map(sorted),
    reach_ms=st.integers(1, 400),
    least=st.integers(1, 6),
)
def test_clusters_of_times_are_those_of_scikit_learn(times: list[int], reach_ms: int, least: int) -> None:
    ours = cluster_times(np.array(times, np.int64), reach_ms, least)
    theirs = DBSCAN(eps=reach_ms, min_samples=least).fit(np.array(times, np.float64)[:, None]).labels_
    assert ours.tolist() == theirs.tolist()


def test_what_is_between_two_clusters_belongs_to_the_earlier() -> None:
    times = np.array([0, 10, 20, 120, 220, 230, 240], np.int64)
    assert cluster_times(times, 100, 4).tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_no_times_have_no_clusters_and_times_that_do_not_ascend_are_refused() -> None:
    assert cluster_times(np.zeros(0, np.int64), 100, 3).tolist() == []
    with pytest.raises(ValueError, match="sort them"):
        cluster_times(np.array([2, 1], np.int64), 100, 3)
    with pytest.raises(ValueError, match="sort them"):
        suspicious_stretches([(2, 0.9), (1, 0.9)], 0.5, 100)


def test_frames_above_the_threshold_that_follow_each_other_are_sustained() -> None:
    assert stretches([0.1, 0.8, 0.9, 0.8, 0.9, 0.2, 0.1]) == [(1.0, 5.0, 4, SUSTAINED)]


def test_one_frame_that_dips_does_not_end_a_stretch_and_two_do() -> None:
    assert stretches([0.9, 0.9, 0.9, 0.1, 0.9, 0.9, 0.9]) == [(0.0, 7.0, 6, SUSTAINED)]
    assert stretches([0.9, 0.9, 0.9, 0.1, 0.1, 0.9, 0.9, 0.9]) == [(0.0, 3.0, 3, SUSTAINED), (5.0, 8.0, 3, SUSTAINED)]


def test_scores_that_flicker_are_intermittent() -> None:
    assert stretches([0.9, 0.1] * 4) == [(0.0, 7.0, 4, INTERMITTENT)]


def test_one_frame_or_two_are_isolated() -> None:
    assert stretches([0.1, 0.9, 0.1, 0.1, 0.1, 0.9, 0.9, 0.1]) == [(1.0, 2.0, 1, ISOLATED), (5.0, 7.0, 2, ISOLATED)]


def test_a_score_at_the_threshold_is_suspicious() -> None:
    assert stretches([0.5, 0.49]) == [(0.0, 1.0, 1, ISOLATED)]


def test_nothing_above_the_threshold_is_no_stretch() -> None:
    assert stretches([0.4, 0.2]) == []
    assert stretches([]) == []


def test_a_stretch_tells_the_mean_and_the_peak_of_its_suspicious_frames() -> None:
    (found,) = suspicious_stretches([(0, 0.7), (100, 0.2), (200, 0.99), (300, 0.8)], 0.5, 100)
    assert found.mean == pytest.approx((0.7 + 0.99 + 0.8) / 3)
    assert found.peak == 0.99


@given(
    steps=st.lists(st.tuples(st.integers(1, 900), st.floats(0, 1)), max_size=60),
    threshold=st.floats(0.01, 1),
    interval_ms=st.integers(1, 600),
)
def test_every_suspicious_frame_is_in_one_stretch_and_stretches_do_not_overlap(
    steps: list[tuple[int, float]], threshold: float, interval_ms: int
) -> None:
    times = np.cumsum([step for step, _ in steps]).tolist()
    scored = [(at, score) for at, (_, score) in zip(times, steps, strict=True)]
    found = suspicious_stretches(scored, threshold, interval_ms)
    suspicious = [(at, score) for at, score in scored if score >= threshold]
    assert sum(each.frames for each in found) == len(suspicious)
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(found))
    for each in found:
        inside = [score for at, score in suspicious if each.start_ms <= at < each.end_ms]
        assert len(inside) == each.frames
        assert each.peak == max(inside)
        assert threshold <= each.mean + 1e-12
        assert (each.kind is ISOLATED) == (each.frames <= 2)
    assert found == suspicious_stretches(scored, threshold, interval_ms)


def test_noise_is_told_apart_from_clusters() -> None:
    assert cluster_times(np.array([0, 10, 20, 500], np.int64), 50, 3).tolist() == [0, 0, 0, NOISE]
