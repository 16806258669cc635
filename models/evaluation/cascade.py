"""What the cascade saves, and what it loses: the primary asked only where the screen is suspicious."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.face_logits import FaceLogits
from models.pooling import pool
from models.statistics import auc

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CascadePoint:
    """The cascade at one suspicion.

    Attributes:
        suspicion: calibrated probability of the screen from which the primary is asked.
        asked: share of the files that the primary is asked about.
        asked_of_real: likewise of the real ones, which most media are.
        auc: of the files' scores, 0-1.
        loss: of AUC, against asking both about everything.
    """

    suspicion: float
    asked: float
    asked_of_real: float
    auc: float
    loss: float


@dataclass(frozen=True, slots=True)
class Below:
    """Shares of real and of fake files whose score lies below a probability."""

    probability: float
    real: float
    fake: float


@dataclass(frozen=True, slots=True)
class Cascade:
    """The cascade over suspicions, and where the scores lie that it would give if it asked both about everything."""

    points: tuple[CascadePoint, ...]
    below: tuple[Below, ...]


def measure_cascade(
    found: FaceLogits,
    screen: str,
    primary: str,
    *,
    fuse: Callable[[float, float], float],
    alone: Callable[[float], float],
    suspicions: Sequence[float],
    bounds: Sequence[float] = (),
    top_share: float = 0.3,
) -> Cascade:
    """Measure the cascade over suspicions.

    Args:
        found: logits of both detectors.
        screen: its name.
        primary: its name.
        fuse: from both pooled logits to the one that is decided on.
        alone: from the screen's pooled logit to the one that is decided on where the primary is not asked.
        suspicions: probabilities, ascending.
        bounds: probabilities below which files are counted.
        top_share: see `models.pooling.pool`.

    Raises:
        ValueError: a detector is not among those judged, or a class is empty.
    """
    for name in (screen, primary):
        if name not in found.names:
            raise ValueError(f"{name} is not among {', '.join(found.names)}")
    fast, fine = (found.names.index(name) for name in (screen, primary))
    files = [found.groups == group for group in np.unique(found.groups)]
    pooled = np.array([[pool(found.logits[of, column].tolist(), top_share) for column in (fast, fine)] for of in files])
    fake = np.array([bool(found.fake[of][0]) for of in files])
    if fake.all() or not fake.any():
        raise ValueError("an AUC wants reals and fakes")
    both = np.array([fuse(*row) for row in pooled])
    fast_alone = np.array([alone(row[0]) for row in pooled])
    whole = _auc(both, fake)
    points = []
    for suspicion in suspicions:
        asked = _sigmoid(pooled[:, 0]) >= suspicion
        value = _auc(np.where(asked, both, fast_alone), fake)
        points.append(CascadePoint(suspicion, float(asked.mean()), float(asked[~fake].mean()), value, whole - value))
    scores = _sigmoid(both)
    below = tuple(
        Below(bound, float((scores[~fake] < bound).mean()), float((scores[fake] < bound).mean())) for bound in bounds
    )
    return Cascade(tuple(points), below)


def _sigmoid(logits: Values) -> Values:
    return np.asarray(1 / (1 + np.exp(-logits)))


def _auc(scores: Values, fake: NDArray[np.bool_]) -> float:
    return float(auc(scores[~fake], scores[fake]))
