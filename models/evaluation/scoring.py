"""Files to scores: every row of the line-up on every face, in every view."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.layout import Sample
from models.evaluation.lineup import FACE_SIZE, FUSED, Fuse, Lineup, Values
from models.evaluation.reading import Looked
from models.evaluation.views import STEPS, Step, View, base_views, see, step_view
from models.fitting.faces import LabelledFace
from models.pooling import pool


@dataclass(frozen=True, slots=True)
class Plan:
    """How it is measured.

    Attributes:
        one_resolution: side that all faces are brought to, pixels; None judges them as found.
        native: judge them as found, too.
        frames: of a video that are looked at, evenly spread.
        limit: files of each label of a subset.
        robustness_files: of each label of a subset that go through every step of the robustness curves; 0 for none.
        robustness_frames: of a video likewise, evenly spread over those with a face.
        seed: of the halves and the intervals.
        rounds: of the bootstrap.
    """

    one_resolution: int | None = 112
    native: bool = False
    frames: int = 24
    limit: int | None = None
    robustness_files: int = 100
    robustness_frames: int = 4
    seed: int = 1
    rounds: int = 1000

    @property
    def views(self) -> Mapping[str, View]:
        """The views that everything is measured in; the first is the one that counts."""
        return base_views(self.one_resolution, native=self.native)


@dataclass(frozen=True, slots=True)
class Pooled:
    """Scores of one view.

    Attributes:
        faces: by row, a score a face [K].
        file: by row, the file's: see `models.pooling.pool`.
    """

    faces: Mapping[str, Values]
    file: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredFile:
    """What all rows say of one file.

    Attributes:
        frames: looked at.
        sides: of the faces as found, pixels [K]; K is 0 where there is a problem.
        problem: see `models.evaluation.reading.Looked`.
        views: scores by view.
        steps: of detectors and their fusion, the file's score by step of degradation; empty where not measured.
        clip: scores of the whole clip by row, of those that have an answer.
    """

    sample: Sample
    frames: int
    sides: NDArray[np.float64]
    problem: str
    views: Mapping[str, Pooled]
    steps: Mapping[Step, Mapping[str, float]]
    clip: Mapping[str, float]


def score_file(looked: Looked, lineup: Lineup, plan: Plan, *, disturbed: bool) -> ScoredFile:
    """Score the faces of one file.

    Args:
        looked: the file.
        lineup: what judges it.
        plan: how.
        disturbed: whether it goes through the steps of the robustness curves.

    Raises:
        InferenceError: a detector failed.
    """
    judged = not looked.problem
    some = _spread(looked.faces, plan.robustness_frames)
    return ScoredFile(
        sample=looked.sample,
        frames=looked.frames,
        sides=looked.sides,
        problem=looked.problem,
        views={name: _scored(looked, lineup, view) for name, view in plan.views.items()} if judged else {},
        steps=(
            {step: _detected(some, lineup, step_view(step, plan.one_resolution)) for step in STEPS}
            if judged and disturbed and lineup.detectors
            else {}
        ),
        clip=(
            {name: score for each in lineup.clips for name, score in each.scores(looked.sample.path).items()}
            if judged and looked.sample.moving
            else {}
        ),
    )


def _scored(looked: Looked, lineup: Lineup, view: View) -> Pooled:
    seen = [see(face, view) for face in looked.faces]
    logits = lineup.logits(seen)
    faces = {**logits, **lineup.analyses(seen), FACE_SIZE: looked.sides}
    file = {name: pool(values.tolist(), lineup.top_share) for name, values in faces.items()}
    if lineup.fuse is not None:
        one_by_one = [
            _fused(lineup.fuse, {name: values[[at]] for name, values in logits.items()}) for at in range(len(seen))
        ]
        faces[FUSED] = np.array(one_by_one, np.float64)
        file[FUSED] = _fused(lineup.fuse, logits)
    return Pooled(faces, file)


def _detected(faces: tuple[LabelledFace, ...], lineup: Lineup, view: View) -> Mapping[str, float]:
    logits = lineup.logits([see(face, view) for face in faces])
    pooled = {name: pool(values.tolist(), lineup.top_share) for name, values in logits.items()}
    return pooled if lineup.fuse is None else pooled | {FUSED: _fused(lineup.fuse, logits)}


def _fused(fuse: Fuse, logits: Mapping[str, Values]) -> float:
    return fuse({name: values.tolist() for name, values in logits.items()})


def _spread(faces: tuple[LabelledFace, ...], count: int) -> tuple[LabelledFace, ...]:
    """Faces evenly spread over those that there are."""
    if len(faces) <= count:
        return faces
    return tuple(faces[int(at)] for at in np.linspace(0, len(faces) - 1, count).round())
