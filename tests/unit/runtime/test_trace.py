import re

import pytest
from hypothesis import given, strategies as st

from agents.runtime.trace import traceparent
from tests.unit.runtime.messages import incoming
from topics.catalogue import SEGMENTS

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01".encode()
VALID = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def test_what_follows_a_message_belongs_to_its_trace_with_a_span_of_its_own() -> None:
    version, trace, span, flags = traceparent(incoming(headers={"traceparent": PARENT})).split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != "b7ad6b7169203331"


def test_a_trace_that_is_not_sampled_stays_so() -> None:
    assert traceparent(incoming(headers={"traceparent": PARENT[:-2] + b"00"})).endswith("-00")


@pytest.mark.parametrize("headers", [{}, {"traceparent": PARENT}], ids=["begun here", "carried on"])
def test_a_replay_belongs_to_the_same_trace_and_span(headers: dict[str, bytes]) -> None:
    assert traceparent(incoming(7, headers=headers)) == traceparent(incoming(7, headers=headers))


def test_messages_in_different_places_have_different_spans() -> None:
    places = [incoming(7), incoming(8), incoming(7, partition=1), incoming(7, SEGMENTS)]
    spans = {traceparent(place).split("-")[2] for place in places}
    assert len(spans) == 4


def test_messages_without_a_trace_begin_different_ones() -> None:
    traces = {traceparent(incoming(offset)).split("-")[1] for offset in range(10)}
    assert len(traces) == 10


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"nonsense",
        PARENT.upper(),
        PARENT + b"-more",
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"00-" + TRACE.encode() + b"-" + b"0" * 16 + b"-01",
        b"\xff\xfe",
    ],
)
def test_a_trace_that_w3c_does_not_allow_begins_a_new_one(header: bytes) -> None:
    assert traceparent(incoming(7, headers={"traceparent": header})) == traceparent(incoming(7))


@given(header=st.binary(max_size=60), offset=st.integers(0, 1 << 62))
def test_whatever_comes_in_what_goes_out_is_valid(header: bytes, offset: int) -> None:
    assert VALID.fullmatch(traceparent(incoming(offset, headers={"traceparent": header})))
