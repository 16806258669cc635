"""Faust's way to Kafka, with a shorter wait for messages.

Faust asks the broker to hold an empty answer for 1.5 s, and has no setting for it. Apache Kafka answers as soon as
there is a message; the embedded broker does not, and an alert would lie there for so long.
"""

from typing import ClassVar

import aiokafka
import faust
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types.transports import ConsumerT, TransportT

_WAIT_MS = 50


class _Thread(AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Read when it starts.
        consumer._fetch_max_wait_ms = _WAIT_MS
        return consumer


class _Consumer(Consumer):
    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _Transport(Transport):
    Consumer: ClassVar[type[ConsumerT]] = _Consumer


def quick_transport(app: faust.App) -> TransportT:
    """Return the transport of an app, that waits a twentieth of a second at most for messages."""
    return _Transport(app.conf.broker_consumer, app)
