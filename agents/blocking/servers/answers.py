"""Reading JSON answers of live servers: what is not as documented is a typed error."""

from agents.blocking.exceptions import AnswerUnexpected, QuestionMalformed
from agents.blocking.names import publish_name


def object_in(document: object, where: str) -> dict[str, object]:
    """Return a JSON object.

    Raises:
        AnswerUnexpected: it is something else.
    """
    if not isinstance(document, dict):
        raise AnswerUnexpected(f"{where}: no JSON object")
    return document


def list_in(document: object, name: str, where: str) -> list[dict[str, object]]:
    """Return the objects of a list in an object.

    Raises:
        AnswerUnexpected: there is no such list, or of something else.
    """
    found = object_in(document, where).get(name)
    if not isinstance(found, list):
        raise AnswerUnexpected(f"{where}: no list {name!r}")
    return [object_in(each, f"{where}: {name}") for each in found]


def text_in(document: dict[str, object], name: str) -> str:
    """Return a text of an object, or nothing."""
    found = document.get(name)
    return found if isinstance(found, str) else ""


def is_named(path: str, *parts: str) -> bool:
    """Tell whether parts of a name are those of a stream."""
    try:
        return publish_name(*parts) == path
    except QuestionMalformed:
        return False


def asked_text(document: object, name: str, kind: str) -> str:
    """Return a text that a question must have.

    Raises:
        QuestionMalformed: it has not.
    """
    found = document.get(name) if isinstance(document, dict) else None
    if not isinstance(found, str):
        raise QuestionMalformed(f"no text {name!r} of {kind}")
    return found
