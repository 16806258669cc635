"""What every live server can be asked, and what every one asks."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

_T = TypeVar("_T")


class LiveServer(Protocol):
    """A live server, or several that are one name, by their HTTP interface. For one event loop.

    Paths are names as `agents.blocking.names.publish_name` gives them.
    """

    async def kick(self, path: str) -> int:
        """Throw out whoever publishes under a name; return how many that were.

        Raises:
            LiveServerAway: it does not answer.
            LiveServerRefused: it does not let us.
            AnswerUnexpected: its answer is not as documented.
        """

    async def publishing(self, path: str) -> bool:
        """Tell whether somebody publishes under a name.

        Raises:
            LiveServerAway: it does not answer.
            LiveServerRefused: it does not let us.
            AnswerUnexpected: its answer is not as documented.
        """


async def kicked_by_all(kicks: Iterable[Awaitable[int]]) -> int:
    """Wait for kicks at several places and return their sum; one that fails keeps no other from being done.

    Raises:
        BlockingError: of the first that failed, when all are through.
    """
    counts = await asyncio.gather(*kicks, return_exceptions=True)
    return sum(_value(count) for count in counts)


async def found_by_any(answers: Iterable[Awaitable[bool]]) -> bool:
    """Wait for answers of several places and tell whether one is yes; a yes counts, whatever else has failed.

    Raises:
        BlockingError: of the first that failed, where none says yes: nobody knows then.
    """
    found = await asyncio.gather(*answers, return_exceptions=True)
    return True in found or any(_value(each) for each in found)


def _value(result: _T | BaseException) -> _T:
    if isinstance(result, BaseException):
        raise result
    return result


@dataclass(frozen=True, slots=True)
class Question:
    """What a live server sends to the door.

    Attributes:
        query: of the URL.
        form: fields of an `application/x-www-form-urlencoded` body; empty for another one.
        document: a JSON body's object; empty for another one.
    """

    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publishing:
    """Somebody wants to publish, or goes on publishing.

    Attributes:
        path: the name, as `agents.blocking.names.publish_name` gives it.
        client: who, as the server names them; for logs.
    """

    path: str
    client: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the door says to a live server: HTTP status, body and its type."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"


class Manners(Protocol):
    """How servers of one kind ask at the door, and how they want to be answered."""

    def read(self, question: Question) -> Publishing | None:
        """Return who wants to publish; none where something else is asked, which is not ours to deny.

        Raises:
            QuestionMalformed: it is no question of such a server.
        """

    def allow(self) -> Answer:
        """Return the answer that lets somebody in."""

    def deny(self, reason: str) -> Answer:
        """Return the answer that keeps somebody out."""
