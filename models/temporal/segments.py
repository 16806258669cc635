"""Suspicious segments: stretches of time in which frames that reach the threshold lie close together."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import fsum

import numpy as np
from numpy.typing import NDArray

NOISE = -1
"""Label of what is in no cluster."""
_REACH = 2
"""Sampling intervals between suspicious frames that belong together: one frame between them may be below."""
_LEAST = 3
"""Frames, itself among them, that a frame needs within reach to be the core of a cluster."""
_SUSTAINED = 0.75
"""Share of the frames of a stretch above which it is sustained."""


class StretchKind(StrEnum):
    """How the suspicious frames fill their time."""

    SUSTAINED = "sustained"
    """Most frames are suspicious."""
    INTERMITTENT = "intermittent"
    """Scores flicker about the threshold."""
    ISOLATED = "isolated"
    """One or two frames with nothing near: DBSCAN's noise."""


@dataclass(frozen=True, slots=True)
class SuspiciousStretch:
    """A stretch of time with suspicious frames."""

    start_ms: int
    """Of its first frame."""
    end_ms: int
    """An interval after its last frame."""
    frames: int
    """Suspicious ones in it."""
    mean: float
    """Mean of their scores."""
    peak: float
    """Highest of their scores."""
    kind: StretchKind
    """How they fill it."""


def cluster_times(times_ms: NDArray[np.int64], reach_ms: int, least: int) -> NDArray[np.intp]:
    """Return the cluster of each time, intp [T], numbered from 0 in order of time; `NOISE` is in none.

    DBSCAN (Ester et al. 1996, https://dl.acm.org/doi/10.5555/3001460.3001507) in one dimension, where it is two binary
    searches: a core has `least` times within reach, cores within reach of each other are one cluster, what is within
    reach of a core but none itself belongs to the earliest such cluster.

    Args:
        times_ms: int64 [T], ascending; equal times are allowed.
        reach_ms: DBSCAN's eps, inclusive.
        least: DBSCAN's minimum, the point itself counted.

    Raises:
        ValueError: the times do not ascend.
    """
    if (np.diff(times_ms) < 0).any():
        raise ValueError("the times to cluster ascend: sort them")
    labels = np.full(len(times_ms), NOISE, np.intp)
    within = np.searchsorted(times_ms, times_ms + reach_ms, "right") - np.searchsorted(times_ms, times_ms - reach_ms)
    cores = times_ms[within >= least]
    if not len(cores):
        return labels
    of_core = np.concatenate([[0], np.cumsum(np.diff(cores) > reach_ms)])
    earliest = np.searchsorted(cores, times_ms - reach_ms)
    near = earliest < len(cores)
    near[near] = cores[earliest[near]] <= times_ms[near] + reach_ms
    labels[near] = of_core[earliest[near]]
    return labels


def suspicious_stretches(
    scored: Sequence[tuple[int, float]], threshold: float, interval_ms: int
) -> tuple[SuspiciousStretch, ...]:
    """Return the stretches of time whose frames score at or above `threshold`, in order of time; none overlap.

    Frames that DBSCAN leaves over are stretches too, each with the one that it is within reach of, if there is one.

    Args:
        scored: presentation time in milliseconds and score of each scored frame, in order of time.
        threshold: calibrated probability.
        interval_ms: time between sampled frames.

    Raises:
        ValueError: the frames are not in order of time.
    """
    times = np.array([at for at, _ in scored], np.int64)
    scores = np.array([score for _, score in scored], np.float64)
    reaching = np.flatnonzero(scores >= threshold)
    if not len(reaching):
        return ()
    reach_ms = _REACH * interval_ms
    labels = cluster_times(times[reaching], reach_ms, _LEAST)
    apart = (np.diff(labels) != 0) | ((labels[1:] == NOISE) & (np.diff(times[reaching]) > reach_ms))
    groups = np.split(np.arange(len(reaching)), np.flatnonzero(apart) + 1)
    stretches = []
    for group in groups:
        places = reaching[group]
        values = scores[places].tolist()
        isolated = labels[group[0]] == NOISE
        filled = len(places) / int(places[-1] - places[0] + 1)
        stretches.append(
            SuspiciousStretch(
                start_ms=int(times[places[0]]),
                end_ms=int(times[places[-1]]) + interval_ms,
                frames=len(places),
                mean=fsum(values) / len(values),
                peak=max(values),
                kind=_kind(filled, isolated=bool(isolated)),
            )
        )
    return tuple(stretches)


def _kind(filled: float, *, isolated: bool) -> StretchKind:
    if isolated:
        return StretchKind.ISOLATED
    return StretchKind.SUSTAINED if filled > _SUSTAINED else StretchKind.INTERMITTENT
