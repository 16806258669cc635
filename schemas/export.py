"""The events as JSON Schema (2020-12), for those who speak the topics without our code."""

import ast
import inspect
from collections.abc import Mapping
from enum import Enum
from itertools import pairwise
from textwrap import dedent

import orjson
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from schemas.catalogue import EVENTS
from schemas.event import Event

_MEANINGS = "meanings"


def file_name(event: type[Event]) -> str:
    """Return the name of the file that the schema of an event is kept in."""
    return f"{event.schema_name}.v{event.schema_version}.json"


def json_schema(event: type[Event]) -> dict[str, object]:
    """Return the JSON Schema of an event's current version, as a producer has to meet it."""
    generated = event.model_json_schema(mode="validation", schema_generator=_Generator)
    return {
        "$schema": _Generator.schema_dialect,
        # A name and not an address: the schema is a file of this repository, served by nobody.
        "$id": f"urn:deepfake-fleet:schema:{event.schema_name}:{event.schema_version}",
        **generated,
        "title": event.__name__,
    }


def documents() -> Mapping[str, bytes]:
    """Return the files of all events by name; equal models give equal bytes."""
    return {
        file_name(event): orjson.dumps(json_schema(event), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        for event in EVENTS.values()
    }


class _Generator(GenerateJsonSchema):
    """Fields are titled by their names alone, and the members of an enumeration are described."""

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        document = super().generate(schema, mode)
        for definition in document.get("$defs", {}).values():
            meanings = definition.pop(_MEANINGS, {})
            for value in definition.get("enum", ()):
                if value in meanings:
                    definition["description"] += f"\n\n`{value}`: {meanings[value]}"
        return document

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        # Set aside: pydantic puts the description of the enumeration in afterwards.
        return super().enum_schema(schema) | {_MEANINGS: member_docstrings(schema["cls"])}

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False


def member_docstrings(enumeration: type[Enum]) -> Mapping[str, str]:
    """Return the docstrings under the members of an enumeration, by the members' values."""
    body = [
        statement
        for definition in ast.parse(dedent(inspect.getsource(enumeration))).body
        if isinstance(definition, ast.ClassDef)
        for statement in definition.body
    ]
    return {
        str(enumeration[target.id].value): inspect.cleandoc(docstring)
        for statement, following in pairwise(body)
        if isinstance(statement, ast.Assign) and isinstance(following, ast.Expr)
        for target in statement.targets
        if isinstance(target, ast.Name)
        and isinstance(following.value, ast.Constant)
        and isinstance(docstring := following.value.value, str)
    }
