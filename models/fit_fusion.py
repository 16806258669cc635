"""Learn how detectors are fused: logistic regression on their logits, and thresholds for false-positive rates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.fusion_weights import FittedOn
from models.policy import rate_key
from models.statistics import auc, balanced, calibration_error, threshold_at

RATES = (0.001, 0.005, 0.01, 0.05)
"""Shares of real faces that thresholds are given for."""
DEFAULT_RATE = 0.005
RIDGE = 1.0
FOLDS = 5
_STEPS = 100
_CONVERGED = 1e-10
"""Greatest change of a parameter in the last step."""
_MARGIN = 1e-6
"""Thresholds are kept this far from 0 and 1."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedFusion:
    """What was learnt, in the order of the detectors' columns."""

    weights: NDArray[np.float64]
    """[D], ≥ 0."""
    bias: float
    thresholds: Mapping[str, float]
    """Probabilities by rate, from faces that were held out."""
    fitted: FittedOn

    @property
    def threshold(self) -> float:
        """The one for `DEFAULT_RATE`."""
        return self.thresholds[rate_key(DEFAULT_RATE)]


def fit_fusion(
    logits: NDArray[np.float64],
    fake: NDArray[np.bool_],
    groups: Sequence[object] | None = None,
    *,
    ridge: float = RIDGE,
    seed: int = 1,
    description: str = "",
) -> FittedFusion:
    """Fit weights and bias on all faces; measure and take thresholds on held-out ones (cross-validation by group).

    With one detector this is Platt's calibration (Platt 1999), of which a temperature is the case without a bias.

    Args:
        logits: of each face by each detector, finite [N, D].
        fake: the truth [N].
        groups: of each face [N]: faces of one file or person are held out together; each by itself by default.
        ridge: penalty ½ · ridge · Σ weight², against losses that sum to about N.
        seed: of the folds.
        description: of the faces, for the record.

    Raises:
        ValueError: shapes that do not fit together, values that are no numbers, or a fold without both classes.
    """
    if logits.ndim != 2 or logits.shape[0] != len(fake) or 0 in logits.shape:
        raise ValueError(f"wants logits [N, D] and fake [N], got {list(logits.shape)} and {list(fake.shape)}")
    if not np.isfinite(logits).all():
        raise ValueError("a logit is no number")
    names = [str(group) for group in groups] if groups is not None else [str(at) for at in range(len(fake))]
    if len(names) != len(fake):
        raise ValueError(f"{len(names)} groups for {len(fake)} faces")
    weights, bias = logistic(logits, fake, ridge)
    held_out = np.empty(len(fake))
    for fold in _folds(names, seed):
        if fake[~fold].all() or not fake[~fold].any():
            raise ValueError("without one fold all groups are of one class: too few groups to hold any out")
        of_rest, shift = logistic(logits[~fold], fake[~fold], ridge)
        held_out[fold] = logits[fold] @ of_rest + shift
    mean = logits.mean(1)
    fitted = FittedOn(
        description=description,
        real=int((~fake).sum()),
        fake=int(fake.sum()),
        groups=len(set(names)),
        ridge=ridge,
        seed=seed,
        auc=auc(held_out[~fake], held_out[fake]),
        auc_of_mean=auc(mean[~fake], mean[fake]),
        calibration_error=_calibration_error(held_out, fake),
        calibration_error_of_mean=_calibration_error(mean, fake),
    )
    thresholds = {
        rate_key(rate): float(np.clip(_sigmoid(threshold_at(held_out[~fake], rate)), _MARGIN, 1 - _MARGIN))
        for rate in RATES
    }
    return FittedFusion(weights, bias, thresholds, fitted)


def logistic(logits: NDArray[np.float64], fake: NDArray[np.bool_], ridge: float) -> tuple[NDArray[np.float64], float]:
    """Ridge logistic regression with weights ≥ 0; both classes weigh alike, the bias is not penalised.

    Newton's method, here iteratively reweighted least squares (Hastie, Tibshirani & Friedman 2009, The Elements of
    Statistical Learning, section 4.4.1), with the step halved until the loss falls. A detector whose weight would be
    negative is left out: what one detector finds more suspicious must not clear a face.

    Args:
        logits: [N, D].
        fake: the truth [N]; both classes occur.
        ridge: > 0.

    Returns:
        Weights [D] and bias.
    """
    if fake.all() or not fake.any():
        raise ValueError("both real and fake faces are needed")
    kept = np.arange(logits.shape[1])
    while len(kept):
        fitted = _newton(logits[:, kept], fake, ridge)
        if (fitted[:-1] >= 0).all():
            break
        kept = np.delete(kept, int(fitted[:-1].argmin()))
    else:
        fitted = np.zeros(1)
    weights = np.zeros(logits.shape[1])
    weights[kept] = fitted[:-1]
    return weights, float(fitted[-1])


def _newton(logits: NDArray[np.float64], fake: NDArray[np.bool_], ridge: float) -> NDArray[np.float64]:
    design = np.concatenate([logits, np.ones((len(logits), 1))], axis=1)
    penalty = np.append(np.full(logits.shape[1], ridge), 0.0)
    sample, target = balanced(fake), fake.astype(np.float64)

    def loss(parameters: NDArray[np.float64]) -> float:
        scores = design @ parameters
        return float(sample @ (np.logaddexp(0, scores) - target * scores) + 0.5 * penalty @ parameters**2)

    parameters = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        probabilities = _sigmoid(design @ parameters)
        gradient = design.T @ (sample * (probabilities - target)) + penalty * parameters
        curvature = (design.T * (sample * probabilities * (1 - probabilities))) @ design + np.diag(penalty)
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        before = loss(parameters)
        while loss(parameters - step) > before and np.abs(step).max() > _CONVERGED:
            step = step / 2
        parameters = parameters - step
        if np.abs(step).max() <= _CONVERGED:
            break
    return parameters


def _folds(groups: Sequence[str], seed: int) -> list[NDArray[np.bool_]]:
    """Which faces are held out, in each fold; groups are dealt out in an order of chance."""
    names, members = np.unique(np.array(groups), return_inverse=True)
    if len(names) < 2:
        raise ValueError("all faces are of one group: none can be held out")
    dealt = np.random.default_rng(seed).permutation(len(names)) % min(FOLDS, len(names))
    return [dealt[members] == fold for fold in range(min(FOLDS, len(names)))]


def _calibration_error(logits: NDArray[np.float64], fake: NDArray[np.bool_]) -> float:
    return calibration_error(_sigmoid(logits), fake, balanced(fake))


def _sigmoid(logits: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logits))), np.float64)
