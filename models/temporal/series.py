"""Measures of a track over time, unevenly sampled and with gaps."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

_GAP = 2.5
"""Frames further apart than this many median intervals do not follow each other: at least two are missing."""
LONGEST_STEP_MS = 2000
"""Nor do frames further apart than this, milliseconds: what a face was two seconds ago says little about it now."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One or several measures of one track.

    Attributes:
        times_ms: int64 [T], strictly ascending.
        values: float64 [T, ...], finite.

    Raises:
        ValueError: they are no such arrays.
    """

    times_ms: NDArray[np.int64]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.times_ms.ndim != 1 or len(self.values) != len(self.times_ms):
            raise ValueError(
                f"a series has one value a time, got {list(self.times_ms.shape)} and {list(self.values.shape)}"
            )
        if (np.diff(self.times_ms) <= 0).any():
            raise ValueError("the times of a series ascend strictly: sort them, and keep one value of each time")
        if not np.isfinite(self.values).all():
            raise ValueError("the values of a series are finite: leave out what is no number")

    def __len__(self) -> int:
        return len(self.times_ms)

    @property
    def interval_ms(self) -> float:
        """The median step from one sample to the next, milliseconds; 0 for fewer than two."""
        return float(np.median(np.diff(self.times_ms))) if len(self) > 1 else 0.0

    def adjacent(self, longest_ms: float = LONGEST_STEP_MS) -> NDArray[np.bool_]:
        """Return where a sample and its next follow each other, bool [T - 1]: no gap lies between.

        Args:
            longest_ms: steps that are longer are gaps however coarse the sampling is.
        """
        steps = np.diff(self.times_ms)
        return np.asarray(steps <= min(_GAP * self.interval_ms, longest_ms))

    def triples(self, longest_ms: float = LONGEST_STEP_MS) -> NDArray[np.intp]:
        """Return the places of the samples that follow the one before and are followed by the next, intp [K]."""
        adjacent = self.adjacent(longest_ms)
        return np.flatnonzero(adjacent[:-1] & adjacent[1:]) + 1

    def neighbours(self, middles: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how much the samples before and after count in a straight line between them, float64 [K] each.

        Args:
            middles: places within the series, neither first nor last.
        """
        before, here, after = (self.times_ms[middles + step] for step in (-1, 0, 1))
        span = (after - before).astype(np.float64)
        return (after - here) / span, (here - before) / span

    def thinned(self, most: int) -> Self:
        """Return a series of at most `most` samples: means of as many neighbours as it takes; itself if it is short."""
        group = -(-len(self) // most)
        if group <= 1:
            return self
        starts = np.arange(0, len(self), group)
        counts = np.diff(np.append(starts, len(self)))
        values = np.add.reduceat(self.values, starts, axis=0) / counts.reshape(-1, *[1] * (self.values.ndim - 1))
        return type(self)(np.add.reduceat(self.times_ms, starts) // counts, values)


def deviations(series: Series, middles: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how far samples are from the line between their neighbours, float64 [K, ...].

    The pseudo-residuals of Gasser, Sroka & Jennen-Steinmetz 1986 (https://doi.org/10.1093/biomet/73.3.625): divided so
    that those of white noise have its variance, however uneven the times are; those of a straight line are 0.

    Args:
        middles: as `Series.triples` gives them.
    """
    shape = (-1, *[1] * (series.values.ndim - 1))
    before, after = (part.reshape(shape) for part in series.neighbours(middles))
    off = series.values[middles] - before * series.values[middles - 1] - after * series.values[middles + 1]
    return np.asarray(off / np.sqrt(1.0 + before * before + after * after))
