from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp
from random import Random

import pytest
from hypothesis import given, strategies as st

from models.advice import problems
from models.evidence import ArtifactEvidence, FaceEvidence, FrameEvidence
from models.fusion import Decision, DetectorFacts, decide, logit, pool, sigmoid
from models.fusion_weights import FittedOn, FusionTable, FusionWeights
from models.policies import load_policies
from models.policy import DEFAULT_POLICY, Advice, Combination, Part, Policy
from models.quality import DEFAULT_GATE
from schemas.verdict import Axis, Label, ManipulationKind, RecommendedAction, RiskLevel
from tests.support.evidence import GOOD, POOR, RIGHT, clip, face, frame

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


def learnt(
    weights: Mapping[str, float], bias: float, threshold: float, thresholds: Mapping[str, float] | None = None
) -> FusionTable:
    """Learnt weights of altered faces."""
    record = FittedOn("made up", 1, 1, 2, 1.0, 1, 0.5, 0.5, 0.0, 0.0)
    return FusionTable((FusionWeights(Axis.MANIPULATION, weights, bias, threshold, record, thresholds or {}),))


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


@pytest.mark.parametrize("probability", [0.41, 0.45, 0.49])
def test_a_score_between_authentic_and_the_threshold_is_inconclusive(probability: float) -> None:
    decision = decided(steady(probability))
    assert decision.label is Label.INCONCLUSIVE
    assert decision.reason == "whether a face was altered is undecided: the score is neither high nor low enough"
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
    assert decision.reason == "no face was good enough to judge: too small in 2 of 2"


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


def test_a_target_of_false_positives_takes_the_detectors_threshold_for_it() -> None:
    strict = Policy("strict", 1, target_false_positives=0.05, authentic_below=0.1)
    decision = decided(steady(0.4), [replace(SCREEN, thresholds={"0.05": 0.3, "0.01": 0.9})], strict)
    assert decision.label is Label.MANIPULATED
    assert decision.axes[0].threshold == pytest.approx(0.3)
    assert decision.axes[0].detectors[0].threshold == 0.3
    assert decision.thresholds == {
        "policy.authentic_below": 0.1,
        "axis.manipulation": pytest.approx(0.3),
        "detector.screen-a@0.05": 0.3,
    }


def test_a_target_that_a_detector_has_no_threshold_for_takes_its_default_and_says_so() -> None:
    strict = Policy("strict", 1, target_false_positives=0.02)
    decision = decided(steady(0.6), [replace(SCREEN, thresholds={"0.01": 0.9})], strict)
    assert decision.label is Label.MANIPULATED
    assert decision.thresholds["detector.screen-a"] == 0.5
    assert not any("@" in source for source in decision.thresholds)


def test_learnt_weights_fuse_the_detectors_that_they_were_learnt_for() -> None:
    fusion = learnt({"screen-a": 0.5, "primary-a": 1.5}, bias=-0.5, threshold=0.7)
    frames = [frame(0, face({"screen-a": 2.0, "primary-a": 1.0}))]
    (axis,) = decide(frames, [SCREEN, PRIMARY], DEFAULT_POLICY, moving=False, coverage=1.0, fusion=fusion).axes
    assert axis.score == pytest.approx(sigmoid(0.5 * 2.0 + 1.5 * 1.0 - 0.5))
    assert axis.threshold == 0.7
    assert {detector.detector: detector.weight for detector in axis.detectors} == {"screen-a": 0.5, "primary-a": 1.5}


def test_a_set_of_detectors_that_nothing_was_learnt_for_is_weighed_by_role() -> None:
    fusion = learnt({"screen-a": 0.5, "primary-a": 1.5}, bias=-5.0, threshold=0.7)
    frames = [frame(0, face({"screen-a": 2.0}))]
    (axis,) = decide(frames, [SCREEN, PRIMARY], DEFAULT_POLICY, moving=False, coverage=1.0, fusion=fusion).axes
    assert axis.score == pytest.approx(sigmoid(2.0))
    assert axis.threshold == pytest.approx(0.5)


def test_a_policy_may_do_without_what_was_learnt() -> None:
    fusion = learnt({"screen-a": 0.1}, bias=-5.0, threshold=0.7)
    plain = Policy("plain", 1, learnt=False)
    decision = decide(steady(0.9), [SCREEN], plain, moving=True, coverage=1.0, fusion=fusion)
    assert decision.score == pytest.approx(0.9)


def test_a_target_takes_the_threshold_of_the_learnt_fusion_for_it() -> None:
    fusion = learnt({"screen-a": 1.0}, bias=0.0, threshold=0.7, thresholds={"0.05": 0.35})
    lax = Policy("lax", 1, target_false_positives=0.05)
    decision = decide(steady(0.4), [SCREEN], lax, moving=True, coverage=1.0, fusion=fusion)
    assert decision.label is Label.MANIPULATED
    assert decision.thresholds["fusion.manipulation@0.05"] == 0.35
    assert decision.thresholds["axis.manipulation"] == 0.35


SEED = Policy(
    "seed",
    1,
    thresholds={Axis.MANIPULATION: 0.5},
    combination=Combination.WEIGHTED,
    parts={Part.DETECTORS: 0.5, Part.ARTIFACTS: 0.3, Part.TEMPORAL: 0.2},
)


def with_artifacts(*scores: float) -> FaceEvidence:
    found = tuple(ArtifactEvidence(f"kind-{number}", score) for number, score in enumerate(scores))
    return replace(face({"screen-a": logit(0.8)}), artifacts=found)


def test_fixed_weights_combine_probabilities_of_detectors_artifacts_and_time() -> None:
    frames = [frame(number, with_artifacts(0.2, 0.4)) for number in range(2)]
    signs = {0: {"one": 0.5, "other": 1.0}}
    decision = decide(frames, [SCREEN], SEED, moving=True, coverage=1.0, signs=signs)
    assert decision.score == pytest.approx(0.5 * 0.8 + 0.3 * 0.3 + 0.2 * 0.75)
    assert decision.thresholds["axis.manipulation"] == 0.5


def test_fixed_weights_of_what_was_not_looked_at_fall_to_the_rest() -> None:
    still = decide([frame(0, with_artifacts(0.3))], [SCREEN], SEED, moving=False, coverage=1.0)
    assert still.score == pytest.approx((0.5 * 0.8 + 0.3 * 0.3) / 0.8)
    assert decided(steady(0.8), policy=SEED).score == pytest.approx(0.8)


def test_fixed_weights_are_for_altered_faces_only() -> None:
    frames = [frame(0, replace(face({"synthetic-a": logit(0.9)}), artifacts=(ArtifactEvidence("kind", 0.0),)))]
    assert decided(frames, [SYNTHETIC], SEED).score == pytest.approx(0.9)


def test_the_gate_that_refused_most_faces_is_named() -> None:
    dark = replace(GOOD, exposure=0.1, usable=False)
    blurred = replace(GOOD, sharpness=0.01, usable=False)
    frames = [frame(0, face(quality=dark)), frame(1, face(quality=blurred)), frame(2, face(quality=blurred))]
    decision = decided(frames)
    assert decision.reason == "no face was good enough to judge: too blurred in 2 of 3"
    assert decision.reason in decision.recommendation.reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size_px": 20.0}, "too small"),
        ({"sharpness": 0.01}, "too blurred"),
        ({"exposure": 0.1}, "too dark or burnt out"),
        ({"frontality": 0.05}, "turned too far away"),
        ({"contrast": 0.01}, "too flat in contrast"),
        ({"noise": 0.9}, "too noisy"),
        ({"occlusion": 0.9}, "covered"),
    ],
)
def test_every_gate_that_refuses_a_face_has_words(changes: dict[str, float], words: str) -> None:
    poor = replace(GOOD, **changes)  # type: ignore[arg-type]  # all of them are numbers
    assert not DEFAULT_GATE.admits(poor)
    assert problems(poor) == (words,)
    assert problems(GOOD) == ()


def test_a_face_that_was_seen_too_briefly_says_so() -> None:
    decision = decided(steady(0.99, count=2), policy=Policy("patient", 1, min_faces=3))
    assert decision.reason == "no face was seen well in 3 frames or more"


def test_a_still_has_enough_evidence_in_one_face() -> None:
    decision = decided(steady(0.99, count=1), policy=Policy("patient", 1, min_faces=3), moving=False)
    assert decision.label is Label.MANIPULATED


def test_a_policy_may_ask_that_a_share_of_the_faces_was_judged_before_media_are_authentic() -> None:
    careful = Policy("careful", 1, min_usable_share=0.5)
    mostly_poor = [*steady(0.05, count=1), frame(5, face(quality=POOR)), frame(6, face(quality=POOR))]
    assert decided(mostly_poor).label is Label.AUTHENTIC
    decision = decided(mostly_poor, policy=careful)
    assert decision.label is Label.INCONCLUSIVE
    assert decision.reason == "only 1 of 3 faces could be judged"
    assert decided([*steady(0.9, count=1), *mostly_poor[1:]], policy=careful).label is Label.MANIPULATED


def test_the_severest_action_of_the_axes_that_speak_is_recommended() -> None:
    art = Policy("art", 1, advice=Advice(synthetic=dict.fromkeys(RiskLevel, RecommendedAction.ALLOW)))
    assert decided(steady(0.99, SYNTHETIC), [SYNTHETIC], art).recommendation.action is RecommendedAction.ALLOW
    both = [frame(number, face({"screen-a": logit(0.9), "synthetic-a": logit(0.99)})) for number in range(4)]
    assert decided(both, [SCREEN, SYNTHETIC], art).recommendation.action is RecommendedAction.BLOCK


def test_a_policy_decides_what_becomes_of_a_recording_held_before_a_camera() -> None:
    frames = [frame(number, face({"screen-a": logit(0.02), "liveness-a": logit(0.99)})) for number in range(4)]
    careful = Policy("careful", 1, advice=Advice(liveness=RecommendedAction.REVIEW))
    decision = decided(frames, [SCREEN, LIVENESS], careful)
    assert (decision.label, decision.recommendation.action) == (Label.AUTHENTIC, RecommendedAction.REVIEW)
    assert "recording" in decision.recommendation.reason
    assert decided(frames, [SCREEN, LIVENESS]).recommendation.action is RecommendedAction.ALLOW


def test_a_recommendation_names_scores_moments_artifacts_and_what_could_not_be_judged() -> None:
    shown = (ArtifactEvidence("blending_boundary", 0.7), ArtifactEvidence("colour", 0.1))
    frames = [
        *(frame(number, replace(face({"screen-a": logit(0.95)}), artifacts=shown)) for number in (1, 2)),
        frame(3, face(quality=POOR)),
    ]
    advice = decided(frames).recommendation
    assert "score 0.95; screen-a 0.95" in advice.reason
    assert advice.checks[0] == "Look at the most suspicious frames at full size, at 1.0 s, 2.0 s."
    assert "Artifacts to look at, no evidence by themselves: blending_boundary 0.70." in advice.checks
    assert "1 of 3 faces could not be judged, 1 of them too small: look at those as well." in advice.checks


def test_a_more_suspicious_track_with_a_higher_threshold_clears_no_other() -> None:
    guarded = replace(SCREEN, threshold=0.95)
    reaches = face({"primary-a": logit(0.6)})
    falls_short = face({"screen-a": logit(0.7)}, track=1, box=RIGHT)
    alone = decided([frame(0, reaches)], [guarded, PRIMARY])
    both = decided([frame(0, reaches, falls_short)], [guarded, PRIMARY])
    assert (alone.label, both.label) == (Label.MANIPULATED, Label.MANIPULATED)
    assert both.score == pytest.approx(0.7)
    assert both.track == 0
    assert decided([frame(0, falls_short)], [guarded, PRIMARY]).label is Label.INCONCLUSIVE


ALL = (SCREEN, PRIMARY, SYNTHETIC, LIVENESS)
policies = st.sampled_from([*load_policies(), DEFAULT_POLICY, SEED])
several = st.lists(st.tuples(logits, logits), min_size=2, max_size=8)


def of_tracks(*values: Sequence[tuple[float, float]]) -> list[FrameEvidence]:
    """Frames in which each track has a face with logits of screen and primary."""
    longest = max(map(len, values))
    return [
        frame(
            number,
            *(
                face({"screen-a": of_track[number][0], "primary-a": of_track[number][1]}, track=track)
                for track, of_track in enumerate(values)
                if number < len(of_track)
            ),
        )
        for number in range(longest)
    ]


@given(first=several, lower=st.floats(0, 5), policy=policies)
def test_a_less_suspicious_track_beside_it_neither_lowers_the_score_nor_clears(
    first: list[tuple[float, float]], lower: float, policy: Policy
) -> None:
    second = [(one - lower, other - lower) for one, other in first]
    alone, both = (decided(frames, ALL, policy) for frames in (of_tracks(first), of_tracks(first, second)))
    assert alone.score is not None
    assert both.score is not None
    assert both.score >= alone.score
    assert (both.label is Label.MANIPULATED) >= (alone.label is Label.MANIPULATED)


@given(values=several, added=logits, name=st.sampled_from(["synthetic-a", "liveness-a"]), policy=policies)
def test_another_axis_neither_lowers_the_score_nor_clears(
    values: list[tuple[float, float]], added: float, name: str, policy: Policy
) -> None:
    frames = of_tracks(values)
    more = [
        replace(each, faces=tuple(replace(one, logits={**one.logits, name: added}) for one in each.faces))
        for each in frames
    ]
    without, with_it = decided(frames, ALL, policy), decided(more, ALL, policy)
    assert without.score is not None
    assert with_it.score is not None
    assert with_it.score >= without.score
    if without.label is Label.MANIPULATED:
        assert with_it.label is Label.MANIPULATED
    if without.label is Label.INCONCLUSIVE:
        assert with_it.label is not Label.AUTHENTIC


@given(values=several, order=st.randoms(use_true_random=False), policy=policies)
def test_the_order_of_frames_changes_no_decision(
    values: list[tuple[float, float]], order: Random, policy: Policy
) -> None:
    frames = of_tracks(values, values[::-1])
    shuffled = list(frames)
    order.shuffle(shuffled)
    assert decided(shuffled, ALL, policy) == decided(frames, ALL, policy)


@given(values=several, policy=policies)
def test_a_label_follows_from_the_bands(values: list[tuple[float, float]], policy: Policy) -> None:
    decision = decided(of_tracks(values), ALL, policy)
    (axis,) = decision.axes
    assert decision.score == axis.score
    if axis.score >= axis.threshold:
        expected = Label.MANIPULATED
    elif axis.score >= policy.authentic_below:
        expected = Label.INCONCLUSIVE
    else:
        expected = Label.AUTHENTIC
    assert decision.label is expected
    assert decision.risk is policy.risk(axis.score)


def test_a_detector_that_answers_with_no_number_leaves_the_question_open() -> None:
    silent = replace(face({"screen-a": logit(0.02)}), unanswered=("primary-a",))
    frames = [frame(number, face({"screen-a": logit(0.02), "primary-a": logit(0.02)})) for number in range(3)]
    decision = decided([*frames, frame(3, silent)], [SCREEN, PRIMARY])
    assert decision.label is Label.INCONCLUSIVE
    assert decision.reason == "primary-a answered 1 face with no number"
    altered = [frame(number, face({"screen-a": logit(0.99), "primary-a": logit(0.99)})) for number in range(3)]
    assert decided([*altered, frame(3, silent)], [SCREEN, PRIMARY]).label is Label.MANIPULATED


def test_a_frame_in_which_faces_could_not_be_looked_for_leaves_the_question_open() -> None:
    frames = [frame(number, face({"screen-a": logit(0.02)})) for number in range(3)]
    blind = replace(frame(3), unseen="centerface")
    decision = decided([*frames, blind], [SCREEN])
    assert (decision.label, decision.reason) == (Label.INCONCLUSIVE, "centerface answered 1 frame with no number")
    alone = decided([blind, replace(blind, pts_ms=4000)], [SCREEN])
    assert (alone.label, alone.score) == (Label.INCONCLUSIVE, None)
    assert alone.reason == "centerface answered 2 frames with no number"


def test_where_no_detector_answered_with_a_number_that_is_the_reason() -> None:
    frames = [frame(number, replace(face({}), unanswered=("screen-a",))) for number in range(4)]
    decision = decided(frames, [SCREEN])
    assert (decision.label, decision.score) == (Label.INCONCLUSIVE, None)
    assert decision.reason == "screen-a answered 4 faces with no number"
