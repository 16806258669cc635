"""Scores to figures, each with its interval, beside the size of the face."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.calibration import Platt, class_balanced, fit_platt, in_first_half, sigmoid
from models.evaluation.lineup import FACE_SIZE, Row, Values
from models.evaluation.report import Estimate, Judgement, Kind, Metrics, Shape
from models.evaluation.scoring import ScoredFile
from models.evaluation.shapes import BINS_OF_RELIABILITY, shape_of
from models.statistics import (
    area,
    average_precision,
    bootstrap,
    calibration_errors,
    equal_error_rate,
    percentiles,
    roc,
    true_positives_at,
)

FEWEST_FILES = 10
"""Of either label, from which a judgement is made: an interval drawn from fewer is too narrow to be believed."""
FEWEST_IN_HALF = 5
"""Of either label in either half, from which a calibration is fitted and judged."""
_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Samples of one subset, in one view, at one level.

    Attributes:
        fake: the truth [N].
        file: the number of each sample's file [N], 0 to F - 1.
        first_half: whether it is one to calibrate on [N]; the same for all samples of a file.
        scores: by row [N]; NaN where a row has no answer.
    """

    fake: NDArray[np.bool_]
    file: NDArray[np.intp]
    first_half: NDArray[np.bool_]
    scores: Mapping[str, Values]

    def told(self, row: str) -> "Table | None":
        """Return the samples that a row has an answer to; none where either label is missing."""
        told = np.isfinite(self.scores[row])
        fake = self.fake[told]
        if not fake.any() or fake.all():
            return None
        if told.all():
            return self
        _, file = np.unique(self.file[told], return_inverse=True)
        return Table(fake, file, self.first_half[told], {name: each[told] for name, each in self.scores.items()})

    def files(self, *, fake: bool, first_half: bool | None = None) -> int:
        """Return how many files of a label there are, in one half or in both."""
        wanted = self.fake == fake
        if first_half is not None:
            wanted &= self.first_half == first_half
        return len(np.unique(self.file[wanted]))


@dataclass(frozen=True, slots=True)
class Figures:
    """What one row did on one table, see `models.evaluation.report.Result`."""

    table: Table
    turned: bool
    judgement: Judgement
    metrics: Metrics
    margin: Estimate | None
    calibration: Platt | None
    shape: Shape | None


def frames_of(files: Sequence[ScoredFile], rows: Sequence[Row], view: str, seed: int) -> Table | None:
    """Return all faces of pictures and frames; a row that judges whole clips has no answer to them."""
    judged = [each for each in files if not each.problem]
    if not judged:
        return None
    counts = [len(each.sides) for each in judged]
    missing = [np.full(count, np.nan) for count in counts]
    scores = {
        row.name: np.concatenate(
            [each.views[view].faces.get(row.name, none) for each, none in zip(judged, missing, strict=True)]
        )
        for row in rows
    }
    return _table(judged, np.repeat(np.arange(len(judged)), counts), scores, seed)


def clips_of(files: Sequence[ScoredFile], rows: Sequence[Row], view: str, seed: int) -> Table | None:
    """Return all videos, the faces of each pooled."""
    clips = [each for each in files if not each.problem and each.sample.moving]
    if not clips:
        return None
    told = [{**each.views[view].file, **each.clip} for each in clips]
    scores = {row.name: np.array([each.get(row.name, np.nan) for each in told], np.float64) for row in rows}
    return _table(clips, np.arange(len(clips)), scores, seed)


def figures_of(table: Table, row: Row, *, seed: int, rounds: int) -> Figures | None:
    """Measure one row; none where it has answers to one label only.

    Args:
        table: the samples, the sizes of their faces among the rows.
        row: the row.
        seed: of the bootstrap; the same draws for all rows with the same answers.
        rounds: of the bootstrap.
    """
    told = table.told(row.name)
    if told is None:
        return None
    fake = told.fake
    scores, turned = told.scores[row.name], False
    if row.kind is Kind.BASELINE:
        scores, turned = either_way(scores, fake)
    size, _ = either_way(told.scores[FACE_SIZE], fake)
    calibration = _calibration(told, scores) if row.kind.says_probability else None

    def statistic(weights: Values) -> Values:
        curve = roc(scores, fake, weights)
        size_area = area(roc(size, fake, weights))
        columns = [
            *(measure(curve) for measure in (area, equal_error_rate, average_precision)),
            *(true_positives_at(curve, rate) for rate in (0.01, 0.05)),
            area(curve) - size_area,
        ]
        if calibration is not None:
            rest = ~told.first_half
            weighted = class_balanced(weights[:, rest], fake[rest])
            columns += [
                calibration_errors(sigmoid(logits), fake[rest], weighted, BINS_OF_RELIABILITY)
                for logits in (scores[rest], calibration(scores[rest]))
            ]
        return np.stack(columns, 1)

    auc, eer, precision, at_1, at_5, margin, *errors = _estimates(statistic, told, seed, rounds)
    before, after = errors or (None, None)
    return Figures(
        table=told,
        turned=turned,
        judgement=_judgement(auc, told),
        metrics=Metrics(
            auc=auc,
            eer=eer,
            average_precision=precision,
            true_positives_at_1=at_1,
            true_positives_at_5=at_5,
            calibration_error_before=before,
            calibration_error_after=after,
        ),
        margin=None if row.name == FACE_SIZE else margin,
        calibration=calibration,
        shape=(
            shape_of(scores, fake, told.first_half, calibration, probabilities=row.kind.says_probability)
            if row.kind.says_probability or row.name == FACE_SIZE
            else None
        ),
    )


def area_of(scores: Values, fake: NDArray[np.bool_], *, seed: int, rounds: int) -> Estimate:
    """Return the AUC of files [N], each a sample of its own."""
    table = Table(fake, np.arange(len(fake)), np.zeros(len(fake), bool), {})
    (estimate,) = _estimates(lambda weights: area(roc(scores, fake, weights))[:, None], table, seed, rounds)
    return estimate


def either_way(scores: Values, fake: NDArray[np.bool_]) -> tuple[Values, bool]:
    """Turn scores round where low ones tell more, so that a shortcut is never taken for less than it is.

    Returns:
        The scores [N], and whether they were turned.
    """
    turned = bool(area(roc(scores, fake))[0] < 0.5)
    return (-scores if turned else scores), turned


def _estimates(statistic: Callable[[Values], Values], table: Table, seed: int, rounds: int) -> list[Estimate]:
    values = statistic(np.ones((1, len(table.fake))))[0]
    if min(table.files(fake=fake) for fake in (False, True)) < 2:
        return [Estimate(value=_rounded(value), low=None, high=None) for value in values]
    low, high = percentiles(bootstrap(statistic, table.fake, table.file, seed=seed, rounds=rounds))
    return [
        Estimate(value=_rounded(value), low=_rounded(start), high=_rounded(end))
        for value, start, end in zip(values, low, high, strict=True)
    ]


def _judgement(auc: Estimate, table: Table) -> Judgement:
    few = min(table.files(fake=fake) for fake in (False, True)) < FEWEST_FILES
    if few or auc.low is None or auc.high is None:
        return Judgement.TOO_FEW
    if auc.low > 0.5:
        return Judgement.SEPARATES
    return Judgement.WRONG_WAY if auc.high < 0.5 else Judgement.DOES_NOT


def _calibration(table: Table, scores: Values) -> Platt | None:
    """The calibration of the first half of the files; none where a half has too few of a label."""
    counts = [table.files(fake=fake, first_half=half) for fake in (False, True) for half in (False, True)]
    if min(counts) < FEWEST_IN_HALF:
        return None
    return fit_platt(scores[table.first_half], table.fake[table.first_half])


def _table(files: Sequence[ScoredFile], file: NDArray[np.intp], scores: Mapping[str, Values], seed: int) -> Table:
    fake = np.array([each.sample.fake for each in files])
    first_half = np.array([in_first_half(each.sample.path.name, seed) for each in files])
    return Table(fake[file], file, first_half[file], scores)


def _rounded(value: float) -> float:
    return round(float(value), _DIGITS)
