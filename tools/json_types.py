"""JSON Schema in words, for the generated pages."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

from schemas.event import PRINTABLE

JsonSchema = Mapping[str, object]

REQUIRED = "required"

_FORMATS = {
    "date-time": "date-time (RFC 3339 with a time zone)",
    "uuid": "UUID",
    "path": "path",
    "password": "secret string",
}


_PATTERNS = {PRINTABLE: "without control characters"}


def fields_of(schema: JsonSchema) -> Mapping[str, JsonSchema]:
    """Return the fields of an object schema by name; none for other schemas."""
    return cast("Mapping[str, JsonSchema]", schema.get("properties", {}))


def definitions_of(schema: JsonSchema) -> Mapping[str, JsonSchema]:
    """Return the named parts of a schema."""
    return cast("Mapping[str, JsonSchema]", schema.get("$defs", {}))


def description_of(schema: JsonSchema) -> str:
    """Return what a schema says of itself, as one line."""
    return " ".join(str(schema.get("description", "")).split())


def default_of(parent: JsonSchema, name: str) -> str:
    """Return `required`, or the default of a field as JSON."""
    if name in cast("Sequence[str]", parent.get("required", ())):
        return REQUIRED
    return code(fields_of(parent)[name].get("default"))


def code(value: object) -> str:
    """Return a value as JSON in Markdown code, for a cell of a table."""
    return f"`{cell(json.dumps(value, ensure_ascii=False))}`"


def cell(text: str) -> str:
    """Return text that does not end a cell of a Markdown table."""
    return text.replace("|", "\\|")


def type_of(schema: JsonSchema) -> str:
    """Return the type of a value in words; a named part is a link to its heading."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(type_of(choice) for choice in cast("Sequence[JsonSchema]", schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return " or ".join(code(value) for value in values_of(schema))
    return _plain_type_of(schema)


def values_of(schema: JsonSchema) -> Sequence[object]:
    """Return the values that an enumeration or a constant allows."""
    return cast("Sequence[object]", schema.get("enum", [schema.get("const")]))


def _plain_type_of(schema: JsonSchema) -> str:
    kind = str(schema.get("type", "anything"))
    match kind:
        case "array":
            words = f"list of {type_of(cast('JsonSchema', schema.get('items', {})))}"
        case "object":
            words = f"map of string to {type_of(cast('JsonSchema', schema.get('additionalProperties', {})))}"
        case "string":
            words = ", ".join((_FORMATS.get(str(schema.get("format")), "string"), *_limits(schema)))
        case _:
            words = " ".join((kind, *_bounds(schema)))
    return words


def _bounds(schema: JsonSchema) -> list[str]:
    signs = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "to"}
    return [f"{sign} {_number(schema[name])}" for name, sign in signs.items() if name in schema]


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _limits(schema: JsonSchema) -> list[str]:
    limits = []
    if "pattern" in schema:
        pattern = str(schema["pattern"])
        limits.append(_PATTERNS.get(pattern, f"`{cell(pattern)}`"))
    least, most = schema.get("minLength"), schema.get("maxLength")
    if most is not None:
        limits.append(f"{least} to {most} characters" if least else f"at most {most} characters")
    return limits
