"""Events to message bytes and back. The schema's name and version travel in the `schema` header."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from schemas.event import Event
from topics.exceptions import MessageInvalid, NotJson, SchemaUnexpected, SchemaVersionUnsupported

Headers = Mapping[str, bytes]

_Event = TypeVar("_Event", bound=Event)
_SHOWN_ERRORS = 5
"""How many validation errors an error message names; the rest are counted."""
_SHOWN_CHARACTERS = 64
"""Of a header that is wrong."""
_VERSION = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message as it travels, of whatever kind."""

    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Encoded(RawMessage):
    """An event as it travels."""

    key: bytes
    value: bytes


def schema_header(event: type[Event]) -> str:
    """Return `name/version`, the value of the `schema` header."""
    return f"{event.schema_name}/{event.schema_version}"


def encode(event: Event, traceparent: str | None = None) -> Encoded:
    """Return the message of an event; `traceparent` is W3C Trace Context, handed on as it came."""
    headers = {
        "schema": schema_header(type(event)).encode(),
        "id": event.event_id.encode(),
        "content-type": b"application/json",
    }
    if traceparent is not None:
        headers["traceparent"] = traceparent.encode()
    return Encoded(event.key.encode(), orjson.dumps(event.model_dump(mode="json")), headers)


def decode(event: type[_Event], value: bytes | None, headers: Headers) -> _Event:
    """Return the event of a message.

    A message without a `schema` header is taken for the current version. One of an older version is
    upgraded step by step.

    Raises:
        NotJson: the value is empty or not JSON.
        SchemaUnexpected: the header names another schema.
        SchemaVersionUnsupported: the header's version is newer than this consumer, or too old.
        MessageInvalid: a field is missing, unknown or impossible; the fields are named.
    """
    version = _version(event, headers)
    try:
        if version == event.schema_version:
            return event.model_validate_json(value or b"")
        # As JSON again, and not as Python: dates, UUIDs and enumerations are strings in it.
        return event.model_validate_json(orjson.dumps(_upgraded(event, value, version)))
    except ValidationError as error:
        if error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid":
            raise NotJson(explain(error)) from error
        raise MessageInvalid(explain(error)) from error


def _upgraded(event: type[Event], value: bytes | None, version: int) -> dict[str, Any]:
    try:
        document = orjson.loads(value or b"")
    except orjson.JSONDecodeError as error:
        raise NotJson(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise MessageInvalid(f"a JSON {type(document).__name__}, not an object")
    for step in range(version, event.schema_version):
        upgrade = event.upgrades.get(step)
        if upgrade is None:
            raise SchemaVersionUnsupported(f"{event.schema_name}/{step} can no longer be read")
        try:
            document = upgrade(document)
        except KeyError as error:
            raise MessageInvalid(f"not a {event.schema_name}/{step}: no field {error}") from error
        except (AttributeError, TypeError, ValueError) as error:
            # Without the error's own text, which may cite a value.
            raise MessageInvalid(f"not a {event.schema_name}/{step}: {type(error).__name__}") from error
    upgraded: dict[str, Any] = document
    return upgraded


def _version(event: type[Event], headers: Headers) -> int:
    header = headers.get("schema")
    if header is None:
        return event.schema_version
    name, _, version = header.decode(errors="replace").partition("/")
    if name != event.schema_name:
        raise SchemaUnexpected(f"a {name[:_SHOWN_CHARACTERS]!r} where {event.schema_name!r} is expected")
    if not _VERSION.fullmatch(version):
        raise SchemaVersionUnsupported(f"no version number in {name}/{version[:_SHOWN_CHARACTERS]}")
    if int(version) > event.schema_version:
        raise SchemaVersionUnsupported(
            f"{name}/{version} is newer than {event.schema_version}, the newest that this consumer reads"
        )
    return int(version)


def explain(error: ValidationError) -> str:
    """Return the fields that failed, and why, in one line; never the values, which may be private."""
    problems = error.errors(include_url=False, include_input=False)
    named = "; ".join(
        f"{'.'.join(str(step) for step in problem['loc']) or 'value'}: {problem['msg']}"
        for problem in problems[:_SHOWN_ERRORS]
    )
    rest = len(problems) - _SHOWN_ERRORS
    return f"{named}; and {rest} more" if rest > 0 else named
