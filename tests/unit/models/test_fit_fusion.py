"""Learning how detectors are fused, against scikit-learn and on data whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from models.fit_fusion import RATES, fit_fusion, logistic
from models.policy import rate_key
from models.statistics import balanced, share_above

FACES = 3000


def faces(seed: int = 0, share_of_fakes: float = 0.3) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Logits of two good detectors that err apart, and of one that tells nothing."""
    random = np.random.default_rng(seed)
    fake = random.random(FACES) < share_of_fakes
    middle = np.where(fake, 1.0, -1.0)
    columns = (
        middle + random.normal(0, 1.5, FACES),
        2.5 * middle + random.normal(0, 2.5, FACES) - 1.0,
        random.normal(0, 1, FACES),
    )
    return np.stack(columns, axis=1), fake


@pytest.mark.parametrize("ridge", [0.1, 1.0, 50.0])
@pytest.mark.parametrize("columns", [[0], [0, 1]])
def test_weights_are_those_of_scikit_learn(ridge: float, columns: list[int]) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    logits, fake = faces()
    weights, bias = logistic(logits[:, columns], fake, ridge)
    # Its loss is C times the sum of losses: C is one over our ridge.
    other = linear_model.LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=1000)
    other.fit(logits[:, columns], fake, sample_weight=balanced(fake))
    np.testing.assert_allclose(weights, other.coef_[0], atol=1e-4)
    assert bias == pytest.approx(float(other.intercept_[0]), abs=1e-4)


def test_both_classes_weigh_alike_however_many_there_are() -> None:
    logits, fake = faces()
    fewer = np.append(np.flatnonzero(fake), np.flatnonzero(~fake)[:300])
    _, bias = logistic(logits, fake, 1.0)
    _, bias_of_fewer = logistic(logits[fewer], fake[fewer], 1.0)
    assert bias_of_fewer == pytest.approx(bias, abs=0.3)


@given(seed=st.integers(0, 10_000), columns=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_no_detector_that_is_more_suspicious_clears_a_face(seed: int, columns: int) -> None:
    random = np.random.default_rng(seed)
    fake = random.random(60) < 0.5
    fake[:2] = False, True
    weights, _ = logistic(random.normal(0, 3, (60, columns)), fake, 1.0)
    assert (weights >= 0).all()


def test_a_detector_that_points_the_wrong_way_gets_no_weight_and_changes_no_other() -> None:
    logits, fake = faces()
    wrong = np.column_stack([logits[:, :2], -logits[:, 0] + logits[:, 2]])
    weights, bias = logistic(wrong, fake, 1.0)
    alone, bias_alone = logistic(logits[:, :2], fake, 1.0)
    assert weights[2] == 0.0
    np.testing.assert_allclose(weights[:2], alone)
    assert bias == pytest.approx(bias_alone)


def test_faces_that_a_line_parts_give_finite_weights() -> None:
    logits = np.concatenate([np.full((50, 1), -4.0), np.full((50, 1), 4.0)])
    weights, bias = logistic(logits, np.repeat([False, True], 50), 1.0)
    assert 0 < weights[0] < 10
    assert bias == pytest.approx(0.0, abs=1e-6)


def test_the_fusion_separates_better_than_the_mean_and_is_better_calibrated() -> None:
    logits, fake = faces()
    found = fit_fusion(logits, fake, description="made up").fitted
    assert found.auc > found.auc_of_mean
    assert found.calibration_error < 0.5 * found.calibration_error_of_mean
    assert (found.real, found.fake, found.description) == (int((~fake).sum()), int(fake.sum()), "made up")


def test_thresholds_hold_on_faces_that_were_not_seen() -> None:
    fitted = fit_fusion(*faces())
    logits, fake = faces(seed=1)
    probabilities = 1 / (1 + np.exp(-(logits @ fitted.weights + fitted.bias)))
    for rate in RATES:
        threshold = fitted.thresholds[rate_key(rate)]
        assert share_above(probabilities[~fake], threshold) == pytest.approx(rate, abs=0.4 * rate + 0.003)
    assert list(fitted.thresholds.values()) == sorted(fitted.thresholds.values(), reverse=True)
    assert fitted.threshold == fitted.thresholds["0.005"]


def test_what_a_group_has_in_common_is_not_mistaken_for_evidence() -> None:
    random = np.random.default_rng(3)
    # Clips whose label is chance, and detectors that each know one of them by heart.
    groups = np.repeat(np.arange(10), 20)
    fake = (random.permutation(10) < 5)[groups]
    logits = np.eye(10)[groups] * 4
    apart = fit_fusion(logits, fake, groups.tolist()).fitted
    mixed = fit_fusion(logits, fake).fitted
    assert mixed.auc > 0.9
    assert apart.auc < 0.6
    assert (apart.groups, mixed.groups) == (10, 200)


def test_the_same_faces_and_seed_give_the_same_fusion() -> None:
    one, again, other = (fit_fusion(*faces(), seed=seed) for seed in (1, 1, 2))
    assert one.thresholds == again.thresholds
    np.testing.assert_array_equal(one.weights, again.weights)
    np.testing.assert_array_equal(one.weights, other.weights)
    assert one.thresholds != other.thresholds


LOGITS, FAKE = faces()


@pytest.mark.parametrize(
    ("logits", "fake", "groups", "said"),
    [
        (LOGITS[:, 0], FAKE, None, "wants logits"),
        (LOGITS[:10], FAKE, None, "wants logits"),
        (LOGITS[:, :0], FAKE, None, "wants logits"),
        (np.where(LOGITS > 3, np.nan, LOGITS), FAKE, None, "no number"),
        (LOGITS, FAKE, ["a", "b"], "2 groups for 3000 faces"),
        (LOGITS, FAKE, ["a"] * FACES, "all faces are of one group"),
        (LOGITS, np.zeros(FACES, bool), None, "both real and fake"),
        (LOGITS, FAKE, ["fakes" if each else "reals" for each in FAKE], "too few groups"),
    ],
    ids=["one column", "too few rows", "no column", "no number", "too few groups", "one group", "no fakes", "by class"],
)
def test_what_nothing_can_be_learnt_from_is_refused(
    logits: NDArray[np.float64], fake: NDArray[np.bool_], groups: list[str] | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        fit_fusion(logits, fake, groups)
