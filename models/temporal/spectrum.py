"""Spectrum: whether the scores of a track come and go with a period."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.temporal.findings import TemporalFinding
from models.temporal.series import Series

NAME = "score_spectrum"
FEWEST = 16
"""Frames that it takes."""
MOST = 512
"""Longer series are thinned to this."""
_CYCLES = 3.0
"""That the track must show of a period: what comes once or twice is no period."""
_FASTEST = 0.45
"""Of cycles in a median interval: just short of Nyquist's 0.5, where a sine is not seen."""
_OVERSAMPLING = 3.0
"""Frequencies looked at in each width of a peak."""
_CHANCE = 0.05
"""Of white noise to reach the power that counts as none."""
_FLOOR = 0.1
"""Standard deviation of logits that is added to what is divided by: less than that is no course of its own."""


@dataclass(frozen=True, slots=True)
class Period:
    """The strongest period of a series."""

    milliseconds: float
    share: float
    """Of the variance about a straight line that a sine of this period explains, 0 to 1; little where that is small."""
    by_chance: float
    """The share that the strongest period of white noise reaches at most once in twenty times, 0 to 1."""


def strongest_period(series: Series) -> Period | None:
    """Return the strongest period of a series.

    The periodogram for uneven times, normalised to shares of the variance (Lomb 1976,
    https://doi.org/10.1007/BF00648343; Scargle 1982, https://doi.org/10.1086/160554), of what is left after a straight
    line. What white noise reaches by chance is Scargle's too, with all frequencies taken for independent: at most that.

    Args:
        series: logits, values float64 [T]; more than `MOST` are thinned.

    Returns:
        None with fewer than `FEWEST` samples, or too few to see `_CYCLES` of any period.
    """
    series = series.thinned(MOST)
    if len(series) < FEWEST:
        return None
    seconds = (series.times_ms - series.times_ms[0]) / 1000.0
    span = float(seconds[-1])
    slowest, fastest = _CYCLES / span, _FASTEST * 1000.0 / series.interval_ms
    if fastest <= slowest:
        return None
    around = seconds - seconds.mean()
    values = series.values - series.values.mean()
    values = values - around * (float(around @ values) / float(around @ around))
    peaks = 1.0 + (fastest - slowest) * span
    frequencies = np.linspace(slowest, fastest, min(MOST, int(_OVERSAMPLING * peaks) + 1))
    total = float(values @ values)
    shares = explained_shares(seconds, values, frequencies) * (total / (total + len(values) * _FLOOR * _FLOOR))
    best = int(shares.argmax())
    by_chance = 1.0 - (1.0 - (1.0 - _CHANCE) ** (1.0 / len(frequencies))) ** (2.0 / (len(series) - 4))
    return Period(1000.0 / float(frequencies[best]), float(shares[best]), by_chance)


def analyse_spectrum(series: Series) -> TemporalFinding | None:
    """Score how far the strongest period of logits explains more than it would by chance; samples are frames."""
    period = strongest_period(series)
    if period is None:
        return None
    above = (period.share - period.by_chance) / (1.0 - period.by_chance)
    raw = max(0.0, above)
    return TemporalFinding(NAME, raw, raw, len(series))


def explained_shares(
    seconds: NDArray[np.float64], values: NDArray[np.float64], frequencies: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how much of the sum of squares the best sine of each frequency explains, float64 [F], 0 to 1.

    Least squares by its normal equations, in closed form: the same as Lomb's, whose shift of time makes them diagonal.

    Args:
        seconds: float64 [T].
        values: of mean 0, float64 [T].
        frequencies: above 0, hertz, float64 [F].
    """
    total = float(values @ values)
    if total == 0.0:
        return np.zeros(len(frequencies))
    angles = 2 * np.pi * np.outer(frequencies, seconds)
    cosines, sines = np.cos(angles), np.sin(angles)
    by_cosine, by_sine = cosines @ values, sines @ values
    both = np.einsum("ft,ft->f", cosines, sines)
    of_cosine = np.einsum("ft,ft->f", cosines, cosines)
    of_sine = len(seconds) - of_cosine
    determinant = of_cosine * of_sine - both * both
    explained = of_sine * by_cosine**2 + of_cosine * by_sine**2 - 2 * both * by_cosine * by_sine
    seen = determinant > 1e-9 * len(seconds) ** 2
    shares = np.divide(explained, determinant * total, out=np.zeros_like(explained), where=seen)
    return np.asarray(np.clip(shares, 0.0, 1.0))
