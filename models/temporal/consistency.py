"""Consistency: how much what is measured of a face changes from one frame to the next."""

from collections.abc import Sequence

import numpy as np

from models.artifacts.findings import share
from models.temporal.findings import TemporalFinding
from models.temporal.series import Series

NAME = "consistency"
FEWEST = 4
"""Pairs of frames that follow each other that a measure takes."""
_HALF = 0.1
"""Mean change, of measures in [0, 1], that maps to 0.5."""


def mean_change(series: Series) -> float | None:
    """Return the mean absolute change between frames that follow each other, 0 to 1.

    Manipulation frame by frame leaves what differs from one to the next, where a camera's picture of the same face
    hardly does (Güera & Delp 2018, https://doi.org/10.1109/AVSS.2018.8639163, learn it; here it is only measured).

    Args:
        series: a measure in [0, 1], values float64 [T].

    Returns:
        None with fewer than `FEWEST` pairs.
    """
    adjacent = series.adjacent()
    if np.count_nonzero(adjacent) < FEWEST:
        return None
    return float(np.abs(np.diff(series.values))[adjacent].mean())


def analyse_consistency(measures: Sequence[Series]) -> TemporalFinding | None:
    """Score the mean of the mean changes, high where measures change; samples are the pairs of the longest series.

    Args:
        measures: in [0, 1], each with times of its own: probabilities of detectors, scores of artifacts, quality.
    """
    changes = {place: change for place, each in enumerate(measures) if (change := mean_change(each)) is not None}
    if not changes:
        return None
    raw = float(np.mean(list(changes.values())))
    samples = max(int(np.count_nonzero(measures[place].adjacent())) for place in changes)
    return TemporalFinding(NAME, share(raw, _HALF), raw, samples)
