"""Publishing a few events from a command, and waiting until the broker has them."""

import logging
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from agents.runtime.clients import connection
from agents.runtime.exceptions import Unavailable
from agents.settings import KafkaSettings
from schemas.event import Event
from topics.catalogue import Topic
from topics.exceptions import NotPublishable
from topics.serialisation import encode

_SILENT = logging.getLogger(f"{__name__}.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def publish(kafka: KafkaSettings, topic: Topic, events: Sequence[Event], timeout_s: float) -> None:
    """Publish events in order, and wait until the broker has them.

    Raises:
        NotPublishable: the client refuses an event, for its size.
        Unavailable: the broker is away or refuses.
    """
    refused: list[KafkaError] = []

    def report(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            refused.append(error)

    producer = Producer(
        connection(kafka) | {"enable.idempotence": True, "message.timeout.ms": int(timeout_s * 1000)}, logger=_SILENT
    )
    try:
        for event in events:
            message = encode(event)
            producer.produce(
                kafka.topic_prefix + topic.name,
                key=message.key,
                value=message.value,
                headers=list(message.headers.items()),
                on_delivery=report,
            )
    except KafkaException as error:
        raise NotPublishable(f"the event cannot be published: {error.args[0].str()}") from error
    # A little longer than the messages' own timeout, which then says why.
    left = producer.flush(timeout_s + 1.0)
    if refused or left:
        why = refused[0].str() if refused else f"no answer within {timeout_s:g} s"
        raise Unavailable("kafka", f"{kafka.bootstrap_servers}: {why}")
