"""A small topic read from its beginning to its end and on, without a group."""

import logging
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Generic, TypeVar
from uuid import uuid4

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from agents.runtime.clients import connection
from agents.settings import KafkaSettings
from schemas.event import Event
from topics.catalogue import Topic
from topics.exceptions import MessageInvalid
from topics.serialisation import decode

_log = logging.getLogger(__name__)
_SILENT = logging.getLogger(f"{__name__}.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

_AT_ONCE = 100
_LOOK_UP_S = 5.0
"""How long a broker may take at most to say whether it has the topic, seconds."""
_TURN_S = 0.5

E = TypeVar("E", bound=Event)


class TopicLog(Generic[E]):
    """Every event of a topic, in order. Not for several threads at once.

    A broker that is away, or has not the topic yet, is asked again with each call.
    """

    def __init__(self, kafka: KafkaSettings, topic: Topic, schema: type[E]) -> None:
        self._schema = schema
        self._name = kafka.topic_prefix + topic.name
        self._left: set[int] | None = None
        """Partitions whose end was not reached yet; none while it is not known which there are."""
        self._missing = False
        configuration = connection(kafka) | {
            # A consumer must name a group, also one that never joins it.
            "group.id": f"{self._name}-{uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
        self._consumer = Consumer(configuration, logger=_SILENT)

    def read_all(self, timeout_s: float) -> tuple[Sequence[E], bool]:
        """Return what there is, and whether that is all: the end was reached within the time.

        A broker that has no such topic has nothing to wait for.
        """
        ends = monotonic() + timeout_s
        events: list[E] = []
        while (left_s := ends - monotonic()) > 0:
            if self._left is None:
                self._assigned(min(left_s, _LOOK_UP_S))
            else:
                events += self.read(min(left_s, _TURN_S))
            if self._left is not None and not self._left:
                return events, True
            if self._missing:
                break
        return events, False

    def read(self, timeout_s: float) -> Sequence[E]:
        """Return what has come, after waiting `timeout_s` seconds at most for it."""
        if self._left is None and not self._assigned(timeout_s):
            return []
        return list(self._events(self._consumer.consume(_AT_ONCE, timeout=timeout_s)))

    def _assigned(self, timeout_s: float) -> bool:
        try:
            known = self._consumer.list_topics(self._name, timeout=timeout_s).topics[self._name]
        except KafkaException as error:
            _log.debug("%s: %s", self._name, error)
            return False
        self._missing = known.error is not None or not known.partitions
        if self._missing:
            _log.debug("%s: %s", self._name, known.error)
            return False
        self._left = set(known.partitions)
        self._consumer.assign([TopicPartition(self._name, number, OFFSET_BEGINNING) for number in known.partitions])
        return True

    def _events(self, messages: Sequence[Message]) -> Iterator[E]:
        for message in messages:
            error = message.error()
            if error is not None:
                self._note(message, error)
                continue
            value = message.value()
            if value is None:
                continue
            try:
                found = message.headers() or []
                headers = {name: each for name, each in dict(found).items() if isinstance(each, bytes)}
                yield decode(self._schema, value, headers)
            except MessageInvalid as invalid:
                _log.warning("a message of %s is not readable: %s", self._name, invalid)

    def _note(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF and self._left is not None:
            self._left.discard(message.partition() or 0)
        elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._left = None
            self._consumer.unassign()

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()
