"""What is drawn of a row: its ROC curve, its scores, and how honest its probabilities are."""

import numpy as np
from numpy.typing import NDArray

from models.evaluation.calibration import Platt, class_balanced, sigmoid
from models.evaluation.report import Bin, Shape
from models.statistics import bin_of, roc

BINS_OF_SCORES, BINS_OF_RELIABILITY = 20, 10
_ROC_POINTS = 200
_DIGITS = 5

Values = NDArray[np.float64]


def shape_of(
    scores: Values,
    fake: NDArray[np.bool_],
    first_half: NDArray[np.bool_],
    calibration: Platt | None,
    *,
    probabilities: bool,
) -> Shape:
    """Return what is drawn.

    Args:
        scores: [N]; a high one means fake.
        fake: the truth [N].
        first_half: what the calibration was fitted on [N]; reliability is of the others.
        calibration: of the scores, where it could be fitted.
        probabilities: whether the scores are logits of a probability.
    """
    curve = roc(scores, fake)
    points = zip(curve.false_positives[0].tolist(), curve.true_positives[0].tolist(), strict=True)
    said = sigmoid(scores)
    rest = ~first_half
    return Shape(
        roc=tuple(_thinned([(round(x, _DIGITS), round(y, _DIGITS)) for x, y in points])),
        reals=_counts(said[~fake]) if probabilities else (),
        fakes=_counts(said[fake]) if probabilities else (),
        before=_bins(said[rest], fake[rest]) if calibration else (),
        after=_bins(sigmoid(calibration(scores[rest])), fake[rest]) if calibration else (),
    )


def _counts(probabilities: Values) -> tuple[int, ...]:
    return tuple(np.bincount(bin_of(probabilities, BINS_OF_SCORES), minlength=BINS_OF_SCORES).tolist())


def _bins(probabilities: Values, fake: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """The bins that are not empty."""
    weights = class_balanced(np.ones((1, len(fake))), fake)[0]
    places = bin_of(probabilities, BINS_OF_RELIABILITY)
    total, said, seen = (
        np.bincount(places, weights * each, minlength=BINS_OF_RELIABILITY)
        for each in (np.ones(len(fake)), probabilities, fake)
    )
    return tuple(
        Bin(
            said=round(float(said[at] / total[at]), _DIGITS),
            seen=round(float(seen[at] / total[at]), _DIGITS),
            share=round(float(total[at] / total.sum()), _DIGITS),
        )
        for at in np.flatnonzero(total)
    )


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of a curve, at most so many; ends are kept."""
    corners = [
        point
        for at, point in enumerate(points)
        if at in {0, len(points) - 1} or not _between(points[at - 1], point, points[at + 1])
    ]
    if len(corners) <= _ROC_POINTS:
        return corners
    return [corners[int(at)] for at in np.linspace(0, len(corners) - 1, _ROC_POINTS).round()]


def _between(before: tuple[float, float], point: tuple[float, float], after: tuple[float, float]) -> bool:
    """Whether a point lies on a level or upright line through its neighbours."""
    return before[0] == point[0] == after[0] or before[1] == point[1] == after[1]
