"""Evidence as a verdict tells it."""

from dataclasses import replace

import numpy as np
import pytest

from agents.evidence_parts import (
    MAPPED_FRAMES,
    described,
    face_score,
    followed,
    strongest_artifacts,
    suspicious_segments,
    temporal_signs,
)
from models.evidence import ArtifactEvidence, FaceEvidence, FrameEvidence, RelativeBox
from models.fusion import DetectorFacts, logit
from models.heat import pack
from models.policy import DEFAULT_POLICY
from models.temporal.analysis import ANALYSES
from schemas.verdict import RiskLevel
from tests.support.evidence import LEFT, RIGHT, face, frame

SCREEN = DetectorFacts("fast", "screen", threshold=0.5)
PRIMARY = DetectorFacts("fine", "primary", threshold=0.5)
SYNTHETIC = DetectorFacts("drawn", "synthetic", threshold=0.9)
LIVENESS = DetectorFacts("live", "liveness", threshold=0.5)
ALL = (SCREEN, PRIMARY, SYNTHETIC, LIVENESS)
HEAT = np.zeros((12, 12), np.float32)
HEAT[3:6, 6:9] = 0.8
SQUARE = RelativeBox(0.2, 0.4, 0.4, 0.4)


def mapped(score: float, track: int = 0) -> FaceEvidence:
    return replace(face({"fine": logit(score)}, track=track), square=SQUARE, heat=pack(HEAT))


def test_the_screen_has_no_say_of_a_face_that_the_primary_judged() -> None:
    assert face_score(face({"fast": logit(0.9)}), ALL) == pytest.approx(0.9)
    assert face_score(face({"fast": logit(0.9), "fine": logit(0.1)}), ALL) == pytest.approx(0.1)


def test_a_generated_face_scores_high_whatever_else_is_said_of_it() -> None:
    assert face_score(face({"fine": logit(0.1), "drawn": logit(0.95)}), ALL) == pytest.approx(0.95)


def test_liveness_and_nothing_give_no_score() -> None:
    assert face_score(face({"live": logit(0.9)}), ALL) is None
    assert face_score(face(), ALL) is None


def test_the_primary_is_followed_over_time_before_the_screen() -> None:
    assert followed(ALL) == ["fine", "fast"]


def test_a_map_becomes_boxes_in_the_frame() -> None:
    (told,) = described([frame(0, mapped(0.9))], ALL)
    (region,) = told.faces[0].regions
    assert (region.x, region.y) == pytest.approx((0.2 + 0.4 * 6 / 12, 0.4 + 0.4 * 3 / 12))
    assert (region.width, region.height) == pytest.approx((0.1, 0.1))
    heat = told.faces[0].heat
    assert heat is not None
    assert (heat.left, heat.top, heat.width, heat.height) == (0.2, 0.4, 0.4, 0.4)


def test_only_the_most_suspicious_frames_carry_maps() -> None:
    frames = [frame(number, mapped(0.5 + 0.01 * number)) for number in range(MAPPED_FRAMES + 3)]
    told = described(frames, ALL)
    assert [one.faces[0].heat is not None for one in told] == [False] * 3 + [True] * MAPPED_FRAMES
    assert all(one.faces[0].regions for one in told)


def odd(score: float, track: int, region: RelativeBox | None = None) -> FaceEvidence:
    found = (ArtifactEvidence("texture", score, region),)
    return replace(face({"fine": 0.0}, track=track, box=LEFT if track == 0 else RIGHT), artifacts=found)


def test_artifacts_are_those_of_the_face_in_which_most_was_found() -> None:
    where = RelativeBox(0.6, 0.2, 0.1, 0.1)
    frames = [frame(0, odd(0.2, 0), odd(0.6, 1)), frame(1, odd(0.3, 0), odd(0.8, 1, where))]
    (artifact,) = strongest_artifacts(frames)
    assert artifact.kind == "texture"
    assert artifact.score == pytest.approx(0.7)
    assert artifact.weight == 0.0
    assert artifact.region is not None
    assert (artifact.region.x, artifact.region.y) == (0.6, 0.2)


def moving(number: int) -> FrameEvidence:
    points = tuple((0.3 + 0.01 * (number % 2) + 0.1 * x, 0.4) for x in range(5))
    return frame(number, replace(face({"fine": 0.1 * number}), landmarks=points), pts_ms=200 * number)


def test_signs_over_time_are_named_weighted_and_counted() -> None:
    signs = temporal_signs([moving(number) for number in range(20)], ALL, aspect=16 / 9)
    assert signs
    assert {sign.kind for sign in signs} <= set(ANALYSES)
    assert all(sign.track == 0 and sign.weight == 0.0 and sign.samples > 0 for sign in signs)


def test_one_frame_has_no_signs_over_time() -> None:
    assert temporal_signs([moving(0)], ALL, aspect=1.0) == ()


def test_suspicious_segments_say_how_they_show_and_how_severe_they_are() -> None:
    scores = [0.1, 0.9, 0.95, 0.9, 0.85, 0.1, 0.1, 0.1, 0.6, 0.1]
    told = described([frame(number, face({"fine": logit(score)})) for number, score in enumerate(scores)], ALL)
    long, short = suspicious_segments(told, 0.5, 1000, DEFAULT_POLICY.risk)
    assert (long.start_s, long.end_s, long.frames, long.kind) == (1.0, 5.0, 4, "sustained")
    assert long.severity is RiskLevel.HIGH
    assert (short.start_s, short.frames, short.kind, short.severity) == (8.0, 1, "isolated", RiskLevel.MEDIUM)
