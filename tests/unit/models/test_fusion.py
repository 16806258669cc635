from collections.abc import Sequence
from itertools import pairwise
from math import exp
from random import Random

import pytest
from hypothesis import given, strategies as st

from models.evidence import FrameEvidence
from models.fusion import Decision, DetectorFacts, decide, logit, pool, sigmoid, suspicious_segments
from models.policy import DEFAULT_POLICY, Policy
from schemas.verdict import Axis, Label, ManipulationKind, RecommendedAction, RiskLevel
from tests.support.evidence import POOR, RIGHT, clip, face, frame

SCREEN = DetectorFacts("screen-a", "screen", threshold=0.5)
PRIMARY = DetectorFacts("primary-a", "primary", threshold=0.5)
SYNTHETIC = DetectorFacts("synthetic-a", "synthetic", threshold=0.5)
LIVENESS = DetectorFacts("liveness-a", "liveness", threshold=0.5)

logits = st.floats(-15, 15)
tracks = st.lists(logits, min_size=1, max_size=30)


def decided(
    frames: Sequence[FrameEvidence],
    detectors: Sequence[DetectorFacts] = (SCREEN,),
    policy: Policy = DEFAULT_POLICY,
    *,
    moving: bool = True,
    coverage: float = 1.0,
) -> Decision:
    return decide(frames, detectors, policy, moving=moving, coverage=coverage)


def steady(probability: float, detector: DetectorFacts = SCREEN, count: int = 4) -> tuple[FrameEvidence, ...]:
    """Frames whose faces all have this probability."""
    return clip(detector.name, [logit(probability)] * count)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_the_probability_of_any_logit_is_between_0_and_1(value: float) -> None:
    assert 0.0 <= sigmoid(value) <= 1.0
    assert sigmoid(value) + sigmoid(-value) == pytest.approx(1.0)


@given(probability=st.floats(1e-6, 1 - 1e-6))
def test_a_probability_survives_the_way_over_its_logit(probability: float) -> None:
    assert sigmoid(logit(probability)) == pytest.approx(probability)
    assert sigmoid(logit(probability)) == pytest.approx(1 / (1 + exp(-logit(probability))))


@pytest.mark.parametrize(
    ("probability", "risk", "action"),
    [
        (0.97, RiskLevel.CRITICAL, RecommendedAction.BLOCK),
        (0.9, RiskLevel.HIGH, RecommendedAction.BLOCK),
        (0.6, RiskLevel.MEDIUM, RecommendedAction.REVIEW),
    ],
)
def test_a_score_above_the_threshold_is_manipulated_and_the_advice_follows_the_risk(
    probability: float, risk: RiskLevel, action: RecommendedAction
) -> None:
    decision = decided(steady(probability))
    assert decision.label is Label.MANIPULATED
    assert decision.score == pytest.approx(probability)
    assert decision.risk is risk
    assert decision.recommendation.action is action
    assert decision.recommendation.checks
    assert decision.reason is None


def test_a_score_at_the_threshold_is_manipulated() -> None:
    assert decided(clip("screen-a", [0.0])).label is Label.MANIPULATED


def test_a_low_score_is_authentic_with_the_confidence_of_the_opposite() -> None:
    decision = decided(steady(0.1))
    assert decision.label is Label.AUTHENTIC
    assert decision.confidence == pytest.approx(0.9)
    assert decision.risk is RiskLevel.LOW
    assert decision.recommendation.action is RecommendedAction.ALLOW
    assert decision.types == ()


@pytest.mark.parametrize("probability", [0.31, 0.45, 0.49])
def test_a_score_between_authentic_and_the_threshold_is_inconclusive(probability: float) -> None:
    decision = decided(steady(probability))
    assert decision.label is Label.INCONCLUSIVE
    assert decision.reason == "the score is neither high nor low enough"
    assert decision.score == pytest.approx(probability)
    assert decision.confidence == 0.0
    assert decision.recommendation.action is RecommendedAction.REVIEW


def test_media_without_a_face_are_inconclusive() -> None:
    decision = decided([frame(0), frame(1)])
    assert decision.label is Label.INCONCLUSIVE
    assert (decision.score, decision.risk, decision.axes) == (None, None, ())


def test_faces_too_poor_to_judge_are_inconclusive_and_not_authentic() -> None:
    decision = decided([frame(0, face(quality=POOR)), frame(1, face(quality=POOR))])
    assert decision.label is Label.INCONCLUSIVE
    assert decision.reason == "no face was good enough to judge"


def test_good_faces_that_no_detector_judged_are_inconclusive_for_another_reason() -> None:
    decision = decided([frame(0, face())], detectors=())
    assert decision.label is Label.INCONCLUSIVE
    assert decision.reason == "the model set has no detector for this detection level"


def test_a_face_that_is_not_generated_may_still_be_altered() -> None:
    decision = decided(steady(0.01, SYNTHETIC), [SYNTHETIC])
    assert decision.label is Label.INCONCLUSIVE
    assert decision.reason == "the model set has no detector of altered faces"


def test_a_generated_face_is_manipulated_whoever_else_was_asked() -> None:
    decision = decided(steady(0.99, SYNTHETIC), [SYNTHETIC])
    assert decision.label is Label.MANIPULATED
    assert [kind.kind for kind in decision.types] == [ManipulationKind.FULL_SYNTHESIS]
    assert "generated as a whole" in decision.recommendation.reason


def test_no_axis_clears_another() -> None:
    frames = [frame(number, face({"screen-a": logit(0.02), "synthetic-a": logit(0.9)})) for number in range(4)]
    decision = decided(frames, [SCREEN, SYNTHETIC])
    assert decision.label is Label.MANIPULATED
    assert decision.score == pytest.approx(0.9)
    assert {axis.axis: round(axis.score, 6) for axis in decision.axes} == {Axis.MANIPULATION: 0.02, Axis.SYNTHETIC: 0.9}


def test_liveness_is_reported_and_decides_nothing() -> None:
    frames = [frame(number, face({"screen-a": logit(0.02), "liveness-a": logit(0.99)})) for number in range(4)]
    decision = decided(frames, [SCREEN, LIVENESS])
    assert decision.label is Label.AUTHENTIC
    assert decision.score == pytest.approx(0.02)
    assert Axis.LIVENESS in {axis.axis for axis in decision.axes}


def test_liveness_alone_decides_nothing() -> None:
    assert decided(steady(0.99, LIVENESS), [LIVENESS]).label is Label.INCONCLUSIVE


def test_the_worst_face_counts_and_a_clean_one_beside_it_clears_nothing() -> None:
    frames = [
        frame(number, face({"screen-a": logit(0.05)}), face({"screen-a": logit(0.95)}, track=1, box=RIGHT))
        for number in range(5)
    ]
    decision = decided(frames)
    assert decision.label is Label.MANIPULATED
    assert decision.score == pytest.approx(0.95)
    assert decision.axes[0].detectors[0].faces == 10


def test_detectors_are_weighed_by_their_role() -> None:
    frames = [frame(0, face({"screen-a": 2.0, "primary-a": -1.0}))]
    (axis,) = decided(frames, [SCREEN, PRIMARY]).axes
    assert axis.score == pytest.approx(sigmoid(0.3 * 2.0 + 0.7 * -1.0))
    assert {detector.detector: detector.weight for detector in axis.detectors} == {"screen-a": 0.3, "primary-a": 0.7}
    assert {detector.detector: detector.score for detector in axis.detectors} == pytest.approx(
        {"screen-a": sigmoid(2.0), "primary-a": sigmoid(-1.0)}
    )


def test_a_track_that_only_the_cheap_detector_saw_is_judged_by_it_alone() -> None:
    frames = [frame(0, face({"screen-a": 2.0}), face({"screen-a": 0.0, "primary-a": 0.0}, track=1, box=RIGHT))]
    (axis,) = decided(frames, [SCREEN, PRIMARY]).axes
    assert axis.score == pytest.approx(sigmoid(2.0))
    assert [detector.detector for detector in axis.detectors] == ["screen-a"]


def test_an_axis_takes_the_thresholds_of_its_detectors_weighed_alike() -> None:
    strict = DetectorFacts("screen-a", "screen", threshold=0.9)
    lax = DetectorFacts("primary-a", "primary", threshold=0.2)
    frames = [frame(0, face({"screen-a": 0.0, "primary-a": 0.0}))]
    (axis,) = decided(frames, [strict, lax]).axes
    assert axis.threshold == pytest.approx(sigmoid(0.3 * logit(0.9) + 0.7 * logit(0.2)))


def test_a_threshold_of_the_policy_goes_before_those_of_the_detectors() -> None:
    strict = Policy("strict", 2, thresholds={Axis.MANIPULATION: 0.2})
    decision = decided(steady(0.25), policy=strict)
    assert decision.label is Label.MANIPULATED
    assert decision.axes[0].threshold == 0.2
    assert decided(steady(0.25)).label is Label.AUTHENTIC


def test_a_track_needs_as_many_faces_as_the_policy_asks_for() -> None:
    patient = Policy("patient", 1, min_faces=3)
    assert decided(steady(0.99, count=2), policy=patient).label is Label.INCONCLUSIVE
    assert decided(steady(0.99, count=3), policy=patient).label is Label.MANIPULATED


def test_little_evidence_lowers_the_confidence_and_not_the_score() -> None:
    little, enough = decided(steady(0.95, count=1)), decided(steady(0.95, count=4))
    assert little.score == pytest.approx(enough.score)
    assert little.confidence == pytest.approx(enough.confidence / 4)
    assert decided(steady(0.95, count=40)).confidence == pytest.approx(enough.confidence)


def test_one_face_is_all_the_evidence_that_a_still_can_give() -> None:
    assert decided(steady(0.95, count=1), moving=False).confidence == pytest.approx(0.95)


def test_what_could_not_be_read_lowers_the_confidence() -> None:
    assert decided(steady(0.95), coverage=0.5).confidence == pytest.approx(0.475)
    assert decided(steady(0.1), coverage=0.5).confidence == pytest.approx(0.45)


def test_kinds_share_out_the_highest_score() -> None:
    frames = [frame(number, face({"screen-a": logit(0.6), "synthetic-a": logit(0.9)})) for number in range(4)]
    decision = decided(frames, [SCREEN, SYNTHETIC])
    shares = {kind.kind: kind.probability for kind in decision.types}
    assert shares == pytest.approx({ManipulationKind.UNKNOWN: 0.9 * 0.4, ManipulationKind.FULL_SYNTHESIS: 0.9 * 0.6})


@given(per_frame=st.lists(st.tuples(logits, logits, logits), min_size=1, max_size=12), coverage=st.floats(0, 1))
def test_every_decision_is_within_its_bounds(per_frame: list[tuple[float, float, float]], coverage: float) -> None:
    frames = [
        frame(number, face({"screen-a": one, "primary-a": two, "synthetic-a": three}))
        for number, (one, two, three) in enumerate(per_frame)
    ]
    decision = decided(frames, [SCREEN, PRIMARY, SYNTHETIC], coverage=coverage)
    assert decision.score is not None
    assert 0.0 <= decision.confidence <= 1.0
    assert sum(kind.probability for kind in decision.types) <= 1.0 + 1e-9
    assert (decision.label is Label.MANIPULATED) == any(axis.score >= axis.threshold for axis in decision.axes)
    assert (decision.label is Label.INCONCLUSIVE) == (decision.reason is not None)
    assert bool(decision.types) == (decision.label is Label.MANIPULATED)


@given(values=tracks, raised=st.integers(0, 29), by=st.floats(0, 10))
def test_more_suspicion_never_lowers_the_score(values: list[float], raised: int, by: float) -> None:
    higher = [value + by if number == raised % len(values) else value for number, value in enumerate(values)]
    before, after = decided(clip("screen-a", values)).score, decided(clip("screen-a", higher)).score
    assert before is not None
    assert after is not None
    assert after >= before - 1e-12


@given(values=tracks, order=st.randoms(use_true_random=False))
def test_the_order_of_frames_changes_nothing(values: list[float], order: Random) -> None:
    shuffled = list(values)
    order.shuffle(shuffled)
    assert decided(clip("screen-a", shuffled)).score == decided(clip("screen-a", values)).score


@given(values=tracks)
def test_a_track_is_pooled_between_its_mean_and_its_highest(values: list[float]) -> None:
    pooled = pool(values, top_share=0.3)
    assert sum(values) / len(values) - 1e-9 <= pooled <= max(values) + 1e-9


def test_a_pool_is_half_the_mean_and_half_the_mean_of_the_highest() -> None:
    assert pool([0.0] * 7 + [1.0, 2.0, 3.0], top_share=0.3) == pytest.approx(0.5 * 0.6 + 0.5 * 2.0)
    assert pool([4.0], top_share=0.3) == 4.0


def test_a_manipulation_of_a_part_of_the_time_still_shows() -> None:
    assert decided(clip("screen-a", [-2.0] * 7 + [6.0] * 3)).label is Label.MANIPULATED


def test_one_wrong_frame_among_many_does_not_decide() -> None:
    assert decided(clip("screen-a", [-3.0] * 29 + [6.0])).label is Label.AUTHENTIC


def stretches(
    scored: list[tuple[int, float]], threshold: float = 0.5, interval_ms: int = 1000
) -> list[tuple[float, ...]]:
    return [
        (stretch.start_s, stretch.end_s, stretch.frames)
        for stretch in suspicious_segments(scored, threshold, interval_ms, DEFAULT_POLICY.risk)
    ]


def test_frames_above_the_threshold_that_follow_each_other_are_one_stretch() -> None:
    scored = [(0, 0.1), (1000, 0.8), (2000, 0.9), (3000, 0.2), (4000, 0.1)]
    assert stretches(scored) == [(1.0, 3.0, 2)]


def test_a_frame_that_dips_does_not_end_a_stretch_and_two_do() -> None:
    assert stretches([(0, 0.9), (1000, 0.1), (2000, 0.9)]) == [(0.0, 3.0, 2)]
    assert stretches([(0, 0.9), (1000, 0.1), (2000, 0.1), (3000, 0.9)]) == [(0.0, 1.0, 1), (3.0, 4.0, 1)]


def test_a_score_at_the_threshold_is_suspicious() -> None:
    assert stretches([(0, 0.5), (1000, 0.49)]) == [(0.0, 1.0, 1)]


def test_nothing_above_the_threshold_is_no_stretch() -> None:
    assert stretches([(0, 0.4), (1000, 0.2)]) == []
    assert stretches([]) == []


def test_a_stretch_is_as_severe_as_its_mean() -> None:
    (stretch,) = suspicious_segments([(0, 0.7), (1000, 0.99)], 0.5, 1000, DEFAULT_POLICY.risk)
    assert stretch.mean_score == pytest.approx(0.845)
    assert stretch.peak_score == 0.99
    assert stretch.severity is RiskLevel.HIGH


@given(
    scores=st.lists(st.floats(0, 1), max_size=60),
    threshold=st.floats(0.01, 1),
    interval_ms=st.integers(1, 5000),
)
def test_stretches_hold_every_suspicious_frame_once_and_do_not_overlap(
    scores: list[float], threshold: float, interval_ms: int
) -> None:
    scored = [(interval_ms * number, score) for number, score in enumerate(scores)]
    found = suspicious_segments(scored, threshold, interval_ms, DEFAULT_POLICY.risk)
    assert sum(stretch.frames for stretch in found) == sum(score >= threshold for score in scores)
    assert all(before.end_s < after.start_s for before, after in pairwise(found))
