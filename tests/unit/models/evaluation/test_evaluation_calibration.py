import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models.evaluation.calibration import Platt, class_balanced, fit_platt, in_first_half, sigmoid
from models.statistics import balanced


@pytest.mark.parametrize(("scale", "shift", "share"), [(1.0, 0.0, 0.5), (7.0, 4.0, 0.1), (0.01, -300.0, 0.8)])
def test_platt_scaling_is_logistic_regression_on_smoothed_targets(scale: float, shift: float, share: float) -> None:
    random = np.random.default_rng(2)
    fake = random.random(300) < share
    logits = scale * random.normal(1.2 * fake, 1.0) + shift
    fitted = fit_platt(logits, fake)
    # A target between 0 and 1 is both labels, each with its part of the weight.
    fakes, reals = fake.sum(), (~fake).sum()
    target = np.where(fake, (fakes + 1) / (fakes + 2), 1 / (reals + 2))
    weights = np.concatenate([balanced(fake) * target, balanced(fake) * (1 - target)])
    standard = (logits - logits.mean()) / logits.std()
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(np.tile(standard, 2)[:, None], np.repeat([1, 0], 300), sample_weight=weights)
    expected = model.decision_function(standard[:, None])
    np.testing.assert_allclose(fitted(logits), expected, atol=1e-4)


def test_honest_logits_stay_what_they_are() -> None:
    random = np.random.default_rng(3)
    logits = random.normal(0, 2, 40_000)
    fake = random.random(40_000) < sigmoid(logits)
    fitted = fit_platt(logits, fake)
    assert fitted.slope == pytest.approx(1, abs=0.05)
    assert fitted.bias == pytest.approx(0, abs=0.05)


def test_classes_that_do_not_overlap_have_a_finite_calibration() -> None:
    fitted = fit_platt(np.array([-3.0, -2.0, 2.0, 3.0]), np.array([False, False, True, True]))
    assert 0 < fitted.slope < 100
    assert sigmoid(fitted(np.array([-2.5])))[0] == pytest.approx(0.25, abs=0.05)


def test_logits_that_point_the_wrong_way_are_turned_and_equal_ones_are_even() -> None:
    wrong = fit_platt(np.array([2.0, 3.0, -1.0, 0.0, 2.5]), np.array([False, False, True, True, False]))
    assert wrong.slope < 0
    even = fit_platt(np.zeros(6), np.arange(6) < 2)
    # The smoothed targets, 3/4 and 1/6, of classes that count alike.
    assert sigmoid(even(np.zeros(1)))[0] == pytest.approx((3 / 4 + 1 / 6) / 2)
    assert Platt(2.0, 1.0)(np.array([3.0]))[0] == 7


def test_a_file_is_always_in_the_same_half() -> None:
    names = [f"{number}.jpg" for number in range(1000)]
    halves = [in_first_half(name, 1) for name in names]
    assert halves == [in_first_half(name, 1) for name in names]
    assert halves != [in_first_half(name, 2) for name in names]
    assert 400 < sum(halves) < 600


def test_balanced_rows_give_both_classes_the_same_weight() -> None:
    fake = np.array([True, False, False])
    rows = class_balanced(np.array([[1.0, 1.0, 3.0], [0.0, 1.0, 1.0]]), fake)
    np.testing.assert_allclose(rows[0], [1, 0.25, 0.75])
    assert np.isnan(rows[1][0])


def test_a_sigmoid_takes_logits_of_any_size() -> None:
    with np.errstate(over="raise"):
        np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0, 0.5, 1])
