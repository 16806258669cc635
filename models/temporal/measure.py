"""Measure how well each analysis over time separates fake clips from real ones, beside what could explain it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from models.statistics import auc, interval
from models.temporal.analysis import ANALYSES, analyse_track
from models.temporal.clips import SCORED, ClipTrack

SHORTCUTS = ("face_size", "sharpness")
"""Not analyses: the means over a track of the face's side in pixels and of its sharpness."""


@dataclass(frozen=True, slots=True)
class TrackSeparation:
    """How well one analysis ranks fake clips above real ones.

    Attributes:
        analysis: its name, or one of `SHORTCUTS`.
        real, fake: clips whose track is long enough for it.
        auc: 0-1; above 0.5 a high score means fake, below it the analysis points the wrong way; None where a class
            has no clip.
        low, high: 95 % bootstrap interval of `auc`; clips are drawn, not frames.
    """

    analysis: str
    real: int
    fake: int
    auc: float | None
    low: float | None
    high: float | None

    @property
    def separates(self) -> bool:
        """Whether the whole interval lies above 0.5. Of a handful of clips that proves nothing."""
        return self.low is not None and self.low > 0.5


def scores_of(track: ClipTrack) -> Mapping[str, float]:
    """Return the scores of one clip's track: of each analysis that it is long enough for, and of the shortcuts."""
    found = {each.name: each.score for each in analyse_track(track.faces, (SCORED,), aspect=track.aspect)}
    qualities = [face.quality for _, face in track.faces]
    return found | {
        "face_size": fmean(quality.size_px for quality in qualities),
        "sharpness": fmean(quality.sharpness for quality in qualities),
    }


def measure(tracks: Sequence[ClipTrack], *, seed: int = 1, rounds: int = 1000) -> tuple[TrackSeparation, ...]:
    """Measure all analyses, then the shortcuts: a row each, whether it can be measured or not.

    Args:
        tracks: one a clip, each with at least one face.
        seed: of the intervals.
        rounds: of the bootstrap.
    """
    scored = [(track.fake, scores_of(track)) for track in tracks]
    separations = []
    for name in (*ANALYSES, *SHORTCUTS):
        real, fake = (
            np.array([scores[name] for label, scores in scored if label is wanted and name in scores], np.float64)
            for wanted in (False, True)
        )
        if not len(real) or not len(fake):
            separations.append(TrackSeparation(name, len(real), len(fake), None, None, None))
            continue
        low, high = interval(auc, real, fake, seed=seed, rounds=rounds)
        separations.append(TrackSeparation(name, len(real), len(fake), auc(real, fake), low, high))
    return tuple(separations)
