"""Messages as the runtime hands them to agents and takes them back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from agents.runtime.exceptions import Reject
from schemas.event import Event
from topics.catalogue import Topic
from topics.exceptions import MessageInvalid
from topics.serialisation import decode

_Event = TypeVar("_Event", bound=Event)


class Partition(NamedTuple):
    """A partition of a topic, by its full name."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Incoming:
    """A message that was read. Two are never equal: each is handled on its own."""

    topic: Topic
    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]
    timestamp_ms: int
    """The broker's or producer's time, milliseconds since 1970; 0 where there is none."""

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        headers = sum(len(name) + len(value) for name, value in self.headers.items())
        return len(self.key or b"") + len(self.value or b"") + headers

    def event(self, schema: type[_Event]) -> _Event:
        """Return the event that it carries.

        Raises:
            Reject: it carries no such event.
        """
        try:
            return decode(schema, self.value, self.headers)
        except MessageInvalid as error:
            raise Reject(error.reason, str(error)) from error


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event to publish."""

    topic: Topic
    event: Event


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What came of a message."""

    outputs: tuple[Outgoing, ...] = ()
    after: Callable[[], None] = _nothing
    """Called when the broker has taken every output, before the message counts as done. May raise
    Unavailable, and is then called again."""
