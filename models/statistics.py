"""How well scores separate, and how honest probabilities are. NumPy only."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]


def auc(real: Scores, fake: Scores) -> float:
    """Area under the ROC curve: the chance that a fake scores above a real, ties counted half.

    Source: Mann-Whitney's U from mid-ranks (Hanley & McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747).

    Args:
        real: scores [R], R ≥ 1.
        fake: scores [F], F ≥ 1.

    Returns:
        0-1; 0.5 tells nothing.
    """
    scores = np.concatenate([real, fake])
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    wins = ranks[len(real) :].sum() - len(fake) * (len(fake) + 1) / 2
    return float(wins / (len(real) * len(fake)))


def interval(
    statistic: Callable[[Scores, Scores], float], real: Scores, fake: Scores, *, seed: int, rounds: int = 1000
) -> tuple[float, float]:
    """95 % bootstrap interval of a statistic, reals and fakes drawn apart (percentile method).

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    random = np.random.default_rng(seed)
    drawn = [statistic(random.choice(real, len(real)), random.choice(fake, len(fake))) for _ in range(rounds)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def calibration_error(probabilities: Scores, fake: NDArray[np.bool_], weights: Scores, bins: int = 10) -> float:
    """Expected calibration error over bins of equal width.

    Source: Guo et al. 2017 (https://arxiv.org/abs/1706.04599), equation 3.

    Args:
        probabilities: of "fake", 0-1, [N].
        fake: the truth [N].
        weights: of each sample [N], so that unequal classes can count alike.
        bins: how many.

    Returns:
        0-1; 0 is perfectly calibrated.
    """
    places = np.minimum((probabilities * bins).astype(int), bins - 1)
    gap = np.bincount(places, weights * (probabilities - fake), minlength=bins)
    return float(np.abs(gap).sum() / weights.sum())


def balanced(fake: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights [N] that let both classes count alike, of mean 1."""
    share = fake.mean()
    return np.asarray(np.where(fake, 0.5 / share, 0.5 / (1 - share)))


def matched(real: Scores, fake: Scores, *, within: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of a real and a fake that are nearly alike in one measure, each used once.

    Args:
        real: the measure [R].
        fake: the measure [F].
        within: greatest difference of a pair.
        seed: of the order in which fakes choose.

    Returns:
        Indices of the paired reals and, in the same order, of the fakes.
    """
    left = real.astype(np.float64).copy()
    reals, fakes = [], []
    for at in np.random.default_rng(seed).permutation(len(fake)):
        gaps = np.abs(left - fake[at])
        nearest = int(gaps.argmin())
        if gaps[nearest] <= within:
            reals.append(nearest)
            fakes.append(int(at))
            left[nearest] = np.inf
    return np.array(reals, np.intp), np.array(fakes, np.intp)


def share_above(scores: Scores, threshold: float) -> float:
    """Share of scores at or above a threshold, 0-1."""
    return float((scores >= threshold).mean())


def threshold_at(real: Scores, false_positive_rate: float) -> float:
    """The least threshold that at most this share of real scores reach."""
    descending = np.sort(real)[::-1]
    allowed = int(false_positive_rate * len(real))
    return float(np.nextafter(descending[allowed], np.inf)) if allowed < len(real) else float(descending[-1])
