import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import agents
from agents.runtime import workers
from agents.runtime.dead_letter import dead_letter
from agents.runtime.exceptions import Reject
from schemas.examples import EXAMPLES
from schemas.export import documents
from tests.unit.runtime.messages import incoming
from topics.asyncapi import AGENTS, encoded
from topics.catalogue import TOPICS, all_topics
from topics.exceptions import MessageInvalid
from topics.headers import DEAD_LETTER_HEADERS, DEAD_LETTER_REASONS, EVENT_HEADERS, FRAME_HEADERS

DOCUMENT: dict[str, Any] = json.loads(encoded())
CHANNELS: dict[str, Any] = DOCUMENT["channels"]
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
OPERATIONS: dict[str, Any] = DOCUMENT["operations"]


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolved(reference: str) -> Any:
    file, _, pointer = reference.partition("#")
    found: Any = DOCUMENT if not file else json.loads(documents()[file.removeprefix("./")])
    for step in pointer.split("/")[1:]:
        found = found[step]
    return found


def test_it_is_asyncapi_3_with_what_the_specification_asks_for() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"].keys() >= {"title", "version"}
    assert all(server.keys() >= {"host", "protocol"} for server in DOCUMENT["servers"].values())


def test_generating_again_gives_the_same_bytes() -> None:
    assert encoded() == encoded()


def test_every_reference_leads_somewhere() -> None:
    found = {reference: resolved(reference) for reference in references(DOCUMENT)}
    assert len(found) > 40
    assert all(found.values())


def test_every_topic_is_a_channel() -> None:
    assert {channel["address"] for channel in CHANNELS.values()} == {topic.name for topic in all_topics()}


@pytest.mark.parametrize("topic", all_topics(), ids=lambda topic: topic.name)
def test_a_channel_says_how_the_broker_keeps_it(topic: Any) -> None:
    kafka = CHANNELS[topic.name]["bindings"]["kafka"]
    assert (kafka["topic"], kafka["partitions"]) == (topic.name, topic.partitions)
    assert kafka["topicConfiguration"] == {
        "cleanup.policy": [topic.cleanup],
        "retention.ms": int(topic.configuration["retention.ms"]),
        "max.message.bytes": topic.max_message_bytes,
    }


def test_a_channel_carries_the_event_of_its_topic_and_a_dead_letter_topic_dead_letters() -> None:
    for topic in TOPICS:
        carried = list(CHANNELS[topic.name]["messages"])
        assert carried == ["frame" if topic.schema is None else topic.schema.schema_name]
        if topic.dead_letter:
            assert list(CHANNELS[topic.dead_letter_name]["messages"]) == ["dead-letter"]


def test_an_operation_names_a_channel_and_messages_of_that_channel() -> None:
    for name, operation in OPERATIONS.items():
        channel = operation["channel"]["$ref"]
        assert operation["action"] in {"send", "receive"}, name
        assert operation["messages"], name
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"]), name


def test_every_agent_but_those_to_come_sends_or_receives() -> None:
    acting = {operation["tags"][0]["name"] for operation in OPERATIONS.values()}
    assert acting == set(AGENTS) - {"control"}


def test_an_agent_that_reads_a_topic_writes_its_dead_letters() -> None:
    dead_letters = {topic.name for topic in TOPICS if topic.dead_letter}
    for name in [name for name in OPERATIONS if ".receive." in name]:
        agent, _, topic = name.partition(".receive.")
        if topic in dead_letters:
            assert f"{agent}.send.{topic}.dlq" in OPERATIONS


def test_nobody_outside_the_fleet_has_an_operation() -> None:
    assert "uploads.receive.media.uploads" in OPERATIONS
    assert not [name for name in OPERATIONS if name.endswith(".send.media.uploads")]


def test_the_payload_of_an_event_is_its_json_schema() -> None:
    for name, example in EXAMPLES.items():
        schema = resolved(MESSAGES[name]["payload"]["$ref"])
        assert schema["title"] == type(example).__name__
        for shown in MESSAGES[name]["examples"]:
            Draft202012Validator(schema).validate(shown["payload"])


def test_the_headers_of_every_example_meet_their_patterns() -> None:
    for name, message in MESSAGES.items():
        described = message["headers"]["properties"]
        (shown,) = message["examples"]
        assert shown["headers"].keys() == described.keys(), name
        for header, value in shown["headers"].items():
            assert re.search(described[header].get("pattern", ""), value), f"{name}: {header}"


def test_an_event_carries_schema_id_trace_and_content_type() -> None:
    assert [header.name for header in EVENT_HEADERS] == ["schema", "id", "traceparent", "content-type"]
    assert MESSAGES["verdict"]["headers"]["properties"].keys() == {header.name for header in EVENT_HEADERS}


def test_a_frame_is_binary_and_says_in_headers_what_it_is() -> None:
    frame = MESSAGES["frame"]
    assert frame["payload"]["format"] == "binary"
    assert frame["headers"]["properties"].keys() == {"seq", "pts_ms", "captured_at", "content-type", "traceparent"}
    assert {header.name for header in FRAME_HEADERS} == frame["headers"]["properties"].keys()


def test_the_documented_headers_of_a_dead_letter_are_those_that_the_fleet_writes() -> None:
    written = dead_letter(incoming(headers={}), Reject("not_json", "no"), 1, "uploads")
    assert written.headers.keys() == {header.name for header in DEAD_LETTER_HEADERS}
    assert MESSAGES["dead-letter"]["headers"]["properties"].keys() == written.headers.keys()


def test_the_documented_reasons_of_dead_letters_are_those_that_there_are() -> None:
    errors: list[type[MessageInvalid]] = [MessageInvalid, *MessageInvalid.__subclasses__()]
    typed = {error.reason for error in errors}
    sources = [path.read_text() for path in Path(agents.__file__).parent.rglob("*.py")]
    raised = {reason for source in sources for reason in re.findall(r'Reject\(\s*"([a-z_]+)"', source)}
    assert DEAD_LETTER_REASONS.keys() == typed | raised | {workers._UNEXPECTED}
