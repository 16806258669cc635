import warnings

import numpy as np
import pytest
from hypothesis import given, strategies as st

from models.artifacts.analysis import ANALYSES, analyse
from models.artifacts.findings import HEATMAP_SIDE, ArtifactFinding, either, share
from models.artifacts.weights import WEIGHTS
from tests.unit.models.artifacts.conftest import Portrait

POINTS = st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=10, max_size=10)


def assert_sound(findings: tuple[ArtifactFinding, ...]) -> None:
    assert [finding.name for finding in findings] == list(ANALYSES)
    for finding in findings:
        assert 0.0 <= finding.score <= 1.0
        assert (finding.region is None) == (finding.heatmap is None)
        if finding.heatmap is None or finding.region is None:
            continue
        assert finding.heatmap.dtype == np.float32
        assert finding.heatmap.shape == (HEATMAP_SIDE, HEATMAP_SIDE)
        assert 0.0 <= finding.heatmap.min() <= finding.heatmap.max() <= 1.0
        assert 0.0 <= finding.region.x <= finding.region.x + finding.region.width <= 1.0
        assert 0.0 <= finding.region.y <= finding.region.y + finding.region.height <= 1.0


def test_all_analyses_answer_for_a_face(portrait: Portrait) -> None:
    findings = analyse(portrait.crop, portrait.landmarks)
    assert_sound(findings)
    assert any(finding.heatmap is not None for finding in findings)


def test_the_same_face_has_the_same_findings(portrait: Portrait) -> None:
    first, second = (analyse(portrait.crop.copy(), portrait.landmarks.copy()) for _ in range(2))
    assert [finding.score for finding in first] == [finding.score for finding in second]


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_flat_picture_has_no_artifacts(portrait: Portrait, level: int) -> None:
    flat = np.full((256, 256, 3), level, np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert max(finding.score for finding in analyse(flat, portrait.landmarks)) < 1e-4


@given(
    seed=st.integers(0, 1000),
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    levels=st.sampled_from([1, 2, 20, 256]),
    points=POINTS,
)
def test_any_picture_with_any_landmarks_has_findings(
    seed: int, height: int, width: int, levels: int, points: list[float]
) -> None:
    crop = np.random.default_rng(seed).integers(0, levels, (height, width, 3), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_sound(analyse(crop, np.array(points, np.float32).reshape(5, 2)))


@pytest.mark.parametrize("crop", [np.zeros((8, 8), np.uint8), np.zeros((0, 8, 3), np.uint8), np.zeros((8, 8, 3))])
def test_what_is_no_crop_is_refused(crop: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    with pytest.raises(ValueError, match="a crop is uint8"):
        analyse(crop, np.zeros((5, 2), np.float32))


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0.01, 100))
def test_a_share_rises_with_its_measure(one: float, other: float, half: float) -> None:
    assert (share(one, half) <= share(other, half)) or one > other
    assert share(half, half) == 0.5
    assert 0.0 <= either(share(one, half), share(other, half)) <= 1.0


def test_every_analysis_has_a_weight() -> None:
    assert list(WEIGHTS) == list(ANALYSES)
