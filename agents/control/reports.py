"""Workers' answers to operators."""

import logging
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime

from confluent_kafka import Producer

from agents.runtime.clients import connection
from agents.settings import Settings
from models.served import Served
from schemas.control import RefusedSwitch, WorkerModel, WorkerReport
from topics.catalogue import WORKERS
from topics.serialisation import encode

_SILENT = logging.getLogger(f"{__name__}.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

REPORT_EVERY_S = 30.0
"""A worker that has said nothing for three times as long is taken for silent."""
_LAST_WORD_S = 2.0


class Reporter:
    """Publishes how a worker serves. What the broker does not take is said again with the next report."""

    def __init__(self, settings: Settings, agent: str, now: Callable[[], datetime]) -> None:
        kafka = settings.kafka
        self._topic = kafka.topic_prefix + WORKERS.name
        self._agent = agent
        self._now = now
        self.worker = settings.runtime.instance or f"{socket.gethostname()}-{os.getpid()}"
        self._started_at = now()
        self._last: WorkerReport | None = None
        self._producer = Producer(
            connection(kafka) | {"message.timeout.ms": 10_000, "queue.buffering.max.messages": 100}, logger=_SILENT
        )

    def tell(self, served: Sequence[Served], refused: Iterable[RefusedSwitch]) -> None:
        """Publish what serves now.

        Args:
            served: the models.
            refused: switches that could not be followed.
        """
        self._publish(
            WorkerReport(
                worker=self.worker,
                agent=self._agent,
                state="serving",
                models=tuple(_reported(each) for each in served),
                refused=tuple(refused),
                started_at=self._started_at,
                at=self._now(),
            )
        )

    def _publish(self, report: WorkerReport) -> None:
        encoded = encode(report)
        self._last = report
        # Full, the queue holds reports that a broker that is away has not taken: the next one says it all.
        with suppress(BufferError):
            self._producer.produce(
                self._topic, value=encoded.value, key=encoded.key, headers=list(encoded.headers.items())
            )
        self._producer.poll(0)

    def close(self) -> None:
        """Say that the worker has ended."""
        if self._last is not None:
            self._publish(self._last.model_copy(update={"state": "ended", "at": self._now()}))
        self._producer.flush(_LAST_WORD_S)


def _reported(served: Served) -> WorkerModel:
    entry = served.entry
    return WorkerModel.model_validate(
        {
            "role": served.wanted.role.value,
            "wanted": served.wanted.name,
            "name": None if entry is None else entry.name,
            "version": "" if entry is None else entry.version,
            "share": served.share,
            "provider": served.provider,
            "reason": served.reason,
            "stands_in": served.stands_in,
        }
    )
