"""What is measured: detectors, artifact analyses, analyses of time, their fusion, and the shortcuts beside them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.artifacts.analysis import ANALYSES
from models.artifacts.measure import NATIVE, SHORTCUTS, cut, scores_of
from models.artifacts.weights import WEIGHTS as ARTIFACT_WEIGHTS
from models.detectors import Detector
from models.evaluation.report import Kind
from models.evidence import FaceEvidence, FrameEvidence, Quality, RelativeBox
from models.faces import FaceDetector
from models.fitting.faces import LabelledFace
from models.fitting.views import sharpness
from models.fusion import DetectorFacts, decide, logit
from models.fusion_weights import NOTHING_LEARNT, FusionTable
from models.policy import DEFAULT_POLICY, Policy
from models.temporal.weights import WEIGHTS as TEMPORAL_WEIGHTS

FUSED = "fused"
FACE_SIZE, SHARPNESS = SHORTCUTS
_SURE = 1e-9
"""A fused probability of 0 or 1 becomes the logit of one this far from it."""

Values = NDArray[np.float64]
Fuse = Callable[[Mapping[str, Sequence[float]]], float]
"""From the logits of a file's faces, by detector and in order of time, to one logit."""


class ClipAnalysis(Protocol):
    """What judges a clip as a whole, such as its course over time."""

    @property
    def names(self) -> Sequence[str]:
        """The names of its scores."""

    def scores(self, clip: Path) -> Mapping[str, float]:
        """Return its scores of one clip; a high one means fake. What it has no answer to is left out."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the report.

    Attributes:
        weight: what it counts for in a decision today; a baseline never counts.
        threshold: calibrated probability from which it says fake, where it says one.
    """

    name: str
    kind: Kind
    weight: float
    threshold: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Lineup:
    """All that is measured side by side.

    Attributes:
        faces: finds the faces.
        detectors: by name.
        weights: what each row counts for in a decision, see `weights_in_force`; one that is not in it counts nothing.
        fuse: the fleet's decision; None where the detectors decide nothing.
        clips: analyses of whole clips.
        artifacts: whether the artifact analyses are measured.
        top_share: how the scores of a clip's faces become one, see `models.pooling.pool`.
    """

    faces: FaceDetector
    detectors: Mapping[str, Detector]
    weights: Mapping[str, float]
    fuse: Fuse | None = None
    clips: Sequence[ClipAnalysis] = ()
    artifacts: bool = True
    top_share: float = DEFAULT_POLICY.top_share

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, in the order of the report; the baselines are always there."""
        named = [
            *((name, Kind.DETECTOR) for name in self.detectors),
            *(((FUSED, Kind.FUSED),) if self.fuse is not None else ()),
            *((name, Kind.ARTIFACT) for name in ANALYSES if self.artifacts),
            *((name, Kind.TEMPORAL) for clip in self.clips for name in clip.names),
            *((name, Kind.BASELINE) for name in SHORTCUTS),
        ]
        thresholds = {name: each.entry.output.threshold for name, each in self.detectors.items()}
        return tuple(Row(name, kind, self.weights.get(name, 0.0), thresholds.get(name)) for name, kind in named)

    def logits(self, faces: Sequence[LabelledFace]) -> Mapping[str, Values]:
        """Return each detector's logits [K] of K ≥ 1 faces.

        Raises:
            InferenceError: a detector failed.
        """
        return {name: _logits(detector, faces) for name, detector in self.detectors.items()}

    def analyses(self, faces: Sequence[LabelledFace]) -> Mapping[str, Values]:
        """Return the scores [K] of the artifact analyses, where they are measured, and of the sharpness of faces."""
        if self.artifacts:
            return {name: values for name, values in scores_of(faces, NATIVE).items() if name != FACE_SIZE}
        return {SHARPNESS: np.array([sharpness(cut(face)[0]) for face in faces], np.float64)}


def weights_in_force(detectors: Mapping[str, Detector], policy: Policy = DEFAULT_POLICY) -> Mapping[str, float]:
    """Return what detectors, and analyses of artifacts and of time, count for in a decision under a policy."""
    of_role = {name: policy.role_weights[each.entry.role] for name, each in detectors.items()}
    return {**of_role, **ARTIFACT_WEIGHTS, **TEMPORAL_WEIGHTS}


def _logits(detector: Detector, faces: Sequence[LabelledFace]) -> Values:
    crops = np.concatenate([detector.cut(face.image, (face.face,)) for face in faces])
    return np.asarray(detector.session.run(crops), np.float64)


def fused_as_decided(
    detectors: Mapping[str, Detector], fusion: FusionTable = NOTHING_LEARNT, policy: Policy = DEFAULT_POLICY
) -> Fuse | None:
    """Return the fusion of a policy (`models.fusion.decide`), all faces of a file taken for one track of good faces.

    Every detector is asked about every face: nothing is left to a cascade. None where no detector's role decides.
    """
    policy = replace(policy, min_faces=1)
    facts = [
        DetectorFacts(name, each.entry.role, each.entry.output.threshold, each.entry.output.thresholds)
        for name, each in detectors.items()
    ]

    def score(logits: Mapping[str, Sequence[float]]) -> float | None:
        frames = _evidence(logits)
        return decide(frames, facts, policy, moving=len(frames) > 1, coverage=1.0, fusion=fusion).score

    def fuse(logits: Mapping[str, Sequence[float]]) -> float:
        found = score(logits)
        if found is None:
            raise ValueError(f"no decision on {sorted(logits)}, of {sorted(detectors)}")
        return logit(min(max(found, _SURE), 1 - _SURE))

    return None if score({name: [0.0] for name in detectors}) is None else fuse


def _evidence(logits: Mapping[str, Sequence[float]]) -> list[FrameEvidence]:
    """A frame for each face, all of one track and good enough to be judged."""
    count = max(map(len, logits.values()), default=0)
    quality = Quality(size_px=100.0, sharpness=1.0, exposure=1.0, frontality=1.0, usable=True)
    return [
        FrameEvidence(
            frame_number=at,
            pts_ms=at,
            key_frame=True,
            cut=False,
            faces=(
                FaceEvidence(
                    RelativeBox(0.0, 0.0, 1.0, 1.0), 1.0, quality, {name: each[at] for name, each in logits.items()}
                ),
            ),
        )
        for at in range(count)
    ]
