"""Probabilities made honest on one half of the files, to be judged on the other."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.statistics import balanced

_ROUNDS = 100
_STEP_HALVINGS = 40
_CONVERGED = 1e-9


@dataclass(frozen=True, slots=True)
class Platt:
    """A calibration: `slope * logit + bias` is the logit of an honest probability, at as many fakes as reals.

    In a manifest the same is `temperature: 1 / slope` and `bias` (`models.manifest.OutputSpec`).
    """

    slope: float
    bias: float

    def __call__(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated logits."""
        return self.slope * logits + self.bias


def fit_platt(logits: NDArray[np.float64], fake: NDArray[np.bool_]) -> Platt:
    """Fit slope and bias by maximum likelihood, both classes counting alike.

    Source: Platt 1999, Probabilistic Outputs for Support Vector Machines: the targets are (F + 1) / (F + 2) of F
    fakes and 1 / (R + 2) of R reals, so that classes that do not overlap have a solution, too. By Newton's method
    with step halving (Lin, Lin & Weng 2007, https://doi.org/10.1007/s10994-007-5018-6).

    Args:
        logits: [N].
        fake: the truth [N]; both classes occur.
    """
    fakes, reals = int(fake.sum()), int((~fake).sum())
    targets = np.where(fake, (fakes + 1) / (fakes + 2), 1 / (reals + 2))
    weights = balanced(fake)
    centre, spread = float(logits.mean()), float(logits.std()) or 1.0
    table = np.stack([(logits - centre) / spread, np.ones_like(logits)], 1)
    fitted = np.zeros(2)
    loss = _loss(table @ fitted, targets, weights)
    for _ in range(_ROUNDS):
        probabilities = sigmoid(table @ fitted)
        slope = table.T @ (weights * (probabilities - targets))
        curvature = (table.T * (weights * probabilities * (1 - probabilities))) @ table
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), slope)
        for _ in range(_STEP_HALVINGS):
            tried = _loss(table @ (fitted - step), targets, weights)
            if tried <= loss:
                break
            step = step / 2
        else:
            break
        fitted, gained, loss = fitted - step, loss - tried, tried
        if gained < _CONVERGED * len(logits):
            break
    return Platt(float(fitted[0] / spread), float(fitted[1] - fitted[0] * centre / spread))


def in_first_half(name: str, seed: int) -> bool:
    """Tell whether a file is one to calibrate on, by a hash of its name: always the same for the same seed."""
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()[0] < 128


def class_balanced(weights: NDArray[np.float64], fake: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scale rows of weights [B, N] so that both classes have the sum 1; a row without one of them becomes NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [weights[:, fake == label].sum(1, keepdims=True) for label in (False, True)]
        return np.asarray(np.where(fake, weights / shares[1], weights / shares[0]))


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of logits of any size."""
    odds = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1 / (1 + odds), odds / (1 + odds)))


def _loss(logits: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Cross-entropy, from logits so that nothing overflows."""
    return float((weights * (np.logaddexp(0, logits) - targets * logits)).sum())
