"""In which order messages of a lane are handed out, and which of them can best be done without."""

from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Container

from agents.runtime.messages import Incoming, Partition

_REMEMBERED_KEYS = 10_000


class Queue(ABC):
    """Messages that wait in a lane. Not for several threads at once."""

    @abstractmethod
    def __len__(self) -> int:
        """How many wait."""

    @abstractmethod
    def put(self, message: Incoming) -> None:
        """Let a message wait."""

    @abstractmethod
    def take(self) -> Incoming:
        """Take out the message that is handed out next.

        Raises:
            IndexError: none waits.
        """

    @abstractmethod
    def discard(self, partitions: Container[Partition]) -> list[Incoming]:
        """Take out what waits of these partitions, and return it."""


class InOrder(Queue):
    """First in, first out."""

    def __init__(self) -> None:
        self._waiting: deque[Incoming] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def put(self, message: Incoming) -> None:
        """Let a message wait behind the others."""
        self._waiting.append(message)

    def take(self) -> Incoming:
        """Take out the one that has waited longest."""
        return self._waiting.popleft()

    def discard(self, partitions: Container[Partition]) -> list[Incoming]:
        """Take out what waits of these partitions."""
        gone = [message for message in self._waiting if message.partition in partitions]
        self._waiting = deque(message for message in self._waiting if message.partition not in partitions)
        return gone


class Fair(Queue):
    """One message of each key in turn, and of a key first in, first out; what is too much is the longest key's.

    So a key that floods is handled as often as any other, and costs no other one a message: "round robin" with "longest
    queue drop" (J. Nagle, RFC 970; B. Suter et al., "Buffer management schemes for supporting TCP in gigabit routers
    with per-flow queueing", IEEE JSAC 17(6), 1999).
    """

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes | None, deque[Incoming]] = OrderedDict()
        """Keys of which something waits, whose turn is next first."""
        self._waiting = 0
        self._turn_of: OrderedDict[bytes | None, int] = OrderedDict()
        """When a message of each key was handed out last, counted in messages."""
        self._turn = 0

    def __len__(self) -> int:
        """How many wait."""
        return self._waiting

    def put(self, message: Incoming) -> None:
        """Let a message wait behind those of its key, and a new key behind the others."""
        self._keys.setdefault(message.key, deque()).append(message)
        self._waiting += 1

    def take(self) -> Incoming:
        """Take out the oldest message of the key whose turn it is."""
        if not self._keys:
            raise IndexError("nothing waits")
        key = next(iter(self._keys))
        message = self._take(key)
        if key in self._keys:
            self._keys.move_to_end(key)
        self._turn += 1
        self._turn_of[key] = self._turn
        self._turn_of.move_to_end(key)
        if len(self._turn_of) > _REMEMBERED_KEYS:
            self._turn_of.popitem(last=False)
        return message

    def drop(self) -> Incoming:
        """Take out the oldest message of the key that has most waiting; of several the one that was handled last.

        Raises:
            ValueError: none waits.
        """
        # By when it was handled: it would else always be the same one that goes without.
        return self._take(max(self._keys, key=lambda key: (len(self._keys[key]), self._turn_of.get(key, 0))))

    def discard(self, partitions: Container[Partition]) -> list[Incoming]:
        """Take out what waits of these partitions."""
        gone = []
        for key, waiting in list(self._keys.items()):
            kept = deque(message for message in waiting if message.partition not in partitions)
            gone += [message for message in waiting if message.partition in partitions]
            self._keys[key] = kept
            if not kept:
                del self._keys[key]
        self._waiting -= len(gone)
        return gone

    def _take(self, key: bytes | None) -> Incoming:
        waiting = self._keys[key]
        message = waiting.popleft()
        self._waiting -= 1
        if not waiting:
            del self._keys[key]
        return message
