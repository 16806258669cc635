"""The analyses over time, as rows of an evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artifacts.analysis import CROP_MARGIN
from models.detectors import Detector
from models.faces import FaceDetector
from models.manifest import Role
from models.temporal.analysis import ANALYSES
from models.temporal.clips import Scorer, read_clip
from models.temporal.measure import scores_of


class TemporalAnalyses:
    """Judges the face that is seen in most frames of a clip's first seconds (`models.temporal.clips.read_clip`).

    Args:
        faces: finds the faces.
        scorer: whose logits the analyses of scores look at; without one these have no answer.
    """

    def __init__(self, faces: FaceDetector, scorer: Scorer | None = None) -> None:
        self._faces = faces
        self._scorer = scorer

    @property
    def names(self) -> Sequence[str]:
        """The names of the analyses."""
        return tuple(ANALYSES)

    def scores(self, clip: Path) -> Mapping[str, float]:
        """Return the scores of those that the clip is long enough for.

        Raises:
            InferenceError: a model failed.
        """
        track = read_clip(clip, self._faces, self._scorer)
        if track is None:
            return {}
        return {name: score for name, score in scores_of(track).items() if name in ANALYSES}


def scorer_of(detectors: Mapping[str, Detector]) -> Scorer | None:
    """Return the scorer of the most accurate detector of altered faces that looks at the crops of a clip's track.

    None where none does: its crops must be square, with the margin of the artifact analyses.
    """
    for role in (Role.PRIMARY, Role.SCREEN):
        for detector in detectors.values():
            crop = detector.entry.input.crop
            if detector.entry.role is role and crop.kind == "square" and crop.margin == CROP_MARGIN:
                return _scorer(detector)
    return None


def _scorer(detector: Detector) -> Scorer:
    def score(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = (detector.size, detector.size)
        return detector.session.run(
            np.stack([np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8) for crop in crops])
        )

    return score
