import json
from enum import StrEnum

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from schemas.catalogue import EVENTS
from schemas.event import Event
from schemas.examples import EXAMPLES, UPLOAD
from schemas.export import documents, file_name, json_schema, member_docstrings


class Shade(StrEnum):
    """A made-up enumeration."""

    LIGHT = "light"
    """Easy on the eyes."""
    DARK = "dark"


def validator(event: type[Event]) -> Draft202012Validator:
    return Draft202012Validator(json_schema(event), format_checker=FormatChecker())


def test_there_is_a_file_for_every_event_and_version() -> None:
    assert documents().keys() == {f"{name}.v{event.schema_version}.json" for name, event in EVENTS.items()}


def test_generating_again_gives_the_same_bytes() -> None:
    assert documents() == documents()


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_a_schema_is_json_schema_of_2020_12_with_an_id_of_its_own(event: type[Event]) -> None:
    schema = json.loads(documents()[file_name(event)])
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:deepfake-fleet:schema:{event.schema_name}:{event.schema_version}"
    assert schema["title"] == event.__name__


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_every_field_of_every_part_says_what_it_means(event: type[Event]) -> None:
    schema = json.loads(documents()[file_name(event)])
    parts = {event.__name__: schema, **schema.get("$defs", {})}
    silent = [
        f"{name}.{field}"
        for name, part in parts.items()
        for field, described in part.get("properties", {}).items()
        # pydantic leaves a field's text out where it repeats that of the part it refers to.
        if not described.get("description") and "$ref" not in described
    ]
    assert silent == []
    assert all(part.get("description") for part in parts.values())


@pytest.mark.parametrize("event", EXAMPLES.values(), ids=EXAMPLES)
def test_what_the_fleet_writes_meets_the_schema(event: Event) -> None:
    validator(type(event)).validate(event.model_dump(mode="json"))


def test_what_the_fleet_refuses_does_not_meet_the_schema() -> None:
    written = UPLOAD.model_dump(mode="json")
    schema = validator(type(UPLOAD))
    for wrong in (
        {"surprise": 1},
        {"content_id": ""},
        {"content_id": "a\x1fb"},
        {"priority": "at once"},
        {"media": {"uri": "photo.jpg"}},
        {"options": {"sample_rate_fps": 0}},
    ):
        with pytest.raises(ValidationError):
            schema.validate(written | wrong)
    del written["media"]
    with pytest.raises(ValidationError, match="'media' is a required property"):
        schema.validate(written)


def test_a_field_with_a_default_need_not_be_written() -> None:
    assert sorted(json.loads(documents()["media-upload.v1.json"])["required"]) == [
        "content_id",
        "media",
        "uploaded_at",
        "uploader_id",
    ]


def test_the_members_of_an_enumeration_are_described_where_they_describe_themselves() -> None:
    assert member_docstrings(Shade) == {"light": "Easy on the eyes."}
    outcome = json.loads(documents()["verdict.v1.json"])["$defs"]["Outcome"]
    assert "`no_face`: The media was read and shows no face." in outcome["description"]
