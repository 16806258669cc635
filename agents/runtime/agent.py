"""What an agent is: what it consumes, one function from messages to results, what it needs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from agents.runtime.exceptions import AgentStopped
from agents.runtime.health import Health
from agents.runtime.messages import Handled, Incoming, Partition
from topics.catalogue import Topic


@dataclass(frozen=True, slots=True)
class Shedding:
    """For messages that are worth little when they are old: of what cannot be handled in time, some are let go.

    A queue that holds more than `max_delay_s` of work loses the oldest message of the key that has most waiting, again
    and again, and keys are handled in turn (`agents.runtime.queues.Fair`): no key starves another, whatever each sends.
    What is let go counts as done, and is counted.
    """

    max_delay_s: float
    """How long a message may wait, by the pace at which they were handled last, seconds."""
    least: int = 1
    """Messages that may wait whatever the pace."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Topics that wait in one queue. Lanes are listed most urgent first."""

    topics: tuple[Topic, ...]
    max_messages: int
    """Messages in flight at which the lane pauses; it resumes at half of it."""
    share: float = 0.0
    """The share of turns, 0 to 1, that the lane is given even while more urgent ones have work."""
    shedding: Shedding | None = None
    """None keeps every message."""


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How many messages a handler is given at once."""

    max_messages: int
    max_delay_s: float
    """How long the first message waits for others, seconds."""


ONE_BY_ONE = BatchPolicy(max_messages=1, max_delay_s=0.0)


class Agent(ABC):
    """A consumer of the data plane.

    The runtime calls `open` once, then `handle` from `concurrency` threads, then `close` once, when no handler
    runs any more or none is waited for any longer. Handling a message again must have the same effect as
    handling it once.
    """

    name: ClassVar[str]
    """Also the consumer group's name, after the prefix."""
    produces: ClassVar[tuple[Topic, ...]] = ()
    """The topics of its outputs."""
    batch: BatchPolicy = ONE_BY_ONE
    concurrency: int = 1

    @property
    @abstractmethod
    def lanes(self) -> Sequence[Lane]:
        """What it consumes, most urgent lane first."""

    def watched(self, health: Health, failed: Callable[[AgentStopped], None]) -> None:  # noqa: B027
        """Learn, before `open`, whom to tell what is away and that the agent cannot go on.

        For an agent with threads of its own; what `handle` raises is told anyhow.
        """

    def documents(self) -> Mapping[str, Callable[[], object]]:
        """Return what its health endpoint answers with beside health and metrics: by path, what is made JSON of.

        Called from threads of the endpoint, at any time after the construction.
        """
        return {}

    def open(self) -> None:  # noqa: B027  (an agent may need nothing)
        """Connect and load. A typed error here ends the process before it joins the group."""

    @abstractmethod
    def handle(self, batch: Sequence[Incoming]) -> Sequence[Handled]:
        """Return what came of each message, in their order. Must be safe to call from several threads.

        Raises:
            Reject: a message can never be handled. A batch is then halved until it stands alone.
            Unavailable: something is away; the same batch is given again later.
        """

    def buried(self, message: Incoming) -> None:  # noqa: B027
        """Note that a message has become a dead letter, for an agent that keeps its own offsets."""

    def positions(self, partitions: Sequence[Partition], cluster_id: str) -> Mapping[Partition, int]:  # noqa: ARG002
        """Return the offsets to start from, for an agent that keeps its own; others go by the group's."""
        return {}

    def close(self) -> None:  # noqa: B027
        """Let go of everything. Also called when `open` failed half-way."""
