"""Score smoothness: whether the scores of a track run smoothly or flicker from frame to frame."""

import numpy as np

from models.artifacts.findings import share
from models.temporal.findings import TemporalFinding
from models.temporal.series import Series, deviations

NAME = "score_smoothness"
FEWEST = 8
"""Triples of frames that follow each other that it takes."""
_FLOOR = 0.5
"""Standard deviation of logits below which flicker means nothing."""
_HALF = 0.5
"""Half of the variance is flicker."""


def roughness(series: Series) -> float | None:
    """Return the share of a series' variance that is flicker: 0 smooth, about 1 white noise, at most some 3.

    The mean squared deviation from the line between the neighbours (`models.temporal.series.deviations`) over the
    variance of all, which a floor keeps from being that of a series that hardly changes. Where the neighbours are
    beyond a gap nothing is compared.

    Args:
        series: logits, values float64 [T].

    Returns:
        None with fewer than `FEWEST` triples.
    """
    middles = series.triples()
    if len(middles) < FEWEST:
        return None
    flicker = float(np.mean(np.square(deviations(series, middles))))
    return flicker / (float(np.var(series.values)) + _FLOOR * _FLOOR)


def analyse_smoothness(series: Series) -> TemporalFinding | None:
    """Score the roughness of logits, high where they flicker; samples are triples of frames."""
    raw = roughness(series)
    if raw is None:
        return None
    return TemporalFinding(NAME, share(raw, _HALF), raw, len(series.triples()))
