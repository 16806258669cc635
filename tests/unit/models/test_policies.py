"""Files of policies: what is in the fleet's own, and what is refused in any."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from models.exceptions import PolicyError
from models.policies import load_policies, newest
from models.policy import DEFAULT_POLICY, Combination, Part
from schemas.verdict import Axis, RecommendedAction, RiskLevel

PLAIN: dict[str, Any] = {
    "name": "news",
    "version": 1,
    "description": "For a newsroom.",
    "combination": {"kind": "calibrated"},
}
ADVICE: dict[str, Any] = {
    "manipulation": {"low": "review", "medium": "review", "high": "block", "critical": "block"},
    "synthetic": {"low": "allow", "medium": "allow", "high": "review", "critical": "review"},
    "liveness": "review",
    "inconclusive": "allow",
}


def written(folder: Path, *policies: dict[str, Any]) -> Path:
    path = folder / "policies.yaml"
    path.write_text(yaml.safe_dump({"policies": list(policies)}))
    return path


def refused(path: Path) -> PolicyError:
    with pytest.raises(PolicyError) as raised:
        load_policies(path)
    return raised.value


def test_the_newest_default_of_the_file_is_the_one_of_the_code() -> None:
    assert newest(load_policies())["default"] == DEFAULT_POLICY


def test_the_fleet_has_its_own_policies() -> None:
    assert {policy.reference for policy in load_policies()} >= {"default/1", "default/2", "strict/1", "lenient/1"}


def test_an_old_version_stays_and_advises_as_the_newest_does() -> None:
    first = next(policy for policy in load_policies() if policy.reference == "default/1")
    assert not first.learnt
    assert (first.advice, first.risk_bands) == (DEFAULT_POLICY.advice, DEFAULT_POLICY.risk_bands)


def test_the_seed_has_its_fixed_weights_says_what_they_are_worth_and_never_blocks() -> None:
    seed = newest(load_policies())["seed"]
    assert seed.combination is Combination.WEIGHTED
    assert seed.parts == {Part.DETECTORS: 0.5, Part.ARTIFACTS: 0.3, Part.TEMPORAL: 0.2}
    assert "evidence" in seed.description
    actions = {*seed.advice.manipulation.values(), *seed.advice.synthetic.values(), seed.advice.inconclusive}
    assert actions == {RecommendedAction.REVIEW}


def test_strict_flags_more_real_media_than_lenient() -> None:
    policies = newest(load_policies())
    strict, lenient = policies["strict"], policies["lenient"]
    assert strict.target_false_positives is not None
    assert lenient.target_false_positives is not None
    assert strict.target_false_positives > lenient.target_false_positives
    assert strict.authentic_below < lenient.authentic_below
    assert strict.advice.inconclusive is RecommendedAction.REVIEW
    assert lenient.advice.inconclusive is RecommendedAction.ALLOW


def test_what_is_left_out_has_the_defaults(tmp_path: Path) -> None:
    (policy,) = load_policies(written(tmp_path, PLAIN))
    assert policy.reference == "news/1"
    assert policy.role_weights == DEFAULT_POLICY.role_weights
    assert policy.risk_bands == DEFAULT_POLICY.risk_bands
    assert policy.thresholds == {}
    assert policy.target_false_positives is None


def test_everything_that_a_file_says_is_in_force(tmp_path: Path) -> None:
    (policy,) = load_policies(
        written(
            tmp_path,
            PLAIN
            | {
                "combination": {"kind": "calibrated", "learnt": False},
                "thresholds": {"synthetic": 0.8},
                "target_false_positives": 0.01,
                "role_weights": {"screen": 0.5},
                "authentic_below": 0.2,
                "top_share": 0.5,
                "min_faces": 3,
                "min_usable_share": 0.4,
                "full_evidence_faces": 9,
                "risk": {"medium": 0.4, "high": 0.6, "critical": 0.9},
                "advice": ADVICE,
            },
        )
    )
    assert (policy.learnt, policy.thresholds, policy.target_false_positives) == (False, {Axis.SYNTHETIC: 0.8}, 0.01)
    assert policy.role_weights == {"screen": 0.5, "primary": 0.7, "synthetic": 1.0, "liveness": 1.0}
    assert (policy.authentic_below, policy.top_share, policy.min_faces) == (0.2, 0.5, 3)
    assert (policy.min_usable_share, policy.full_evidence_faces) == (0.4, 9)
    assert [policy.risk(score) for score in (0.39, 0.4, 0.6, 0.9)] == list(RiskLevel)
    assert policy.advice.against(Axis.MANIPULATION, RiskLevel.HIGH) is RecommendedAction.BLOCK
    assert policy.advice.against(Axis.SYNTHETIC, RiskLevel.HIGH) is RecommendedAction.REVIEW
    assert policy.advice.liveness is RecommendedAction.REVIEW


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "No Spaces"}, "name"),
        ({"version": 0}, "version"),
        ({"description": ""}, "description"),
        ({"treshold": 0.5}, "treshold"),
        ({"thresholds": {"manipulation": 1.0}}, "thresholds.manipulation"),
        ({"thresholds": {"mood": 0.5}}, "thresholds.mood.[key]"),
        ({"thresholds": {"synthetic": 0.2}}, "thresholds.synthetic"),
        ({"target_false_positives": 0.0}, "target_false_positives"),
        ({"role_weights": {"screen": 0.0}}, "role_weights.screen"),
        ({"role_weights": {"oracle": 1.0}}, "role_weights.oracle.[key]"),
        ({"authentic_below": float("nan")}, "authentic_below"),
        ({"top_share": 0.0}, "top_share"),
        ({"min_faces": 0}, "min_faces"),
        ({"min_usable_share": 1.1}, "min_usable_share"),
        ({"risk": {"medium": 0.5, "high": 0.5, "critical": 0.9}}, "risk"),
        ({"combination": {"kind": "guess"}}, "combination"),
        ({"combination": {"kind": "weighted", "parts": {"artifacts": 1.0}}}, "combination.weighted.parts"),
        ({"combination": {"kind": "weighted", "parts": {"detectors": 0.9}}}, "combination.weighted.parts"),
        ({"advice": ADVICE | {"inconclusive": "block"}}, "advice.inconclusive"),
        ({"advice": ADVICE | {"synthetic": {"low": "allow"}}}, "advice.synthetic"),
        (
            {"advice": ADVICE | {"manipulation": ADVICE["manipulation"] | {"critical": "allow"}}},
            "advice.manipulation",
        ),
    ],
)
def test_a_wrong_value_is_refused_naming_the_policy_and_the_field(
    tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    error = refused(written(tmp_path, PLAIN | {"name": "first"}, PLAIN | changes))
    assert (error.entry, error.field) == (changes.get("name", "news"), field)


def test_advice_must_not_become_milder_as_risk_rises(tmp_path: Path) -> None:
    milder = ADVICE | {"manipulation": ADVICE["manipulation"] | {"critical": "review"}}
    assert "review at critical risk is milder than block at high risk" in str(
        refused(written(tmp_path, PLAIN | {"advice": milder}))
    )


def test_a_version_exists_once(tmp_path: Path) -> None:
    error = refused(written(tmp_path, PLAIN, PLAIN | {"description": "Another."}))
    assert (error.entry, error.field) == ("news", "version")


def test_of_a_name_the_highest_version_is_the_newest(tmp_path: Path) -> None:
    policies = load_policies(written(tmp_path, PLAIN | {"version": 10}, PLAIN | {"version": 9}))
    assert newest(policies)["news"].version == 10


@pytest.mark.parametrize("text", ["policies: [", "policies: []", "- news", "", "policies: {news: 1}"])
def test_a_file_that_is_no_list_of_policies_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    assert "own.yaml" in refused(path).entry


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "missing.yaml").entry.endswith("missing.yaml")


def test_what_follows_of_live_streams_is_read_and_the_rest_has_the_defaults(tmp_path: Path) -> None:
    live = {"action": "block", "block_from": "critical", "block_s": 60, "fail_closed": True}
    (policy,) = load_policies(written(tmp_path, {**PLAIN, "live": live}))
    assert (policy.live.action, policy.live.block_from, policy.live.block_s) == ("block", RiskLevel.CRITICAL, 60)
    assert policy.live.fail_closed
    assert (policy.live.enter, policy.live.exit) == (DEFAULT_POLICY.live.enter, DEFAULT_POLICY.live.exit)


@pytest.mark.parametrize(
    ("live", "field"),
    [
        ({"enter": 0.4}, "live"),
        ({"exit": 0.9}, "live"),
        ({"action": "arrest"}, "live.action"),
        ({"min_faces": 0}, "live.min_faces"),
        ({"block_s": 0}, "live.block_s"),
        ({"blocks": True}, "live.blocks"),
    ],
)
def test_what_cannot_follow_of_live_streams_is_refused_by_name(
    tmp_path: Path, live: dict[str, Any], field: str
) -> None:
    assert refused(written(tmp_path, {**PLAIN, "live": live})).field == field


def test_only_policies_that_say_so_block_live_streams() -> None:
    blocking = {policy.name for policy in load_policies() if policy.live.action == "block"}
    assert blocking == {"live-block"}
