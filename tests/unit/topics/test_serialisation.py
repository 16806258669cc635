import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import given, strategies as st

from schemas.catalogue import EVENTS
from schemas.event import Event, Name
from schemas.examples import EXAMPLES, REVIEW, UPLOAD
from schemas.media import MediaUpload
from schemas.moderation import Review
from schemas.verdict import Label
from topics.exceptions import MessageInvalid, NotJson, SchemaUnexpected, SchemaVersionUnsupported
from topics.headers import EVENT_HEADERS
from topics.serialisation import decode, encode

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Greeting(Event):
    """A made-up event in its third version: `text` was `words` once, and `language` is new."""

    schema_name: ClassVar[str] = "greeting"
    schema_version: ClassVar[int] = 3
    upgrades: ClassVar[Mapping[int, Any]] = {
        1: lambda old: {"text": " ".join(old.pop("words")), **old},
        2: lambda old: {"language": "en", "strength": int(old.pop("volume", "1")), **old},
    }

    text: Name
    language: Name
    strength: int = 1

    @property
    def event_id(self) -> str:
        return self.text

    @property
    def key(self) -> str:
        return self.text


def header(version: object, name: str = "greeting") -> dict[str, bytes]:
    return {"schema": f"{name}/{version}".encode()}


def without(event: Event, field: str) -> bytes:
    return orjson.dumps({name: value for name, value in event.model_dump(mode="json").items() if name != field})


@pytest.mark.parametrize("event", EXAMPLES.values(), ids=EXAMPLES)
def test_an_event_comes_back_as_it_was_sent(event: Event) -> None:
    message = encode(event, TRACE)
    assert decode(type(event), message.value, message.headers) == event
    assert message.key == event.key.encode()


@pytest.mark.parametrize("event", EXAMPLES.values(), ids=EXAMPLES)
def test_a_message_says_what_it_is(event: Event) -> None:
    assert encode(event, TRACE).headers == {
        "schema": f"{event.schema_name}/{event.schema_version}".encode(),
        "id": event.event_id.encode(),
        "content-type": b"application/json",
        "traceparent": TRACE.encode(),
    }


def test_the_headers_of_an_event_are_the_documented_ones() -> None:
    assert encode(UPLOAD, TRACE).headers.keys() == {header.name for header in EVENT_HEADERS}


def test_an_event_without_a_trace_carries_none() -> None:
    assert "traceparent" not in encode(UPLOAD).headers


def test_the_same_event_is_the_same_bytes() -> None:
    assert encode(UPLOAD) == encode(UPLOAD.model_copy())


@given(
    note=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=100),
    label=st.sampled_from(Label),
    at=st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_whatever_a_moderator_writes_arrives(note: str, label: Label, at: datetime) -> None:
    review = REVIEW.model_copy(update={"note": note, "label": label, "at": at})
    message = encode(review)
    assert decode(Review, message.value, message.headers) == review


def test_a_message_without_a_schema_header_is_read_as_the_current_version() -> None:
    assert decode(MediaUpload, encode(UPLOAD).value, {}) == UPLOAD


def test_the_previous_version_is_read() -> None:
    greeting = decode(Greeting, b'{"text": "good day", "volume": "7"}', header(2))
    assert greeting == Greeting(text="good day", language="en", strength=7)


def test_an_older_version_is_read_step_by_step() -> None:
    greeting = decode(Greeting, b'{"words": ["good", "day"]}', header(1))
    assert greeting == Greeting(text="good day", language="en")


def test_a_version_that_no_step_leads_on_from_is_refused() -> None:
    with pytest.raises(SchemaVersionUnsupported, match="greeting/0 can no longer be read"):
        decode(Greeting, b"{}", header(0))


def test_a_newer_version_is_refused() -> None:
    with pytest.raises(SchemaVersionUnsupported, match="greeting/4 is newer than 3"):
        decode(Greeting, b"{}", header(4))


@pytest.mark.parametrize("version", ["", "x", "-1", "1.0", "²", "٣", "9" * 5000])
def test_a_version_that_is_no_number_is_refused(version: str) -> None:
    with pytest.raises(SchemaVersionUnsupported) as refused:
        decode(Greeting, b"{}", header(version))
    assert len(str(refused.value)) < 200


def test_another_schema_is_refused_and_named() -> None:
    with pytest.raises(SchemaUnexpected, match="a 'review' where 'greeting' is expected"):
        decode(Greeting, b"{}", header(1, "review"))


def test_a_header_that_is_no_text_is_refused() -> None:
    with pytest.raises(SchemaUnexpected):
        decode(Greeting, b"{}", {"schema": b"\xff\xfe"})


@pytest.mark.parametrize("headers", [{}, header(2)], ids=["current version", "previous version"])
@pytest.mark.parametrize("value", [None, b"", b"{", b"nonsense", b"\xff", b'{"text": "\xff"}'])
def test_what_is_not_json_is_told_apart(value: bytes | None, headers: dict[str, bytes]) -> None:
    with pytest.raises(NotJson):
        decode(Greeting, value, headers)


@pytest.mark.parametrize("headers", [{}, header(2)], ids=["current version", "previous version"])
@pytest.mark.parametrize("value", [b"[]", b"1", b"null", b'"text"'])
def test_json_that_is_no_object_is_refused(value: bytes, headers: dict[str, bytes]) -> None:
    with pytest.raises(MessageInvalid, match="object"):
        decode(Greeting, value, headers)


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_a_missing_field_is_named(event: type[Event]) -> None:
    required = [name for name, field in event.model_fields.items() if field.is_required()]
    for field in required:
        with pytest.raises(MessageInvalid, match=rf"^{field}: Field required$"):
            decode(event, without(EXAMPLES[event.schema_name], field), {})


def test_an_unknown_field_is_named_with_its_place() -> None:
    value = UPLOAD.model_dump(mode="json")
    value["options"]["sample_rate_hz"] = 2
    with pytest.raises(MessageInvalid, match=r"options\.sample_rate_hz: Extra inputs are not permitted"):
        decode(MediaUpload, orjson.dumps(value), {})


def test_of_many_errors_a_few_are_named_and_the_rest_counted() -> None:
    value = UPLOAD.model_dump(mode="json") | {f"surprise{number}": 1 for number in range(8)}
    with pytest.raises(MessageInvalid, match=r"surprise0: .*; surprise4: [^;]*; and 3 more$"):
        decode(MediaUpload, orjson.dumps(value), {})


def test_an_older_value_that_cannot_be_upgraded_names_the_field() -> None:
    with pytest.raises(MessageInvalid, match="not a greeting/1: no field 'words'"):
        decode(Greeting, b'{"text": "good day"}', header(1))


@pytest.mark.parametrize(
    ("event", "value", "headers"),
    [
        (MediaUpload, orjson.dumps(UPLOAD.model_dump(mode="json") | {"priority": "hunter2"}), {}),
        (MediaUpload, orjson.dumps(UPLOAD.model_dump(mode="json") | {"media": {"uri": "hunter2"}}), {}),
        (MediaUpload, orjson.dumps(UPLOAD.model_dump(mode="json") | {"uploaded_at": "hunter2"}), {}),
        (MediaUpload, b'{"content_id": "hunter2", ', {}),
        (MediaUpload, b'["hunter2"]', {}),
        (Greeting, b'{"text": "good day", "volume": "hunter2"}', header(2)),
        (Greeting, b'{"text": "good day", "volume": ["hunter2"]}', header(2)),
    ],
    ids=["choice", "pattern", "moment", "half", "list", "upgrade", "upgrade of another type"],
)
def test_the_text_of_an_error_holds_no_value(event: type[Event], value: bytes, headers: dict[str, bytes]) -> None:
    with pytest.raises(MessageInvalid) as refused:
        decode(event, value, headers)
    assert "hunter2" not in str(refused.value)


def test_even_the_traceback_of_a_refused_value_holds_none_of_it() -> None:
    value = orjson.dumps(UPLOAD.model_dump(mode="json") | {"uploader_id": ["hunter2"]})
    with pytest.raises(MessageInvalid) as refused:
        decode(MediaUpload, value, {})
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


@given(value=st.binary(max_size=200), version=st.text(max_size=8))
def test_bytes_of_any_kind_are_an_event_or_a_typed_error(value: bytes, version: str) -> None:
    with suppress(MessageInvalid):
        decode(Greeting, value, {"schema": b"greeting/" + version.encode()})
