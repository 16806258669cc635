import pytest
from hypothesis import given, strategies as st

from models.policy import AXIS_OF_ROLE, DEFAULT_POLICY, Advice, Policy, rate_key
from schemas.verdict import Axis, RecommendedAction, RiskLevel

ORDER = [RiskLevel.LOW, RiskLevel.MEDIUM, RiskLevel.HIGH, RiskLevel.CRITICAL]


@pytest.mark.parametrize(
    ("score", "risk"),
    [
        (0.0, RiskLevel.LOW),
        (0.4999, RiskLevel.LOW),
        (0.5, RiskLevel.MEDIUM),
        (0.7999, RiskLevel.MEDIUM),
        (0.8, RiskLevel.HIGH),
        (0.9499, RiskLevel.HIGH),
        (0.95, RiskLevel.CRITICAL),
        (1.0, RiskLevel.CRITICAL),
    ],
)
def test_risk_bands_begin_at_one_half_four_fifths_and_ninety_five_hundredths(score: float, risk: RiskLevel) -> None:
    assert DEFAULT_POLICY.risk(score) is risk


@given(one=st.floats(0, 1), other=st.floats(0, 1))
def test_a_higher_score_is_never_a_lower_risk(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert ORDER.index(DEFAULT_POLICY.risk(low)) <= ORDER.index(DEFAULT_POLICY.risk(high))


def test_a_verdict_cites_name_and_version() -> None:
    assert DEFAULT_POLICY.reference == "default/2"
    assert Policy("news", 7).reference == "news/7"


def test_every_role_of_a_detector_has_an_axis_and_a_weight() -> None:
    assert DEFAULT_POLICY.role_weights.keys() == AXIS_OF_ROLE.keys()
    assert set(AXIS_OF_ROLE.values()) == set(Axis)
    assert all(weight > 0 for weight in DEFAULT_POLICY.role_weights.values())


def test_two_policies_do_not_share_their_weights() -> None:
    assert Policy("one", 1).role_weights is not Policy("other", 1).role_weights


def test_two_policies_do_not_share_their_advice() -> None:
    assert Policy("one", 1).advice is not Policy("other", 1).advice


def test_advice_is_by_risk_for_each_deciding_axis() -> None:
    mild = dict.fromkeys(RiskLevel, RecommendedAction.REVIEW)
    advice = Advice(synthetic=mild)
    assert advice.against(Axis.MANIPULATION, RiskLevel.CRITICAL) is RecommendedAction.BLOCK
    assert advice.against(Axis.SYNTHETIC, RiskLevel.CRITICAL) is RecommendedAction.REVIEW


@pytest.mark.parametrize(("rate", "key"), [(0.001, "0.001"), (0.01, "0.01"), (0.05, "0.05"), (0.10, "0.1")])
def test_a_rate_is_named_in_its_shortest_form(rate: float, key: str) -> None:
    assert rate_key(rate) == key
