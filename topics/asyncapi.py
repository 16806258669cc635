"""The topics as one AsyncAPI 3.0 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0)."""

from collections.abc import Iterable, Iterator

import orjson

from schemas.catalogue import EVENTS
from schemas.event import Event
from schemas.examples import EXAMPLES
from schemas.export import file_name
from topics.catalogue import TOPICS, Topic
from topics.headers import DEAD_LETTER_HEADERS, EVENT_HEADERS, FRAME_HEADERS, TRACEPARENT, Header
from topics.serialisation import encode

FILE_NAME = "asyncapi.json"

AGENTS = ("uploads", "segments", "streams", "frames", "sink", "hooks", "reviews", "control")
"""The parties of the catalogue that are the fleet's own; what others do is not this application's operation."""

_VERSION = "1.0.0"
"""Of the topics and messages as a whole; raised with the first number when a consumer has to change."""
_KAFKA_BINDING = "0.5.0"
_FRAME = "frame"
_DEAD_LETTER = "dead-letter"

Json = dict[str, object]


def document() -> Json:
    """Return the document; payloads refer to the JSON Schema files beside it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Deepfake Fleet",
            "version": _VERSION,
            "description": "Media events in, verdicts and alerts out. Every topic name, and every group's, may "
            "have a prefix (`kafka.topic_prefix`).",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "fleet": {
                "host": "{bootstrap_servers}",
                "protocol": "kafka",
                "description": "Apache Kafka.",
                "variables": {
                    "bootstrap_servers": {
                        "default": "localhost:9092",
                        "description": "`kafka.bootstrap_servers`.",
                    }
                },
            }
        },
        "channels": {topic.name: _channel(topic, message) for topic, message in channels()},
        "operations": dict(_operations()),
        "components": {"messages": _messages()},
    }


def encoded() -> bytes:
    """Return the document as it is written; equal catalogues give equal bytes."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def channels() -> Iterator[tuple[Topic, str]]:
    """Yield every topic, companions included, with the name of the message that it carries."""
    for topic in TOPICS:
        message = _FRAME if topic.schema is None else topic.schema.schema_name
        yield topic, message
        for companion in topic.companions():
            yield companion, _DEAD_LETTER if companion.name == topic.dead_letter_name else message


def producers(topic: Topic) -> tuple[str, ...]:
    """Return the agents that write a topic."""
    named = {party.strip() for party in topic.produced_by.split(",")}
    return tuple(agent for agent in AGENTS if agent in named)


def consumers(topic: Topic) -> tuple[str, ...]:
    """Return the agents that read a topic."""
    return tuple(agent for agent in AGENTS if agent in topic.consumed_by)


def _channel(topic: Topic, message: str) -> Json:
    return {
        "address": topic.name,
        "summary": topic.summary,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": _configuration(topic),
                "bindingVersion": _KAFKA_BINDING,
            }
        },
    }


def _configuration(topic: Topic) -> Json:
    """Return the topic's settings with the types that the binding asks for."""
    return {name: [value] if name == "cleanup.policy" else int(value) for name, value in topic.configuration.items()}


def _operations() -> Iterator[tuple[str, Json]]:
    for topic, message in channels():
        for action, agents in (("receive", consumers(topic)), ("send", producers(topic))):
            for agent in agents:
                yield f"{agent}.{action}.{topic.name}", _operation(topic, message, action, agent)


def _operation(topic: Topic, message: str, action: str, agent: str) -> Json:
    channel = f"#/channels/{topic.name}"
    operation: Json = {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{message}"}],
        "tags": [{"name": agent}],
    }
    if action == "receive":
        group: Json = {"type": "string", "const": agent}
        operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": _KAFKA_BINDING}}
    return operation


def _messages() -> Json:
    keys = {topic.schema: topic.key for topic in TOPICS}
    return {
        **{event.schema_name: _event(event, keys[event]) for event in EVENTS.values()},
        _FRAME: _frame(keys[None]),
        _DEAD_LETTER: _dead_letter(),
    }


def _event(event: type[Event], key: str) -> Json:
    message = encode(EXAMPLES[event.schema_name], TRACEPARENT.example)
    return {
        "name": event.schema_name,
        "title": event.__name__,
        "summary": (event.__doc__ or "").partition("\n")[0],
        "contentType": "application/json",
        "headers": _headers(EVENT_HEADERS),
        "payload": {"$ref": f"./{file_name(event)}"},
        "bindings": _key(key),
        "examples": [
            {
                "headers": {name: value.decode() for name, value in message.headers.items()},
                "payload": orjson.loads(message.value),
            }
        ],
    }


def _frame(key: str) -> Json:
    return {
        "name": _FRAME,
        "title": "Frame",
        "summary": "A frame of a live stream: the value is the encoded still itself.",
        "contentType": "image/jpeg",
        "headers": _headers(FRAME_HEADERS),
        "payload": {"type": "string", "format": "binary", "description": "The bytes of the still."},
        "bindings": _key(key),
        "examples": [{"headers": {header.name: header.example for header in FRAME_HEADERS}}],
    }


def _dead_letter() -> Json:
    return {
        "name": _DEAD_LETTER,
        "title": "DeadLetter",
        "summary": "A message that could not be handled: key, value and headers as they came, and why.",
        "contentType": "application/octet-stream",
        "headers": _headers(DEAD_LETTER_HEADERS),
        "payload": {"description": "The value as it came: it may be of no schema at all."},
        "bindings": _key("as it came"),
        "examples": [{"headers": {header.name: header.example for header in DEAD_LETTER_HEADERS}}],
    }


def _headers(headers: Iterable[Header]) -> Json:
    return {
        "type": "object",
        "properties": {
            header.name: {"type": "string", "description": header.meaning}
            | ({} if header.pattern is None else {"pattern": header.pattern})
            for header in headers
        },
    }


def _key(meaning: str) -> Json:
    return {"kafka": {"key": {"type": "string", "description": meaning}, "bindingVersion": _KAFKA_BINDING}}
