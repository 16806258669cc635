"""What is known of a stream, and for how long."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from agents.live.stream import KnownStreams, stream_of
from agents.policies import PolicyBook
from agents.settings import FramesSettings
from models.exceptions import PolicyUnknown
from models.policies import load_policies
from schemas.stream import StreamControl

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
BOOK = PolicyBook(load_policies(), tenants={"acme": "strict"})
SETTINGS = FramesSettings()


def asked(**fields: object) -> StreamControl:
    return StreamControl.model_validate({"stream_id": "show", "command": "update", "at": AT, **fields})


def test_rules_follow_from_the_policy_and_from_what_was_asked() -> None:
    rules = stream_of(asked(buffer_seconds=12, alert_threshold=0.4), BOOK, SETTINGS).rules
    assert (rules.buffer_ms, rules.enter, rules.exit) == (12_000, 0.4, 0.4)
    assert rules.bands == (0.0, 0.5, 0.8, 0.95)
    plain = stream_of(asked(), BOOK, SETTINGS)
    assert (plain.rules.enter, plain.rules.exit, plain.policy.reference) == (0.8, 0.5, "default/2")
    assert stream_of(asked(tenant="acme"), BOOK, SETTINGS).policy.name == "strict"
    assert stream_of(asked(tenant="acme", policy="live-block"), BOOK, SETTINGS).policy.name == "live-block"


class Known:
    """Streams whose look-ups are counted, with a clock that the test turns."""

    def __init__(self, **known: StreamControl) -> None:
        self.known = known
        self.looked: list[list[str]] = []
        self.complaints: list[str] = []
        self.now = 0.0
        self.streams = KnownStreams(self.find, BOOK, SETTINGS, self.complain, lambda: self.now)

    def find(self, names: list[str]) -> Mapping[str, StreamControl]:
        self.looked.append(names)
        return {name: self.known[name] for name in names if name in self.known}

    def complain(self, stream_id: str, error: PolicyUnknown) -> None:
        self.complaints.append(stream_id)


def test_a_stream_is_looked_up_again_only_after_a_while() -> None:
    known = Known(show=asked(tenant="acme"))
    assert known.streams.find(["show", "other"], AT)["show"].asked.tenant == "acme"
    known.streams.find(["show"], AT)
    assert known.looked == [["show", "other"]]
    known.now += SETTINGS.asked_for_s
    known.streams.find(["show"], AT)
    assert known.looked[1:] == [["show"]]


def test_a_stream_of_which_nothing_was_asked_has_the_defaults() -> None:
    stream = Known().streams.find(["alone"], AT)["alone"]
    assert (stream.id, stream.asked.tenant, stream.policy.reference) == ("alone", "default", "default/2")


def test_a_policy_that_is_not_there_is_replaced_by_the_tenants_and_said() -> None:
    known = Known(show=asked(tenant="acme", policy="nope"))
    assert known.streams.find(["show"], AT)["show"].policy.name == "strict"
    assert known.complaints == ["show"]
    with pytest.raises(PolicyUnknown):
        stream_of(asked(policy="nope"), BOOK, SETTINGS)
