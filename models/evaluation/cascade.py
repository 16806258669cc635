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


def cascade_points(
    found: FaceLogits,
    screen: str,
    primary: str,
    fuse: Callable[[float, float], float],
    suspicions: Sequence[float],
    top_share: float = 0.3,
) -> tuple[CascadePoint, ...]:
    """Measure the cascade over suspicions.

    Args:
        found: logits of both detectors.
        screen: its name.
        primary: its name.
        fuse: from both pooled logits to the one that is decided on.
        suspicions: probabilities, ascending.
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
    whole = _auc(both, fake)
    points = []
    for suspicion in suspicions:
        asked = 1 / (1 + np.exp(-pooled[:, 0])) >= suspicion
        value = _auc(np.where(asked, both, pooled[:, 0]), fake)
        points.append(CascadePoint(suspicion, float(asked.mean()), float(asked[~fake].mean()), value, whole - value))
    return tuple(points)


def _auc(scores: Values, fake: NDArray[np.bool_]) -> float:
    return float(auc(scores[~fake], scores[fake]))
