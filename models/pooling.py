"""Logits and probabilities, and many logits as one."""

from collections.abc import Sequence
from math import ceil, exp, fsum, log


def sigmoid(logit: float) -> float:
    """Return the probability of a logit, in [0, 1]."""
    if logit >= 0:
        return 1.0 / (1.0 + exp(-logit))
    odds = exp(logit)
    return odds / (1.0 + odds)


def logit(probability: float) -> float:
    """Return the logit of a probability in (0, 1)."""
    return log(probability / (1.0 - probability))


def pool(logits: Sequence[float], top_share: float) -> float:
    """Return the mean of a track's mean logit and of the mean of its highest `top_share`.

    A manipulation that lasts only part of the time still shows, and one wrong frame does not decide.
    """
    top = sorted(logits, reverse=True)[: max(1, ceil(top_share * len(logits)))]
    return 0.5 * (fsum(logits) / len(logits) + fsum(top) / len(top))
