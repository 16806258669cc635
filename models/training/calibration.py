"""Calibration of a detector on faces kept apart: slope and bias, and thresholds by the share of real faces above."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from models.evaluation.calibration import fit_platt, sigmoid
from models.inference.session import Session
from models.manifest import Entry
from models.statistics import threshold_at
from models.training.blending import Portrait
from models.training.recipe import Recipe
from models.training.samples import draw_pair

ROUNDS = 6
"""Draws of each face kept apart: it is seen in so many degradations, and blended in so many ways."""
CALIBRATING = 1001
"""Beside the seed of the recipe: no draw of the training is among these."""
TARGETS = (0.001, 0.005, 0.01, 0.05)
"""Shares of real faces above a threshold."""
TARGET = 0.01
"""What an entry's own threshold is chosen for."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Pairs of faces kept apart, as a session judges them: logits float64 [N] of each."""

    real: NDArray[np.float64]
    fake: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shipped:
    """One graph, calibrated."""

    entry: Entry
    thresholds: dict[float, float]
    """Calibrated probability by the share of real faces above it."""


def judge_kept(
    session: Session, kept: Sequence[Portrait], recipe: Recipe, on_step: Callable[[int, int], None]
) -> Judged:
    """Judge faces kept apart and their blends, degraded as in training, each in `ROUNDS` ways."""
    real, fake = [], []
    for index in range(len(kept)):
        pairs = [
            draw_pair(kept, index, recipe.size, (recipe.seed, CALIBRATING, round_, index)) for round_ in range(ROUNDS)
        ]
        answers = session.run(np.stack([pair.real for pair in pairs] + [pair.fake for pair in pairs]))
        real.append(answers[: len(pairs)])
        fake.append(answers[len(pairs) :])
        on_step(index + 1, len(kept))
    return Judged(np.concatenate(real).astype(np.float64), np.concatenate(fake).astype(np.float64))


def calibrated(raw: Entry, judged: Judged) -> Shipped:
    """Return an entry with slope and bias by Platt, and thresholds, from what its graph said uncalibrated.

    Raises:
        ValueError: the logits do not rise with the blends: there is nothing to calibrate.
    """
    logits = np.concatenate([judged.real, judged.fake])
    fake = np.repeat([False, True], [len(judged.real), len(judged.fake)])
    platt = fit_platt(logits, fake)
    if platt.slope <= 0:
        raise ValueError(f"{raw.name} does not tell blends from reals: slope {platt.slope:.3f}")
    real = platt(judged.real)
    thresholds = {target: _probability(threshold_at(real, target)) for target in TARGETS}
    output = raw.output.model_copy(
        update={
            "temperature": round(1 / platt.slope, 6),
            "bias": round(platt.bias, 6),
            "threshold": thresholds[TARGET],
            "thresholds": {str(target): value for target, value in thresholds.items()},
        }
    )
    return Shipped(raw.model_copy(update={"output": output}), thresholds)


def _probability(logit: float) -> float:
    """Probability of a logit to four digits, rounded up so that what was below stays below; below 1."""
    return min(0.9999, ceil(float(sigmoid(np.array([logit]))[0]) * 10_000) / 10_000)
