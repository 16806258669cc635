"""What a face adds to its stream."""

import pytest

from models.axes import DetectorFacts
from models.evidence import FaceEvidence, Quality, RelativeBox
from models.live import face_logit
from models.policy import DEFAULT_POLICY
from models.pooling import logit

SCREEN = DetectorFacts("screen", "screen", 0.5)
PRIMARY = DetectorFacts("primary", "primary", 0.5)
SYNTHETIC = DetectorFacts("synthetic", "synthetic", 0.95)
ALL = (SCREEN, PRIMARY, SYNTHETIC)


def face(**scores: float) -> FaceEvidence:
    return FaceEvidence(
        RelativeBox(0.1, 0.1, 0.2, 0.2),
        0.9,
        Quality(100, 1, 1, 1, usable=True),
        {name: logit(score) for name, score in scores.items()},
    )


def test_detectors_of_altered_faces_are_fused() -> None:
    assert face_logit(face(screen=0.8), ALL, DEFAULT_POLICY) == pytest.approx(logit(0.8))
    fused = face_logit(face(screen=0.8, primary=0.6), ALL, DEFAULT_POLICY)
    assert fused == pytest.approx(0.3 * logit(0.8) + 0.7 * logit(0.6))


def test_a_generated_face_counts_only_from_its_own_threshold_on() -> None:
    assert face_logit(face(screen=0.2, synthetic=0.94), ALL, DEFAULT_POLICY) == pytest.approx(logit(0.2))
    assert face_logit(face(screen=0.2, synthetic=0.99), ALL, DEFAULT_POLICY) == pytest.approx(logit(0.99))


def test_a_face_that_does_not_look_generated_clears_nobody() -> None:
    assert face_logit(face(screen=0.9, synthetic=0.01), ALL, DEFAULT_POLICY) == pytest.approx(logit(0.9))


def test_without_a_detector_of_altered_faces_nothing_is_said() -> None:
    assert face_logit(face(synthetic=0.99), ALL, DEFAULT_POLICY) is None
    assert face_logit(face(), ALL, DEFAULT_POLICY) is None
