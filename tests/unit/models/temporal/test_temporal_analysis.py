"""All analyses on tracks of evidence."""

from dataclasses import replace

import numpy as np
import pytest

from bench.temporal import track
from models.evidence import FaceEvidence
from models.temporal.analysis import ANALYSES, analyse_track
from models.temporal.findings import TemporalFinding
from models.temporal.track import Seen, TrackView
from models.temporal.weights import WEIGHTS

DETECTOR = "timed"
MANY = track(100)


def found(faces: tuple[Seen, ...], *deciding: str) -> dict[str, TemporalFinding]:
    return {each.name: each for each in analyse_track(faces, deciding or (DETECTOR,), aspect=16 / 9)}


def changed(faces: tuple[Seen, ...], **fields: object) -> tuple[Seen, ...]:
    return tuple((at, replace(face, **fields)) for at, face in faces)  # type: ignore[arg-type]


def test_a_long_track_has_every_finding_once_in_order() -> None:
    findings = analyse_track(MANY, (DETECTOR,), aspect=16 / 9)
    assert [each.name for each in findings] == list(ANALYSES)
    assert all(0.0 <= each.score <= 1.0 and np.isfinite(each.raw) and each.samples > 0 for each in findings)


def test_every_analysis_has_a_weight_and_none_moves_a_score() -> None:
    assert list(WEIGHTS) == list(ANALYSES)
    assert set(WEIGHTS.values()) == {0.0}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_track_of_hardly_any_faces_has_no_findings(count: int) -> None:
    assert analyse_track(track(count), (DETECTOR,), aspect=1.0) == ()


def test_a_replay_of_a_track_finds_the_same() -> None:
    assert analyse_track(MANY, (DETECTOR,), aspect=16 / 9) == analyse_track(track(100), (DETECTOR,), aspect=16 / 9)


def test_faces_that_nothing_was_measured_of_have_only_their_quality_to_be_consistent() -> None:
    bare = tuple((at, FaceEvidence(face.box, face.detection_score, face.quality)) for at, face in MANY)
    assert list(found(bare)) == ["consistency"]


def test_without_logits_only_the_analyses_of_scores_are_missing() -> None:
    missing = ANALYSES.keys() - found(changed(MANY, logits={})).keys()
    assert missing == {"score_smoothness", "change_points", "score_spectrum"}
    assert found(MANY, "another").keys() == ANALYSES.keys() - missing


def test_the_score_signal_is_of_the_detector_that_judged_most_faces_alone() -> None:
    both = tuple(
        (at, replace(face, logits={DETECTOR: 0.1 * number, **({"costly": 9.0} if number % 3 == 0 else {})}))
        for number, (at, face) in enumerate(MANY)
    )
    view = TrackView.of(both, ("costly", DETECTOR), aspect=1.0)
    np.testing.assert_allclose(view.score.values, 0.1 * np.arange(100))
    assert found(both, "costly", DETECTOR)["score_smoothness"].raw == pytest.approx(0.0, abs=1e-12)


def test_faces_at_one_time_count_once_and_faces_out_of_order_are_refused() -> None:
    twice = tuple(each for seen in MANY for each in (seen, seen))
    assert analyse_track(twice, (DETECTOR,), aspect=16 / 9) == analyse_track(MANY, (DETECTOR,), aspect=16 / 9)
    with pytest.raises(ValueError, match="in order of time, got 0 ms after 200 ms"):
        analyse_track((MANY[1], MANY[0]), (DETECTOR,), aspect=16 / 9)


def test_landmarks_that_are_no_numbers_are_left_out() -> None:
    spoilt = tuple(
        (at, replace(face, landmarks=((float("nan"), 0.1),) * 5) if number == 50 else face)
        for number, (at, face) in enumerate(MANY)
    )
    findings = found(spoilt)
    assert all(np.isfinite(each.raw) for each in findings.values())
    assert len(TrackView.of(spoilt, (DETECTOR,), aspect=1.0).landmarks) == 99


def test_a_head_that_tilts_in_a_wide_frame_does_not_tremble_when_the_aspect_is_known() -> None:
    rest = np.array([[-0.1, -0.1], [0.1, -0.1], [0.0, 0.02], [-0.08, 0.12], [0.08, 0.12]])
    faces = []
    for number, (at, face) in enumerate(MANY):
        angle = 0.5 * np.sin(number)
        points = rest @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        landmarks = tuple((0.5 + float(x) / 2.0, 0.5 + float(y)) for x, y in points)
        faces.append((at, replace(face, landmarks=landmarks)))
    right, wrong = (
        {each.name: each.raw for each in analyse_track(faces, (DETECTOR,), aspect=aspect)}["landmark_jitter"]
        for aspect in (2.0, 1.0)
    )
    assert right == pytest.approx(0.0, abs=1e-12)
    assert wrong > 0.01


def test_a_track_whose_scores_step_up_scores_for_it_and_one_that_does_not_scores_nothing() -> None:
    steady = changed(MANY, logits={DETECTOR: -2.0})
    stepped = (*steady[:50], *changed(MANY[50:], logits={DETECTOR: 4.0}))
    assert found(steady)["change_points"].raw == 0.0
    assert found(stepped)["change_points"].raw == pytest.approx(6.0)
