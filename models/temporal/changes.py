"""Change points: when the level of a track's scores steps up or down."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.artifacts.findings import share
from models.temporal.findings import TemporalFinding
from models.temporal.series import Series

NAME = "change_points"
FEWEST = 12
"""Frames that it takes."""
LEAST_FRAMES = 3
"""That a level lasts."""
MOST = 512
"""Longer series are thinned to this: the search is quadratic."""
_PENALTY = 3.0
"""Of a change, in log T: 3 is the modified BIC's (Zhang & Siegmund 2007,
https://doi.org/10.1111/j.1541-0420.2006.00662.x), of which BIC's own 2 finds too many."""
_NOISE_FLOOR = 0.1
"""Standard deviation of logits: what differs by less has not changed."""
_HALF = 2.0
"""Step, in logits, that maps to 0.5."""


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A step of the level."""

    at_ms: int
    """Time of the first sample of the new level."""
    before: float
    """Mean of the samples since the change before."""
    after: float
    """Mean of the samples until the next change."""

    @property
    def step(self) -> float:
        """How far the level rises."""
        return self.after - self.before


def change_points(series: Series) -> tuple[ChangePoint, ...]:
    """Return the changes of level that explain a series best, in order of time.

    The exact least of squared deviations from the levels plus a penalty for each change, by optimal partitioning
    (Jackson et al. 2005, https://arxiv.org/abs/math/0309285; PELT, Killick, Fearnhead & Eckley 2012,
    https://doi.org/10.1080/01621459.2012.737745, prunes the same search). The noise that the penalty is measured in
    is that of successive differences, by their median, which steps do not move. A single sample that is off is taken
    for the middle one of itself and its neighbours (Tukey's running median), which leaves steps where they are.

    Args:
        series: logits, values float64 [T]; more than `MOST` are thinned. Times only say when.
    """
    series = series.thinned(MOST)
    if len(series) < 2 * LEAST_FRAMES:
        return ()
    values = series.values
    starts = optimal_starts(_without_spikes(values), _PENALTY * _noise(values) ** 2 * np.log(len(values)))
    edges = [0, *starts, len(values)]
    levels = [float(values[first:last].mean()) for first, last in pairwise(edges)]
    return tuple(
        ChangePoint(int(series.times_ms[start]), before, after)
        for start, (before, after) in zip(starts, pairwise(levels), strict=True)
    )


def analyse_changes(series: Series) -> TemporalFinding | None:
    """Score the greatest step of logits, in either direction; samples are frames."""
    if len(series) < FEWEST:
        return None
    raw = max((abs(change.step) for change in change_points(series)), default=0.0)
    return TemporalFinding(NAME, share(raw, _HALF), raw, len(series))


def optimal_starts(values: NDArray[np.float64], penalty: float) -> list[int]:
    """Return the places where new levels begin, ascending, of the partition that costs least.

    Args:
        values: float64 [T], T ≥ `LEAST_FRAMES`.
        penalty: of a change, in the unit of squared deviations.
    """
    count = len(values)
    centred = values - values.mean()
    sums = np.concatenate([[0.0], np.cumsum(centred)])
    squares = np.concatenate([[0.0], np.cumsum(centred * centred)])
    lengths = np.arange(count + 1, dtype=np.float64)
    least = np.full(count + 1, np.inf)
    least[0] = -penalty
    last = np.zeros(count + 1, np.intp)
    for end in range(LEAST_FRAMES, count + 1):
        begins = slice(0, end - LEAST_FRAMES + 1)
        means = np.square(sums[end] - sums[begins]) / (end - lengths[begins])
        costs = least[begins] + (squares[end] - squares[begins] - means)
        last[end] = costs.argmin()
        least[end] = costs[last[end]] + penalty
    starts = []
    while (count := int(last[count])) > 0:
        starts.append(count)
    return starts[::-1]


def _noise(values: NDArray[np.float64]) -> float:
    """Standard deviation of white noise with the median absolute difference of successive values (a normal's)."""
    return max(float(np.median(np.abs(np.diff(values)))) / (0.6745 * 2**0.5), _NOISE_FLOOR)


def _without_spikes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.concatenate([values[:1], values, values[-1:]])
    return np.asarray(np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0))
