"""Motion over time: whether a face moves with what is around it, and as one piece."""

import numpy as np

from models.artifacts.findings import share
from models.temporal.findings import TemporalFinding
from models.temporal.series import Series

UNLIKE = "face_motion"
DISORDER = "motion_disorder"
FEWEST = 4
"""Frames with motion that it takes."""
_STILL = 0.1
"""Motion that is added to what is divided by, sides of the face by second: a still head's and the flow's own error."""
_HALF_UNLIKE, _HALF_DISORDER = 0.5, 0.5
"""Ratios that map to 0.5."""


def analyse_motion(series: Series) -> TemporalFinding | None:
    """Score how unlike the motions of face and surroundings are; samples are frames.

    The raw measure is the mean over the frames of `Motion.unlike` over the sum of both motions: 0 where the face moves
    with what is around it, about 1 where only one of them moves (flow as a cue: Amerini et al. 2019,
    https://doi.org/10.1109/ICCVW.2019.00152). A head that moves before a still background does that too.

    Args:
        series: `Motion.face`, `around`, `unlike`, `disorder`, values float64 [T, 4].
    """
    if len(series) < FEWEST:
        return None
    face, around, unlike, _ = series.values.T
    raw = float(np.mean(unlike / (face + around + _STILL)))
    return TemporalFinding(UNLIKE, share(raw, _HALF_UNLIKE), raw, len(series))


def analyse_disorder(series: Series) -> TemporalFinding | None:
    """Score how far the face's flow is from that of one piece; samples are frames.

    The raw measure is the mean over the frames of `Motion.disorder` over the face's motion. A face that speaks has
    some.

    Args:
        series: as for `analyse_motion`.
    """
    if len(series) < FEWEST:
        return None
    face, _, _, disorder = series.values.T
    raw = float(np.mean(disorder / (face + _STILL)))
    return TemporalFinding(DISORDER, share(raw, _HALF_DISORDER), raw, len(series))
