"""Messages a second of the agents' loop, against bare confluent-kafka on the same broker."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event as Flag
from time import perf_counter, process_time, sleep
from typing import ClassVar

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from agents.runtime.agent import ONE_BY_ONE, Agent, BatchPolicy, Lane
from agents.runtime.clients import consumer_configuration, producer_configuration
from agents.runtime.messages import Handled, Incoming, Outgoing
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from schemas.event import Event
from tests.support.fleet import Fleet, Waiting
from topics.catalogue import Topic
from topics.provisioning import provision

_AT_ONCE = 64
"""Messages that the bare client consumes at a time, as the runtime does."""
_BATCH = 500
"""Messages of a handler's batch, as the sink's."""
_FETCHING_AHEAD_S = 0.5
_WAIT_S = 120.0


class Note(Event):
    """An event of any length."""

    schema_name: ClassVar[str] = "note"

    text: str
    """What it says."""

    @property
    def event_id(self) -> str:
        """Any."""
        return "note"

    @property
    def key(self) -> str:
        """Any."""
        return "note"


@dataclass(slots=True)
class Stopwatch:
    """Paces messages, from the one after the first `skipped` to the last."""

    skipped: int
    last: int
    done: int = 0
    seen: float = 0.0
    gap: float = 0.0
    """The longest time between two of the skipped ones, seconds."""
    began: float = 0.0
    processor: float = 0.0
    pace: float = 0.0
    processor_us: float = 0.0
    ended: Flag = field(default_factory=Flag)

    def begin(self) -> None:
        """Start: the first `skipped` are done."""
        self.began, self.processor = perf_counter(), process_time()

    def message(self) -> None:
        """Note that one is done. From one thread."""
        self.done += 1
        if self.done <= self.skipped:
            now = perf_counter()
            self.gap = max(self.gap, now - (self.seen or now))
            self.seen = now
            if self.done == self.skipped and not self.began:
                self.begin()
        elif self.done == self.last:
            counted = self.last - self.skipped
            self.pace = counted / (perf_counter() - self.began)
            self.processor_us = (process_time() - self.processor) * 1e6 / counted
            self.ended.set()


class Echo(Agent):
    """Does nothing with messages, or answers each with one; waits while its gate is closed."""

    name: ClassVar[str] = "bench"

    def __init__(self, topic: Topic, ahead: int, batch: BatchPolicy, answer: Outgoing | None) -> None:
        self._topic = topic
        self._ahead = ahead
        self._outputs = () if answer is None else (answer,)
        self.batch = batch
        self.gate = Flag()
        self.stopwatch = Stopwatch(0, 0)

    @property
    def lanes(self) -> Sequence[Lane]:
        """The one topic."""
        return (Lane((self._topic,), max_messages=self._ahead),)

    def handle(self, batch: Sequence[Incoming]) -> Sequence[Handled]:
        """Answer."""
        self.gate.wait()
        return [Handled(self._outputs, self.stopwatch.message) for _ in batch]


@dataclass(frozen=True, slots=True)
class _Case:
    size: int
    name: str
    batch: BatchPolicy
    answers: bool

    @property
    def ahead(self) -> int:
        """Messages that the lane reads ahead while the handler waits for the start; then it pauses."""
        return 512 if self.size < 1024 else 128

    @property
    def skipped(self) -> int:
        """Messages that do not count: those read ahead, and the first ones after the lane resumed."""
        return 2 * self.ahead

    @property
    def label(self) -> str:
        """The size in words."""
        return f"{self.size} B" if self.size < 1024 else f"{self.size >> 10} KiB"


@dataclass(slots=True)
class _Figures:
    pace: list[float] = field(default_factory=list)
    processor_us: list[float] = field(default_factory=list)
    gap_ms: list[float] = field(default_factory=list)

    def add(self, stopwatch: Stopwatch) -> None:
        self.pace.append(stopwatch.pace)
        self.processor_us.append(stopwatch.processor_us)
        self.gap_ms.append(stopwatch.gap * 1000)


def measure(run: Run) -> Section:
    """Measure small and large messages, without and with outputs."""
    batches = BatchPolicy(max_messages=_BATCH, max_delay_s=0.01)
    cases = [
        _Case(size, name, batch, answers)
        for size in (200, 64 << 10)
        for name, batch, answers in (
            ("consumed one by one", ONE_BY_ONE, False),
            (f"consumed in batches of up to {_BATCH}", batches, False),
            ("consumed one by one, one output each", ONE_BY_ONE, True),
        )
    ]
    # A quick run tries the two ends.
    cases = run.amount(cases, [cases[0], cases[-1]])
    rows = []
    with run.servers.fleet() as fleet:
        for number, case in enumerate(cases):
            bare, ours = _compare(run, fleet, f"bench.{number}", case)
            rows.append(_row(case, bare, ours))
    table = Table(
        "Messages a second",
        ("", "bare client", "runtime", "ratio", "bare, CPU us", "runtime, CPU us", "resuming, ms"),
        tuple(rows),
        f"The bare client consumes up to {_AT_ONCE} messages at a time and stores their offsets; with outputs it "
        "produces the same bytes and counts delivery reports. Both begin with what librdkafka has fetched ahead, 16 "
        "MiB at most: small messages measure the clients, not the broker. The runtime does what an agent's messages "
        "need: lanes with budgets of messages and bytes, watermarks, a handler thread and a finisher, traces, metrics; "
        "its outputs are events that it encodes. CPU is of the whole process, librdkafka's threads included, a "
        "message. What eats the rest is that work, in Python, under one interpreter lock. Before the count a full lane "
        "resumes: the last column is how long it then went without a message, since librdkafka drops what it had "
        "fetched of a paused partition, and is slow to fetch again.",
    )
    return Section("The runtime's loop", (table,))


def _row(case: _Case, bare: _Figures, ours: _Figures) -> tuple[str, ...]:
    pace, base = Samples(tuple(ours.pace)), Samples(tuple(bare.pace))
    return (
        f"{case.label}, {case.name}",
        base.text(),
        pace.text(),
        pace.over(base).text(2),
        Samples(tuple(bare.processor_us)).text(),
        Samples(tuple(ours.processor_us)).text(),
        Samples(tuple(ours.gap_ms)).text(),
    )


def _compare(run: Run, fleet: Fleet, name: str, case: _Case) -> tuple[_Figures, _Figures]:
    topic, outputs = _topic(fleet, name), _topic(fleet, f"{name}.out")
    messages = case.ahead * run.amount(30 if case.size < 1024 else 12, 5)
    answer = Outgoing(outputs, Note(text="x" * (case.size - len('{"text":""}')))) if case.answers else None
    agent = Echo(topic, case.ahead, case.batch, answer)
    bare, ours = _Figures(), _Figures()
    with _joined(fleet, agent):
        for repetition in range(run.amount(3, 1)):
            run.tell(f"runtime: {case.label}, {case.name}, {repetition + 1}")
            agent.gate.clear()
            agent.stopwatch = Stopwatch(case.skipped, messages)
            for _ in range(messages):
                fleet.publish_raw(topic, b"x" * case.size)
            fleet.flush()
            first = repetition * messages + 1  # after the one that was awaited
            bare_first = repetition % 2 == 0
            if bare_first:
                bare.add(_bare(fleet, topic, outputs, first, messages, case))
            agent.gate.set()
            if not agent.stopwatch.ended.wait(_WAIT_S):
                raise Waiting(f"{agent.stopwatch.done} of {messages} messages were done in {_WAIT_S:.0f} s")
            ours.add(agent.stopwatch)
            if not bare_first:
                bare.add(_bare(fleet, topic, outputs, first, messages, case))
    return bare, ours


@contextmanager
def _joined(fleet: Fleet, agent: Echo) -> Iterator[None]:
    """Run the agent; it has been given its partition and has handled a message."""
    with fleet.running(agent) as (running,):
        agent.gate.set()
        fleet.publish_raw(agent.lanes[0].topics[0], b"first")
        fleet.flush()
        fleet.await_that(lambda: running.count("fleet_messages_completed") >= 1, "the first message", _WAIT_S)
        yield
        agent.gate.set()
    fleet.forget_group(agent.name)


def _topic(fleet: Fleet, name: str) -> Topic:
    topic = Topic(
        name=name,
        schema=None,
        key="any",
        summary="Measured.",
        produced_by="bench",
        consumed_by=("bench",),
        partitions=1,
        retention=timedelta(hours=1),
    )
    provision(fleet.admin, [topic], prefix=fleet.settings.kafka.topic_prefix)
    return topic


def _bare(fleet: Fleet, topic: Topic, outputs: Topic, first: int, messages: int, case: _Case) -> Stopwatch:
    stopwatch = Stopwatch(case.skipped, messages)
    settings = fleet.settings
    consumer = Consumer(consumer_configuration(settings.kafka, settings.runtime, "bare", "classic"))
    producer = Producer(producer_configuration(settings.kafka))
    consumer.assign([TopicPartition(fleet.full(topic), 0, first)])
    answer = b"x" * case.size
    out = fleet.full(outputs)
    report = _report(stopwatch)
    read = 0
    while read < messages:
        batch = consumer.consume(_AT_ONCE, timeout=0.1) if read else [consumer.poll(1.0)]
        for message in batch:
            if message is None or message.error() is not None:
                continue
            read += 1
            if read == 1:
                # As the runtime's client has had time to.
                sleep(_FETCHING_AHEAD_S)
            if read == case.skipped:
                stopwatch.begin()
            if case.answers:
                _produce(producer, out, answer, report)
            else:
                stopwatch.message()
            if read == messages:
                break
        if batch and batch[-1] is not None:
            consumer.store_offsets(message=batch[-1])
        producer.poll(0)
    producer.flush()
    consumer.close()
    return stopwatch


def _report(stopwatch: Stopwatch) -> Callable[[KafkaError | None, Message], None]:
    def report(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            raise Waiting(str(error))
        stopwatch.message()

    return report


def _produce(
    producer: Producer, topic: str, value: bytes, report: Callable[[KafkaError | None, Message], None]
) -> None:
    while True:
        try:
            producer.produce(topic, key=b"note", value=value, on_delivery=report)
        except BufferError:
            producer.poll(0.05)
        else:
            return
