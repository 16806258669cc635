"""Measure how well each artifact analysis separates fakes from reals, beside the shortcuts that could explain it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.artifacts.analysis import ANALYSES, CROP_MARGIN, analyse
from models.artifacts.squares import square_of
from models.artifacts.view import SIDE
from models.crops import square_crop
from models.fitting.faces import LabelledFace
from models.fitting.views import Degradation, degrade, sharpness
from models.statistics import auc, interval, matched

SHORTCUTS = ("face_size", "sharpness")
"""Not analyses: the side of the face as found, and the variance of the Laplacian of the crop judged."""
ALIKE, FEWEST_PAIRS = 0.1, 20
"""Greatest difference of the logarithms of sharpness within a pair, and the pairs that an AUC wants."""
NATIVE = Degradation()
ONE_RESOLUTION = Degradation(downscale=112, jpeg=80)
"""Brings all sources near to one effective resolution and one compression; what they still differ in, the shortcuts
and `Separation.matched_auc` show."""


@dataclass(frozen=True, slots=True)
class Separation:
    """How well one analysis ranks fakes above reals.

    Attributes:
        analysis: its name, or one of `SHORTCUTS`.
        real, fake: how many were ranked: faces, or clips.
        auc: 0-1; above 0.5 a high score means fake, below it the analysis points the wrong way.
        low, high: 95 % bootstrap interval of `auc`.
        pairs: reals and fakes that are alike in sharpness, see `ALIKE`.
        matched_auc: among these; None where they are fewer than `FEWEST_PAIRS`.
    """

    analysis: str
    real: int
    fake: int
    auc: float
    low: float
    high: float
    pairs: int
    matched_auc: float | None

    @property
    def separates(self) -> bool:
        """Whether the whole interval lies above 0.5."""
        return self.low > 0.5


def scores_of(faces: Sequence[LabelledFace], degradation: Degradation) -> Mapping[str, NDArray[np.float64]]:
    """Return the scores [N] of each analysis and shortcut on faces, cut as the fleet cuts them, then degraded."""
    rows = []
    for each in faces:
        crop, landmarks = cut(each)
        crop = degrade(crop, degradation)
        found = [finding.score for finding in analyse(crop, landmarks)]
        rows.append([*found, each.side, sharpness(crop)])
    table = np.array(rows, np.float64).reshape(len(rows), -1)
    return dict(zip((*ANALYSES, *SHORTCUTS), table.T, strict=True))


def measure(
    real: Sequence[LabelledFace],
    fake: Sequence[LabelledFace],
    *,
    degradation: Degradation = NATIVE,
    by_clip: bool = False,
    seed: int = 1,
    rounds: int = 1000,
) -> tuple[Separation, ...]:
    """Measure all analyses, then the shortcuts.

    Args:
        real: faces, at least one.
        fake: faces, at least one.
        degradation: what every crop goes through before it is judged.
        by_clip: rank the means of each `LabelledFace.group`, because frames of a clip are no independent samples.
        seed: of the intervals.
        rounds: of the bootstrap.

    Raises:
        ValueError: a class is empty.
    """
    if not real or not fake:
        raise ValueError(f"an AUC wants reals and fakes, got {len(real)} and {len(fake)}")
    reals, fakes = (_pooled(faces, scores_of(faces, degradation), by_clip=by_clip) for faces in (real, fake))
    left, right = matched(np.log1p(reals["sharpness"]), np.log1p(fakes["sharpness"]), within=ALIKE, seed=seed)
    separations = []
    for name, values in reals.items():
        others = fakes[name]
        low, high = interval(auc, values, others, seed=seed, rounds=rounds)
        alike = auc(values[left], others[right]) if len(left) >= FEWEST_PAIRS else None
        separations.append(Separation(name, len(values), len(others), auc(values, others), low, high, len(left), alike))
    return tuple(separations)


def cut(face: LabelledFace) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return a face's crop, uint8 [256, 256, 3], and its landmarks in the crop's pixels, float32 [5, 2]."""
    left, top, side = square_of(face.face.box, CROP_MARGIN)
    crop = square_crop(face.image, face.face.box, CROP_MARGIN, SIDE)
    landmarks = (face.face.landmarks - np.array([left, top])) * (SIDE / side)
    return crop, np.asarray(landmarks, np.float32)


def _pooled(
    faces: Sequence[LabelledFace], scores: Mapping[str, NDArray[np.float64]], *, by_clip: bool
) -> Mapping[str, NDArray[np.float64]]:
    if not by_clip:
        return scores
    groups = np.array([each.group for each in faces])
    return {
        name: np.array([values[groups == group].mean() for group in np.unique(groups)])
        for name, values in scores.items()
    }
