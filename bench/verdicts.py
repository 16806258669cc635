"""Verdicts as a plain consumer reads them, with the moment that each came."""

from collections.abc import Collection
from dataclasses import dataclass
from time import perf_counter
from typing import Self

from confluent_kafka import Consumer, TopicPartition

from agents.runtime.clients import connection
from agents.runtime.deadline import Deadline
from schemas.verdict import Verdict
from tests.support.fleet import Fleet, Waiting
from topics.catalogue import VERDICTS

_FETCH_WAIT_MS = 10
"""The embedded broker answers a fetch when this is over, not when a message comes: it bounds what the reader adds."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A verdict and when it was read, by `perf_counter`."""

    verdict: Verdict
    at: float


class VerdictReader:
    """Reads a fleet's verdicts from now on, without a group. A context manager."""

    def __init__(self, fleet: Fleet) -> None:
        configuration = connection(fleet.settings.kafka) | {
            "group.id": f"{fleet.name}-bench",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": _FETCH_WAIT_MS,
        }
        self._consumer = Consumer(configuration)
        partitions = next(topic.partitions for topic in fleet.topics if topic.name == VERDICTS.name)
        self._consumer.assign([TopicPartition(fleet.full(VERDICTS), number, 0) for number in range(partitions)])
        self._consumer.poll(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def await_contents(self, names: Collection[str], timeout_s: float = 120.0) -> dict[str, Arrived]:
        """Return the verdicts on these contents by content id; others are passed over.

        Raises:
            Waiting: one did not come.
        """
        missing, found = set(names), dict[str, Arrived]()
        deadline = Deadline.after(timeout_s)
        while missing:
            message = self._consumer.poll(0.1)
            at = perf_counter()
            if message is not None and message.error() is None:
                verdict = Verdict.model_validate_json(message.value() or b"")
                if verdict.content_id in missing:
                    missing.remove(verdict.content_id)
                    found[verdict.content_id] = Arrived(verdict, at)
            if missing and deadline.expired:
                raise Waiting(f"waited {timeout_s:.0f} s for verdicts on {sorted(missing)}")
        return found
