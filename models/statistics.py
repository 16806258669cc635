"""How well scores separate, and how honest probabilities are. NumPy only.

What takes weights takes many rows of them at once: every row is a resampling of the same samples (`bootstrap`), so
that all figures of a report, and their differences, come from the same draws.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]
Figures = NDArray[np.float64]
_ELEMENTS = 4_000_000
"""Weights that are held at once while bootstrapping: 32 MB."""


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
    return float(calibration_errors(probabilities, fake, weights[None], bins)[0])


def calibration_errors(probabilities: Scores, fake: NDArray[np.bool_], weights: Scores, bins: int = 10) -> Figures:
    """Return the `calibration_error` of each row of weights [B, N]: [B]."""
    gaps = (weights * (probabilities - fake)) @ np.eye(bins)[bin_of(probabilities, bins)]
    return np.asarray(np.abs(gaps).sum(1) / weights.sum(1))


def bin_of(probabilities: Scores, bins: int) -> NDArray[np.intp]:
    """Return the number of each probability's bin, 0 to `bins` - 1; the last one holds 1, too."""
    return np.minimum((probabilities * bins).astype(np.intp), bins - 1)


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


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """What lies at or above each threshold, for each of B rows of weights.

    Source: Fawcett 2006 (https://doi.org/10.1016/j.patrec.2005.10.010), algorithm 1: equal scores are one threshold.

    Attributes:
        thresholds: the scores that occur, descending [K].
        reals: weight of the reals at or above each threshold, after a leading 0: [B, K + 1].
        fakes: likewise of the fakes.
    """

    thresholds: Figures
    reals: Figures
    fakes: Figures

    @property
    def false_positives(self) -> Figures:
        """Share of the reals at or above each threshold [B, K + 1]."""
        return self.reals / self.reals[:, -1:]

    @property
    def true_positives(self) -> Figures:
        """Share of the fakes at or above each threshold [B, K + 1]."""
        return self.fakes / self.fakes[:, -1:]


def roc(scores: Scores, fake: NDArray[np.bool_], weights: Scores | None = None) -> Roc:
    """Count what lies above each threshold.

    Args:
        scores: [N]; a high one means fake.
        fake: the truth [N]; both classes occur.
        weights: [B, N], ≥ 0, in each row more than 0 of either class; one row of ones by default.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    ordered = np.ones((1, len(scores))) if weights is None else np.asarray(weights, np.float64)[:, order]
    start = np.zeros((len(ordered), 1))
    reals, fakes = (
        np.concatenate([start, np.cumsum(ordered * of_class, 1)[:, ends]], 1)
        for of_class in (~fake[order], fake[order])
    )
    return Roc(np.asarray(scores[order][ends], np.float64), reals, fakes)


def area(curve: Roc) -> Figures:
    """Return the area under each row's curve [B]: what `auc` says of the scores, weighted."""
    return np.asarray(np.trapezoid(curve.true_positives, curve.false_positives, axis=1))


def equal_error_rate(curve: Roc) -> Figures:
    """Return the rate at which as many reals are taken for fakes as fakes for reals, for each row [B].

    Between two thresholds the curve is a straight line: any point on it is reached by choosing between the two at
    random (Provost & Fawcett 2001, https://doi.org/10.1023/A:1007601015854).
    """
    false_positives = curve.false_positives
    ahead = false_positives - (1 - curve.true_positives)
    rows = np.arange(len(ahead))
    after = np.argmax(ahead >= 0, axis=1)
    before = after - 1
    share = -ahead[rows, before] / (ahead[rows, after] - ahead[rows, before])
    start, end = false_positives[rows, before], false_positives[rows, after]
    return np.asarray(start + share * (end - start))


def average_precision(curve: Roc) -> Figures:
    """Return the mean precision over all recalls, for each row [B]; of scores that tell nothing the share of fakes.

    A sum over thresholds, not interpolated: Σ (R_k - R_{k-1}) P_k (Manning, Raghavan & Schütze 2008, An Introduction
    to Information Retrieval, chapter 8.4).
    """
    above = curve.reals[:, 1:] + curve.fakes[:, 1:]
    precision = curve.fakes[:, 1:] / np.where(above > 0, above, 1)
    return np.asarray((np.diff(curve.true_positives, axis=1) * precision).sum(1))


def true_positives_at(curve: Roc, false_positive_rate: float) -> Figures:
    """Return the greatest share of fakes at or above a threshold that at most this share of reals reach [B]."""
    allowed = (curve.false_positives <= false_positive_rate + 1e-12).sum(1) - 1
    return np.asarray(curve.true_positives[np.arange(len(allowed)), allowed])


def bootstrap(
    statistic: Callable[[Figures], Figures],
    fake: NDArray[np.bool_],
    cluster: NDArray[np.intp],
    *,
    seed: int,
    rounds: int = 1000,
) -> Figures:
    """Draw clusters of samples with replacement, reals and fakes apart, and compute statistics of each draw.

    Samples of one cluster (the frames of a clip) come and go together: they are no independent samples.
    Source: Davison & Hinkley 1997, Bootstrap Methods and their Application, chapter 3.8.

    Args:
        statistic: from weights [B, N], how often each sample was drawn, to figures [B, M]; called several times.
        fake: the truth [N], the same for all samples of a cluster.
        cluster: the number of each sample's cluster [N], 0 to C - 1.
        seed: of the draws.
        rounds: how many.

    Returns:
        The figures of each draw [rounds, M].
    """
    fake_cluster = np.zeros(int(cluster.max()) + 1, bool)
    fake_cluster[cluster] = fake
    random = np.random.default_rng(seed)
    drawn = np.zeros((rounds, len(fake_cluster)))
    for of_class in (False, True):
        members = np.flatnonzero(fake_cluster == of_class)
        drawn[:, members] = random.multinomial(len(members), np.full(len(members), 1 / len(members)), rounds)
    at_once = max(1, _ELEMENTS // len(fake))
    parts = [statistic(drawn[at : at + at_once][:, cluster]) for at in range(0, rounds, at_once)]
    return np.concatenate(parts)


def percentiles(draws: Figures) -> Figures:
    """Return the 95 % interval of each column of draws [rounds, M]: low and high [2, M] (percentile method).

    Draws that gave no number are left out; a column of none but such is NaN.
    """
    intervals = np.full((2, draws.shape[1]), np.nan)
    for column, values in enumerate(draws.T):
        told = values[np.isfinite(values)]
        if told.size:
            intervals[:, column] = np.quantile(told, [0.025, 0.975])
    return intervals
