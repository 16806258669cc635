"""Landmarks, light and motion of a face over time."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from models.temporal.flow import analyse_disorder, analyse_motion
from models.temporal.jitter import analyse_jitter, tremble
from models.temporal.lighting import analyse_drift, drift, face_light
from models.temporal.series import Series

REST = np.array([[-0.5, -0.5], [0.5, -0.5], [0.0, 0.1], [-0.4, 0.6], [0.4, 0.6]])
"""Landmarks whose eyes are 1 apart."""


def over(values: NDArray[np.float64], interval_ms: int = 100) -> Series:
    return Series(interval_ms * np.arange(len(values), dtype=np.int64), values)


def rigid(count: int) -> NDArray[np.float64]:
    """Landmarks of a head that moves, nears and tilts, float64 [count, 5, 2]."""
    at = np.arange(count)
    angles, sizes = 0.4 * np.sin(at / 3), 2.0 + 0.8 * np.sin(at / 4)
    turns = np.stack([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).transpose(2, 0, 1)
    places = np.stack([0.3 * at, np.cos(at / 2)], axis=1)
    return np.asarray(sizes[:, None, None] * (REST @ turns.transpose(0, 2, 1)) + places[:, None, :])


def test_a_head_that_moves_nears_and_tilts_does_not_tremble() -> None:
    found = analyse_jitter(over(rigid(30)))
    assert found is not None
    assert found.raw == pytest.approx(0.0, abs=1e-12)
    assert found.samples == 28


@pytest.mark.parametrize("strength", [0.01, 0.05])
def test_landmarks_that_jitter_tremble_by_as_much_whatever_the_size_of_the_face(strength: float) -> None:
    random = np.random.default_rng(5)
    offs = random.normal(0, strength, (200, 5, 2))
    steady = np.repeat(REST[None], 200, axis=0)
    small, large = (analyse_jitter(over(scale * (steady + offs))) for scale in (1.0, 40.0))
    assert small is not None
    assert large is not None
    assert large.raw == pytest.approx(small.raw)
    # Six of the ten coordinates are free of the similarity.
    assert small.raw == pytest.approx(strength * np.sqrt(2 * 0.6), rel=0.15)
    assert small.score == pytest.approx(small.raw / (small.raw + 0.03))


def test_a_head_that_turns_at_a_steady_pace_hardly_trembles_however_uneven_the_times_are() -> None:
    times = np.cumsum([60, 140] * 15).astype(np.int64)
    yaw = times / 3000 * 0.8 - 0.4
    turning = np.repeat(REST[None], 30, axis=0)
    turning[:, :, 0] *= np.cos(yaw)[:, None]
    turning[:, 2, 0] += 0.4 * np.sin(yaw)
    assert tremble(Series(times, turning)).max() < 0.002


def test_a_jump_across_a_gap_is_no_tremble() -> None:
    landmarks = np.concatenate([np.repeat(REST[None], 6, axis=0), np.repeat(REST[None] * [1.0, 1.5], 6, axis=0)])
    times = np.concatenate([np.arange(6), np.arange(6) + 20]).astype(np.int64) * 100
    assert tremble(Series(times, landmarks)).max() == pytest.approx(0.0, abs=1e-12)
    assert tremble(over(landmarks)).max() > 0.05


def test_frames_more_than_half_a_second_apart_say_nothing_of_jitter() -> None:
    assert analyse_jitter(over(rigid(30), interval_ms=600)) is None
    assert analyse_jitter(over(rigid(6))) is None
    assert analyse_jitter(over(rigid(7))) is not None


def test_landmarks_all_in_one_place_are_left_out() -> None:
    landmarks = rigid(12)
    landmarks[4:8] = 0.5
    trembles = tremble(over(landmarks))
    assert np.isfinite(trembles).all()
    assert len(trembles) == 6


def shaded(mean: float, across: float, along: float, height: int = 150, width: int = 110) -> NDArray[np.uint8]:
    """A grey crop whose luma is a plane."""
    x, y = (np.arange(width) + 0.5) / width - 0.5, (np.arange(height) + 0.5) / height - 0.5
    luma = mean + across * x[None, :] + along * y[:, None]
    return np.repeat(luma.round().astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("size", [(150, 110), (16, 16), (700, 500), (40, 90)])
def test_the_plane_of_a_face_is_found_whatever_its_size(size: tuple[int, int]) -> None:
    light = face_light(shaded(120.0, 60.0, -30.0, *size))
    assert light.mean == pytest.approx(120.0, abs=1.0)
    assert light.across == pytest.approx(60.0, abs=1.5)
    assert light.along == pytest.approx(-30.0, abs=1.5)


def test_a_crop_of_one_pixel_has_light_and_one_of_none_is_refused() -> None:
    assert face_light(np.full((1, 1, 3), 77, np.uint8)).mean == pytest.approx(77.0)
    with pytest.raises(ValueError, match="with pixels"):
        face_light(np.zeros((0, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="float64"):
        face_light(np.zeros((4, 4, 3)))  # type: ignore[arg-type]


def lights(count: int, across: float = 0.0, yaw: float = 0.0) -> NDArray[np.float64]:
    """A face of mean 84 that flickers by `across`, and turns by `yaw`, from frame to frame."""
    values = np.zeros((count, 5))
    values[:, 0] = 84.0
    values[::2, 1] = across
    values[:, 3] = yaw * np.arange(count)
    return values


def test_light_that_flickers_drifts_by_its_share_of_the_brightness() -> None:
    found = analyse_drift(over(lights(9, across=10.0)))
    assert found is not None
    assert found.raw == pytest.approx(0.1)
    assert found.score == pytest.approx(0.5)
    assert found.samples == 8


def test_a_change_of_light_counts_less_while_the_head_turns() -> None:
    still, turning = drift(over(lights(9, across=10.0))), drift(over(lights(9, across=10.0, yaw=15.0)))
    np.testing.assert_allclose(turning, still / 2)


def test_a_steady_light_does_not_drift_and_four_pairs_are_needed() -> None:
    found = analyse_drift(over(lights(5)))
    assert found is not None
    assert found.score == 0.0
    assert analyse_drift(over(lights(4))) is None


def motions(face: float, around: float, unlike: float, disorder: float, count: int = 6) -> Series:
    return over(np.tile([face, around, unlike, disorder], (count, 1)).astype(np.float64))


def test_a_face_that_moves_with_its_surroundings_scores_below_one_that_moves_alone() -> None:
    together, alone = (
        analyse_motion(motions(0.5, around, unlike, 0.0)) for around, unlike in ((0.5, 0.02), (0.0, 0.5))
    )
    assert together is not None
    assert alone is not None
    assert together.raw == pytest.approx(0.02 / 1.1)
    assert alone.raw == pytest.approx(0.5 / 0.6)
    assert together.score < 0.05
    assert alone.score > 0.6


def test_disorder_counts_against_how_much_the_face_moves() -> None:
    found, steadier = (analyse_disorder(motions(face, 0.0, 0.0, 0.2)) for face in (0.3, 0.9))
    assert found is not None
    assert steadier is not None
    assert found.raw == pytest.approx(0.5)
    assert steadier.raw == pytest.approx(0.2)
    assert found.samples == 6


def test_motion_takes_four_frames() -> None:
    assert analyse_motion(motions(0.1, 0.1, 0.1, 0.1, count=3)) is None
    assert analyse_disorder(motions(0.1, 0.1, 0.1, 0.1, count=3)) is None
    assert analyse_motion(motions(0.0, 0.0, 0.0, 0.0, count=4)) is not None


@given(seed=st.integers(0, 1000), count=st.integers(0, 12), scale=st.sampled_from([0.0, 1e-9, 1.0, 1e6]))
def test_whatever_the_face_does_findings_are_numbers_between_0_and_1(seed: int, count: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    found = (
        analyse_jitter(over(scale * random.normal(size=(count, 5, 2)))),
        analyse_drift(over(np.abs(scale * random.normal(size=(count, 5))))),
        analyse_motion(over(np.abs(scale * random.normal(size=(count, 4))))),
        analyse_disorder(over(np.abs(scale * random.normal(size=(count, 4))))),
    )
    for each in found:
        assert each is None or (0.0 <= each.score <= 1.0 and np.isfinite(each.raw))
