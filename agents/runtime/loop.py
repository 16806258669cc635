"""The consumer's thread: read, pause and resume, store what is done, follow the group."""

import logging
from collections.abc import Callable, Iterable, Mapping
from threading import Event as Flag
from time import monotonic, time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from agents.runtime.agent import Agent
from agents.runtime.backoff import Backoff
from agents.runtime.clients import GroupProtocol
from agents.runtime.deadline import Deadline
from agents.runtime.exceptions import AgentStopped, GroupProtocolUnsupported, TopicsMissing, Unavailable
from agents.runtime.failpoints import reached
from agents.runtime.health import Health
from agents.runtime.in_flight import Flow, InFlight
from agents.runtime.messages import Incoming, Partition
from agents.runtime.metrics import Metrics

_log = logging.getLogger(__name__)

_POLL_S = 0.1
"""How long the loop waits for a message at a time: how late it notices a stop, seconds."""
_PAUSED_POLL_S = 0.01
"""The same while a lane is paused: how late it is resumed, seconds."""
_PATIENCE_S = 0.25
"""How long the loop reads nothing, when every lane is full, before it pauses them: librdkafka drops what it has fetched
of a paused partition, and fetches again only half a second to a second after a resume (`python -m bench runtime`)."""
_ROOM_EVERY_S = 0.002
"""How often it then looks for room, seconds."""
_READ_AT_ONCE = 64
_LAG_EVERY_S = 5.0
_METADATA_TIMEOUT_S = 10.0
_NEW_PROTOCOL_REQUEST = "ConsumerGroupHeartbeat"
"""What the error of a broker without KIP-848 speaks of; its code is only that it is fatal."""


class ConsumerLoop:
    """One consumer, one thread. Everything that touches the consumer happens here."""

    def __init__(
        self,
        agent: Agent,
        consumer: Consumer,
        protocol: GroupProtocol,
        in_flight: InFlight,
        metrics: Metrics,
        health: Health,
        *,
        topic_prefix: str,
        eager: bool,
        drain_timeout_s: float,
        backoff: Backoff,
        draining: Callable[[], None],
    ) -> None:
        self._agent = agent
        self._consumer = consumer
        self._protocol = protocol
        self._in_flight = in_flight
        self._metrics = metrics
        self._health = health
        self._drain_timeout_s = drain_timeout_s
        self._eager = eager
        self._backoff = backoff
        self._draining = draining
        self._topics = {topic_prefix + topic.name: topic for lane in agent.lanes for topic in lane.topics}
        self._assigned: set[Partition] = set()
        self._cluster_id = ""
        self._measured_at = 0.0
        self._stopping = Flag()
        self._failure: AgentStopped | None = None

    def stop(self) -> None:
        """Ask the loop to drain and end. Safe to call from a signal handler or another thread."""
        self._stopping.set()

    def fail(self, error: AgentStopped) -> None:
        """Ask the loop to end with this error; the first one counts."""
        self._failure = self._failure or error
        self._stopping.set()

    def run(self) -> None:
        """Consume until stopped, then drain, commit and leave the group.

        Raises:
            AgentStopped: the agent cannot go on.
            GroupProtocolUnsupported: the broker has no KIP-848.
        """
        self._check_topics()
        self._consumer.subscribe(
            list(self._topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        self._health.enter("running")
        try:
            while not self._stopping.is_set():
                self._turn()
            self._health.enter("draining")
            self._draining()
            self._drain(self._assigned)
            self._store()
        finally:
            self._consumer.close()
            self._health.enter("stopped")
        if self._failure is not None:
            raise self._failure

    def _turn(self) -> None:
        # Wait for one, then take what else is there: `consume` alone would wait until the batch is full.
        first = self._consumer.poll(_PAUSED_POLL_S if self._in_flight.paused_topics() else _POLL_S)
        rest = self._consumer.consume(_READ_AT_ONCE, timeout=0) if first is not None else []
        for message in (*([] if first is None else [first]), *rest):
            error = message.error()
            if error is None:
                self._accept(message)
            else:
                self._on_error(error)
        self._store()
        self._regulate()
        self._health.beat()
        if monotonic() - self._measured_at > _LAG_EVERY_S:
            self._measured_at = monotonic()
            self._measure_lag()

    def _check_topics(self) -> None:
        try:
            metadata = self._consumer.list_topics(timeout=_METADATA_TIMEOUT_S)
        except KafkaException as error:
            raise AgentStopped(f"the broker cannot be reached: {error.args[0]}") from error
        missing = sorted(set(self._topics) - set(metadata.topics))
        if missing:
            raise TopicsMissing(f"no topic {', '.join(missing)} on the broker; `fleet topics create` makes them")
        self._cluster_id = metadata.cluster_id or ""

    def _accept(self, message: Message) -> None:
        topic = self._topics[str(message.topic())]
        partition = Partition(str(message.topic()), int(message.partition() or 0))
        kind, timestamp = message.timestamp()
        incoming = Incoming(
            topic=topic,
            partition=partition,
            offset=int(message.offset() or 0),
            key=_bytes(message.key()),
            value=_bytes(message.value()),
            headers=_headers(message),
            timestamp_ms=timestamp if kind else 0,
        )
        if self._in_flight.accept(incoming):
            self._health.back("kafka")
            reached("after-fetch")
            self._metrics.consumed.labels(topic.name).inc()
            self._metrics.lag_seconds.labels(topic.name).set(max(0.0, time() - timestamp / 1000) if kind else 0.0)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:
            if self._protocol == "consumer" and _NEW_PROTOCOL_REQUEST in error.str() and not self._assigned:
                raise GroupProtocolUnsupported(error.str())
            raise AgentStopped(f"the consumer cannot go on: {error}")
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise AgentStopped(f"the broker lets this agent not read: {error}")
        self._health.away("kafka", error.str())
        _log.warning("consumer: %s", error)

    def _store(self) -> None:
        offsets = _offsets(self._in_flight.watermarks())
        if offsets:
            reached("before-offset-commit")
            self._consumer.store_offsets(offsets=offsets)

    def _regulate(self) -> None:
        flow = self._in_flight.flow()
        if flow.pause and len(self._in_flight.paused_topics()) == len(self._topics):
            flow = self._wait_for_room(flow)
        if flow.pause:
            self._consumer.pause(self._partitions_of(flow.pause))
        if flow.resume:
            self._consumer.resume(self._partitions_of(flow.resume))
        messages, size = self._in_flight.totals()
        self._metrics.in_flight_messages.set(messages)
        self._metrics.in_flight_bytes.set(size)
        self._metrics.paused_lanes.set(len(self._in_flight.paused_topics()))

    def _wait_for_room(self, flow: Flow) -> Flow:
        """Wait a moment for a lane to need messages again; return what is still to be paused and resumed then."""
        deadline = Deadline.after(_PATIENCE_S)
        while not (deadline.expired or self._stopping.wait(_ROOM_EVERY_S)):
            needy = self._in_flight.flow().resume
            if needy:
                return Flow(flow.pause - needy, needy - flow.pause)
        return flow

    def _partitions_of(self, topics: frozenset[str]) -> list[TopicPartition]:
        return [
            TopicPartition(partition.topic, partition.number)
            for partition in self._assigned
            if self._topics[partition.topic].name in topics
        ]

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        added = [Partition(partition.topic, partition.partition) for partition in partitions]
        self._in_flight.assign(added)
        self._assigned.update(added)
        positions = self._positions(added)
        for partition in partitions:
            own = positions.get(Partition(partition.topic, partition.partition))
            if own is not None:
                partition.offset = own
        if self._eager:
            consumer.assign(partitions)
        else:
            consumer.incremental_assign(partitions)
        paused = self._partitions_of(self._in_flight.paused_topics())
        if paused:
            consumer.pause(paused)
        self._moved("assigned", added)

    def _positions(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        for pause in self._backoff.pauses():
            try:
                positions = self._agent.positions(partitions, self._cluster_id)
            except Unavailable as error:
                _log.warning("%s; the assignment waits", error)
                self._health.away(error.dependency, error.detail)
                self._health.beat()
                if self._stopping.wait(pause):
                    return {}
            else:
                return positions
        raise AssertionError("pauses are without end")

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        removed = [Partition(partition.topic, partition.partition) for partition in partitions]
        # 1. What is queued goes back; 2. what is in hand is finished and delivered; 3. its offsets are
        # committed; 4. the partitions are let go.
        self._drain(removed)
        done = self._in_flight.watermarks()
        offsets = _offsets({partition: done[partition] for partition in removed if partition in done})
        if offsets:
            self._commit(consumer, offsets)
        self._let_go(consumer, removed)
        self._moved("revoked", removed)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        removed = [Partition(partition.topic, partition.partition) for partition in partitions]
        # Another worker has them already: what is done here is done again there, with the same ids.
        self._in_flight.discard_waiting(removed)
        self._let_go(consumer, removed)
        self._moved("lost", removed)

    def _drain(self, partitions: Iterable[Partition]) -> None:
        partitions = set(partitions)
        self._in_flight.discard_waiting(partitions)
        if self._failure is not None:
            # What is in hand may never end.
            return
        deadline = Deadline.after(self._drain_timeout_s)
        if not self._in_flight.wait_until_idle(partitions, deadline):
            _log.warning("work in flight did not end in %.0f s; it will be read again", self._drain_timeout_s)

    def _commit(self, consumer: Consumer, offsets: list[TopicPartition]) -> None:
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # The group has moved on: the messages are read again by their new owner.
            _log.warning("the last offsets were not committed: %s", error.args[0])

    def _let_go(self, consumer: Consumer, partitions: list[Partition]) -> None:
        # librdkafka remembers that a partition was paused: when it came back, nothing would be read of it
        # (https://github.com/confluentinc/confluent-kafka-go/issues/193).
        consumer.resume([TopicPartition(partition.topic, partition.number) for partition in partitions])
        self._in_flight.revoke(partitions)
        self._assigned.difference_update(partitions)
        for partition in partitions:
            self._metrics.lag_messages.remove(partition.topic, str(partition.number))

    def _moved(self, kind: str, partitions: list[Partition]) -> None:
        self._metrics.rebalances.labels(kind).inc()
        self._health.assigned(len(self._assigned))
        _log.info("%d partitions %s, now %d", len(partitions), kind, len(self._assigned))

    def _measure_lag(self) -> None:
        done = self._in_flight.watermarks()
        positions = self._consumer.position(
            [TopicPartition(partition.topic, partition.number) for partition in self._assigned]
        )
        for place in positions:
            partition = Partition(place.topic, place.partition)
            bounds = self._consumer.get_watermark_offsets(TopicPartition(place.topic, place.partition), cached=True)
            position = done.get(partition, place.offset)
            if bounds is None or position < 0 or bounds[1] < 0:
                continue
            self._metrics.lag_messages.labels(place.topic, str(place.partition)).set(max(0, bounds[1] - position))


def _offsets(watermarks: Mapping[Partition, int]) -> list[TopicPartition]:
    return [TopicPartition(partition.topic, partition.number, offset) for partition, offset in watermarks.items()]


def _headers(message: Message) -> dict[str, bytes]:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return {str(name): _bytes(value) or b"" for name, value in pairs}


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
