"""Producing: what a handler made goes out, and the handler's message is done when all of it arrived."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event as Flag, Lock, Thread

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from agents.runtime.clients import Configuration
from agents.runtime.deadline import Deadline
from agents.runtime.exceptions import DeliveryFailed
from agents.runtime.health import Health
from agents.runtime.metrics import Metrics
from topics.serialisation import RawMessage

_log = logging.getLogger(__name__)

_AWAY = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT)
_POLL_S = 0.05
"""How long the delivery thread waits for reports at a time, seconds."""


@dataclass(frozen=True, slots=True)
class Addressed:
    """A message and the full name of the topic that it goes to."""

    topic: str
    message: RawMessage


class _Delivery:
    """Counts the reports of one handler's messages."""

    def __init__(self, expected: int, done: Callable[[], None]) -> None:
        self._outstanding = expected
        self._done = done
        self._lock = Lock()

    def arrived(self) -> None:
        with self._lock:
            self._outstanding -= 1
            last = self._outstanding == 0
        if last:
            self._done()


class Outbox:
    """An idempotent producer with a thread of its own for delivery reports. Thread-safe."""

    def __init__(
        self,
        configuration: Configuration,
        metrics: Metrics,
        health: Health,
        failed: Callable[[DeliveryFailed], None],
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._failed = failed
        self._producer = Producer({**configuration, "error_cb": self._on_error}, logger=_log)
        self._closing = Flag()
        self._thread = Thread(target=self._poll, name="outbox", daemon=True)
        self._thread.start()

    def send(self, messages: Sequence[Addressed], done: Callable[[], None]) -> None:
        """Produce `messages`; `done` is called once, from the outbox's thread, when all have arrived.

        With nothing to produce it is called at once. Blocks while the local queue is full.

        Raises:
            DeliveryFailed: a message can never be produced (too large).
        """
        if not messages:
            done()
            return
        delivery = _Delivery(len(messages), done)
        for addressed in messages:
            self._produce(addressed, delivery)

    def _produce(self, addressed: Addressed, delivery: _Delivery) -> None:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._health.back("kafka")
                self._metrics.produced.labels(message.topic()).inc()
                delivery.arrived()
            elif error.code() != KafkaError._PURGE_QUEUE:
                self._failed(DeliveryFailed(f"{addressed.topic} refused a message: {error}"))

        encoded = addressed.message
        while True:
            try:
                self._producer.produce(
                    addressed.topic,
                    key=encoded.key,
                    value=encoded.value,
                    headers=list(encoded.headers.items()),
                    on_delivery=report,
                )
            except BufferError:
                self._producer.poll(_POLL_S)
            except KafkaException as error:
                raise DeliveryFailed(f"{addressed.topic}: {error.args[0]}") from error
            else:
                return

    def flush(self, deadline: Deadline) -> bool:
        """Wait until everything has arrived; false if the deadline came first."""
        return self._producer.flush(deadline.remaining_s) == 0

    def close(self, deadline: Deadline) -> None:
        """Wait for what is out, at most until the deadline, then let go."""
        if not self.flush(deadline):
            _log.warning("%d messages had not arrived at close; they will be made again", len(self._producer))
            self._producer.purge()
            self._producer.flush(1.0)
        self._closing.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL_S)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._failed(DeliveryFailed(f"the producer cannot go on: {error}"))
        elif error.code() in _AWAY:
            self._health.away("kafka", error.str())
            _log.warning("producer: %s", error)
        else:
            _log.warning("producer: %s", error)
