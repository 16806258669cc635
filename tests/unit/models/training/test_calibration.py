"""Calibration of a trained detector."""

from pathlib import Path

import numpy as np
import pytest

from models.evaluation.calibration import sigmoid
from models.training.calibration import TARGET, TARGETS, Judged, calibrated
from tests.support.tiny_models import entry

RAW = entry(path=Path("m.onnx"), sha256="0" * 64)
CHANCE = np.random.default_rng(5)
# Logits three times too sure of themselves, and off by two.
JUDGED = Judged(3 * CHANCE.normal(-1, 1.4, 4000) + 2, 3 * CHANCE.normal(1, 1.4, 4000) + 2)


def probabilities(raw: np.ndarray) -> np.ndarray:
    output = calibrated(RAW, JUDGED).entry.output
    return sigmoid(raw / output.temperature + output.bias)


def test_among_crops_of_a_probability_as_large_a_share_is_blended() -> None:
    real, fake = probabilities(JUDGED.real), probabilities(JUDGED.fake)
    for low in (0.2, 0.5, 0.8):
        reals, fakes = (((each >= low) & (each < low + 0.1)).sum() for each in (real, fake))
        assert fakes / (reals + fakes) == pytest.approx(low + 0.05, abs=0.06)


def test_thresholds_leave_their_share_of_reals_above() -> None:
    shipped = calibrated(RAW, JUDGED)
    real = probabilities(JUDGED.real)
    for target in TARGETS:
        assert (real >= shipped.thresholds[target]).mean() <= target
        assert shipped.entry.output.thresholds[str(target)] == shipped.thresholds[target]
    assert (real >= shipped.thresholds[TARGET]).mean() == pytest.approx(TARGET, abs=0.003)
    assert shipped.entry.output.threshold == shipped.thresholds[TARGET]


def test_a_detector_that_points_the_wrong_way_is_refused() -> None:
    with pytest.raises(ValueError, match="does not tell blends from reals"):
        calibrated(RAW, Judged(JUDGED.fake, JUDGED.real))
