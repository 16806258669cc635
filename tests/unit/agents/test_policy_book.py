"""Whose uploads are decided by which policy, and what a worker does with a policy that it does not have."""

from pathlib import Path
from typing import cast

import pytest

from agents.policies import PolicyBook, policy_book
from agents.runtime.exceptions import Reject
from agents.runtime.metrics import Metrics
from agents.scorer import Scorer
from agents.segments import Segments
from agents.settings import PoliciesSettings, Settings
from models.exceptions import PolicyError, PolicyUnknown
from models.policy import DEFAULT_POLICY, Policy
from schemas.examples import SEGMENT
from schemas.media import ContentType
from tests.unit.runtime.messages import incoming
from topics.catalogue import SEGMENTS

NEWS = Policy("news", 1)
NEWER = Policy("news", 2)
ART = Policy("art", 1)
BOOK = PolicyBook(
    (DEFAULT_POLICY, NEWER, NEWS, ART),
    tenants={"paper": "news", "gallery": {ContentType.IMAGE: "art"}},
)
MORE = """policies:
  - {name: %s, version: %d, description: More., combination: {kind: calibrated}, authentic_below: 0.1}
"""


@pytest.mark.parametrize("kind", [*ContentType, None])
def test_a_tenant_without_a_policy_has_the_default(kind: ContentType | None) -> None:
    assert BOOK.for_content("somebody", kind) is DEFAULT_POLICY


@pytest.mark.parametrize("kind", [*ContentType, None])
def test_a_tenant_may_have_one_policy_for_everything_in_its_newest_version(kind: ContentType | None) -> None:
    assert BOOK.for_content("paper", kind) is NEWER


def test_a_tenant_may_have_a_policy_for_one_kind_of_content() -> None:
    assert BOOK.for_content("gallery", ContentType.IMAGE) is ART
    assert BOOK.for_content("gallery", ContentType.VIDEO) is DEFAULT_POLICY
    assert BOOK.for_content("gallery", None) is DEFAULT_POLICY


def test_segments_in_flight_find_the_version_that_they_were_planned_with() -> None:
    assert BOOK.find("news/1") is NEWS
    assert BOOK.find("news/2") is NEWER


@pytest.mark.parametrize("reference", ["news/3", "strict/1", "news", ""])
def test_an_unknown_reference_is_an_error_that_says_what_to_deploy(reference: str) -> None:
    with pytest.raises(PolicyUnknown, match=r"deploy it .* holds") as raised:
        BOOK.find(reference)
    assert reference in str(raised.value)
    assert "art/1, default/2, news/1, news/2" in str(raised.value)


def test_who_uses_a_policy_is_told() -> None:
    assert BOOK.users("news") == ("paper",)
    assert BOOK.users("art") == ("gallery (image)",)
    assert BOOK.users("default") == ("every other tenant",)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"default": "nope"}, "policies.default"),
        ({"tenants": {"paper": "nope"}}, "policies.tenants.paper.image"),
        ({"tenants": {"paper": {"video": "nope"}}}, "policies.tenants.paper.video"),
    ],
)
def test_a_setting_that_names_no_policy_is_an_error_that_names_it(settings: dict[str, object], field: str) -> None:
    with pytest.raises(
        PolicyUnknown, match="there are default, lenient, live-block, live-observe, seed, strict"
    ) as raised:
        policy_book(PoliciesSettings.model_validate(settings))
    assert (raised.value.entry, raised.value.field) == ("nope", field)


def test_a_file_adds_policies_and_newer_versions_of_the_own_ones(tmp_path: Path) -> None:
    path = tmp_path / "more.yaml"
    path.write_text(MORE % ("default", 99))
    book = policy_book(PoliciesSettings(file=path))
    assert book.for_content("anybody", ContentType.IMAGE).reference == "default/99"
    assert book.find("default/2") == DEFAULT_POLICY


def test_a_file_does_not_change_what_a_version_of_the_fleet_s_own_means(tmp_path: Path) -> None:
    path = tmp_path / "more.yaml"
    path.write_text(MORE % ("default", 2))
    with pytest.raises(PolicyError, match="is one of the fleet's own") as raised:
        policy_book(PoliciesSettings(file=path))
    assert (raised.value.entry, raised.value.field) == ("default", "version")


def test_a_segment_of_an_unknown_policy_is_a_dead_letter_and_no_other_policy_decides() -> None:
    # It is refused before anything is asked: neither Redis nor a model is needed.
    agent = Segments(Settings(), cast("Scorer", object()), Metrics())
    planned = SEGMENT.model_copy(update={"policy": "news/7"})
    with pytest.raises(Reject, match=r"news: version: this worker has no 7.*deploy it") as raised:
        agent.handle([incoming(topic=SEGMENTS, value=planned.model_dump_json().encode())])
    assert raised.value.reason == "policy_unknown"
