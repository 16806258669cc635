from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event as Flag, Thread
from typing import ClassVar

import pytest

from agents.runtime.agent import ONE_BY_ONE, Agent, BatchPolicy, Lane
from agents.runtime.backoff import Backoff
from agents.runtime.deadline import Deadline
from agents.runtime.exceptions import AgentStopped, DeliveryFailed, Reject, TooManyRejects, Unavailable
from agents.runtime.health import Health
from agents.runtime.in_flight import InFlight
from agents.runtime.messages import Handled, Incoming, Outgoing, Partition
from agents.runtime.metrics import Metrics
from agents.runtime.outbox import Addressed, Outbox
from agents.runtime.trace import traceparent
from agents.runtime.workers import Workers
from schemas.examples import PROGRESS, VERDICT
from tests.unit.runtime.messages import incoming
from topics.catalogue import PROGRESS as PROGRESS_TOPIC, UPLOADS, VERDICTS

PARTITION = Partition(UPLOADS.name, 0)
TIMEOUT_S = 10.0
Handler = Callable[[Sequence[Incoming]], Sequence[Handled]]


class Scripted(Agent):
    """An agent that does what the test says."""

    name: ClassVar[str] = "scripted"
    produces = (VERDICTS,)

    def __init__(self, handle: Handler, batch: BatchPolicy) -> None:
        self._handle = handle
        self.batch = batch
        self.stepped_over: list[int] = []

    @property
    def lanes(self) -> Sequence[Lane]:
        return (Lane((UPLOADS,), max_messages=1000),)

    def handle(self, batch: Sequence[Incoming]) -> Sequence[Handled]:
        return self._handle(batch)

    def buried(self, message: Incoming) -> None:
        self.stepped_over.append(message.offset)


class ObservedInFlight(InFlight):
    """The real thing; a test can wait for the end of each message."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        super().__init__(lanes, max_bytes=1 << 30)
        self.ended: SimpleQueue[tuple[str, int]] = SimpleQueue()

    def complete(self, message: Incoming) -> None:
        super().complete(message)
        self.ended.put(("completed", message.offset))

    def abandon(self, message: Incoming) -> None:
        super().abandon(message)
        self.ended.put(("abandoned", message.offset))


class RecordingOutbox(Outbox):
    """Keeps what is sent. The broker takes it at once, or, when `held`, when `deliver` is called."""

    def __init__(self, *, held: bool = False) -> None:
        self.sent: list[Addressed] = []
        self.arrivals: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._held = held

    def send(self, messages: Sequence[Addressed], done: Callable[[], None]) -> None:
        self.sent.extend(messages)
        if self._held:
            self.arrivals.put(done)
        else:
            done()

    def deliver(self) -> None:
        self.arrivals.get(timeout=TIMEOUT_S)()


class RefusingOutbox(RecordingOutbox):
    """A broker that will never take the message."""

    def send(self, messages: Sequence[Addressed], done: Callable[[], None]) -> None:
        raise DeliveryFailed(f"{messages[0].topic}: too large")


@dataclass
class Bench:
    """Workers with real parts around them, and everything that a test looks at."""

    agent: Scripted
    in_flight: ObservedInFlight
    outbox: RecordingOutbox
    metrics: Metrics
    health: Health
    workers: Workers
    failures: SimpleQueue[AgentStopped] = field(default_factory=SimpleQueue)

    def ends(self, count: int) -> list[tuple[str, int]]:
        return [self.in_flight.ended.get(timeout=TIMEOUT_S) for _ in range(count)]

    def failure(self) -> AgentStopped:
        return self.failures.get(timeout=TIMEOUT_S)

    def count(self, metric: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"{metric}_total", labels) or 0.0


@contextmanager
def running(
    handle: Handler,
    offsets: Sequence[int] = (0,),
    *,
    outbox: RecordingOutbox | None = None,
    batch: int = 1,
    max_attempts: int = 3,
    max_consecutive_rejects: int = 100,
    pause_s: float = 0.001,
) -> Iterator[Bench]:
    agent = Scripted(handle, BatchPolicy(batch, max_delay_s=0.0))
    metrics = Metrics()
    health = Health(agent.name, metrics, stalled_after_s=60.0)
    health.enter("running")
    in_flight = ObservedInFlight(agent.lanes)
    in_flight.assign([PARTITION])
    failures: SimpleQueue[AgentStopped] = SimpleQueue()
    outbox = outbox or RecordingOutbox()
    workers = Workers(
        agent,
        in_flight,
        outbox,
        metrics,
        health,
        topic_prefix="test.",
        max_attempts=max_attempts,
        max_consecutive_rejects=max_consecutive_rejects,
        backoff=Backoff(pause_s, pause_s),
        failed=failures.put,
    )
    # All are there before the first is taken, so that a test knows its batches.
    for offset in offsets:
        assert in_flight.accept(incoming(offset))
    workers.start()
    try:
        yield Bench(agent, in_flight, outbox, metrics, health, workers, failures)
    finally:
        workers.close(Deadline.after(TIMEOUT_S))


def fine(batch: Sequence[Incoming]) -> list[Handled]:
    return [Handled() for _ in batch]


def test_what_a_handler_made_goes_to_its_topics_in_the_trace_of_the_message() -> None:
    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        return [Handled((Outgoing(VERDICTS, VERDICT), Outgoing(PROGRESS_TOPIC, PROGRESS))) for _ in batch]

    with running(handle) as bench:
        assert bench.ends(1) == [("completed", 0)]
    assert [addressed.topic for addressed in bench.outbox.sent] == ["test.deepfake.verdicts", "test.deepfake.progress"]
    expected = traceparent(incoming(0)).encode()
    assert {addressed.message.headers["traceparent"] for addressed in bench.outbox.sent} == {expected}


def test_a_message_is_done_when_the_broker_has_taken_what_it_made_and_not_before() -> None:
    order: list[str] = []
    after_was_called = Flag()

    def after() -> None:
        order.append("after")
        after_was_called.set()

    outbox = RecordingOutbox(held=True)
    with running(lambda batch: [Handled((Outgoing(VERDICTS, VERDICT),), after)], outbox=outbox) as bench:
        arrived = outbox.arrivals.get(timeout=TIMEOUT_S)
        assert not after_was_called.is_set()
        assert bench.in_flight.watermarks() == {}
        order.append("delivered")
        arrived()
        assert bench.ends(1) == [("completed", 0)]
        assert bench.in_flight.watermarks() == {PARTITION: 1}
    assert order == ["delivered", "after"]


def test_after_is_called_again_while_what_it_needs_is_away() -> None:
    calls: list[bool] = []

    def after() -> None:
        calls.append(bench.health.report().ready)
        if len(calls) < 3:
            raise Unavailable("redis", "connection refused")

    with running(lambda batch: [Handled(after=after)], offsets=()) as bench:
        bench.in_flight.accept(incoming(0))
        assert bench.ends(1) == [("completed", 0)]
        assert bench.health.report().away == {}
    assert calls == [True, False, False]


def test_a_rejected_message_becomes_a_dead_letter_and_the_next_one_is_handled() -> None:
    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        if batch[0].offset == 0:
            raise Reject("not_json", "expected value at line 1")
        return fine(batch)

    with running(handle, offsets=(0, 1)) as bench:
        assert sorted(bench.ends(2)) == [("completed", 0), ("completed", 1)]
    (buried,) = bench.outbox.sent
    assert buried.topic == "test.media.uploads.dlq"
    assert buried.message.headers["dlq-reason"] == b"not_json"
    assert buried.message.headers["dlq-attempts"] == b"1"
    assert bench.count("fleet_dead_letters", topic="media.uploads", reason="not_json") == 1
    assert bench.agent.stepped_over == [0]


def test_a_dead_letter_is_done_only_when_the_broker_has_taken_it() -> None:
    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        raise Reject("not_json", "")

    outbox = RecordingOutbox(held=True)
    with running(handle, outbox=outbox) as bench:
        arrived = outbox.arrivals.get(timeout=TIMEOUT_S)
        assert bench.in_flight.watermarks() == {}
        assert bench.count("fleet_dead_letters", topic="media.uploads", reason="not_json") == 0
        arrived()
        assert bench.ends(1) == [("completed", 0)]


def test_nothing_behind_a_dead_letter_is_handled_before_it_is_safe() -> None:
    handled: list[int] = []

    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        handled.append(batch[0].offset)
        if batch[0].offset == 0:
            raise Reject("not_json", "")
        return fine(batch)

    outbox = RecordingOutbox(held=True)
    with running(handle, offsets=(0, 1), outbox=outbox) as bench:
        arrived = outbox.arrivals.get(timeout=TIMEOUT_S)
        assert handled == [0]
        arrived()
        outbox.deliver()
        assert bench.ends(2) == [("completed", 0), ("completed", 1)]


def test_an_unexpected_error_is_tried_as_often_as_asked_and_then_is_a_dead_letter() -> None:
    tries: list[int] = []

    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        tries.append(batch[0].offset)
        raise ZeroDivisionError("division by zero")

    with running(handle, max_attempts=3) as bench:
        assert bench.ends(1) == [("completed", 0)]
    assert tries == [0, 0, 0]
    (buried,) = bench.outbox.sent
    assert buried.message.headers["dlq-reason"] == b"handler_error"
    assert buried.message.headers["dlq-detail"] == b"ZeroDivisionError('division by zero')"
    assert buried.message.headers["dlq-attempts"] == b"3"
    assert bench.count("fleet_handler_retries", cause="handler_error") == 2


def test_an_error_that_passes_leaves_no_dead_letter() -> None:
    tries: list[int] = []

    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        tries.append(0)
        if len(tries) == 1:
            raise RuntimeError("once")
        return fine(batch)

    with running(handle) as bench:
        assert bench.ends(1) == [("completed", 0)]
    assert bench.outbox.sent == []


def test_what_is_away_is_waited_for_and_health_says_so_until_it_is_back() -> None:
    seen: list[dict[str, str]] = []

    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        report = bench.health.report()
        assert report.ready == (not report.away)
        seen.append(dict(report.away))
        if len(seen) < 4:
            raise Unavailable("postgres", "connection refused")
        return fine(batch)

    with running(handle, offsets=(), max_attempts=1) as bench:
        bench.in_flight.accept(incoming(0))
        assert bench.ends(1) == [("completed", 0)]
        assert bench.health.report().away == {}
        assert bench.health.report().ready
    refused = {"postgres": "connection refused"}
    assert seen == [{}, refused, refused, refused]
    assert bench.count("fleet_handler_retries", cause="postgres") == 3
    assert bench.outbox.sent == []


def test_waiting_for_what_is_away_is_no_attempt_at_the_message() -> None:
    script = [Unavailable("redis", ""), RuntimeError(), Unavailable("redis", ""), RuntimeError()]

    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        raise script.pop(0)

    with running(handle, max_attempts=2) as bench:
        assert bench.ends(1) == [("completed", 0)]
        assert bench.health.report().away == {}, "it answered, if only for the handler to fail"
    assert script == []
    (buried,) = bench.outbox.sent
    assert buried.message.headers["dlq-attempts"] == b"2"


@pytest.mark.parametrize("bad", [(0,), (7,), (3, 4), (0, 1, 2, 3, 4, 5, 6, 7)])
@pytest.mark.parametrize("error", [Reject("row_invalid", "no"), RuntimeError("no")], ids=["rejected", "unexpected"])
def test_of_a_batch_the_bad_messages_are_dead_letters_and_the_good_ones_are_handled_in_order(
    bad: tuple[int, ...], error: Exception
) -> None:
    handled: list[int] = []

    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        if any(message.offset in bad for message in batch):
            raise error
        handled.extend(message.offset for message in batch)
        return fine(batch)

    with running(handle, offsets=range(8), batch=8) as bench:
        assert sorted(bench.ends(8)) == [("completed", offset) for offset in range(8)]
        assert bench.in_flight.watermarks() == {PARTITION: 8}
    assert handled == [offset for offset in range(8) if offset not in bad]
    assert bench.agent.stepped_over == list(bad)
    assert [addressed.message.headers["dlq-source-offset"] for addressed in bench.outbox.sent] == [
        str(offset).encode() for offset in bad
    ]


def test_a_batch_is_given_again_as_a_whole_while_something_is_away() -> None:
    sizes: list[int] = []

    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        sizes.append(len(batch))
        if len(sizes) < 3:
            raise Unavailable("postgres", "")
        return fine(batch)

    with running(handle, offsets=range(5), batch=10) as bench:
        bench.ends(5)
    assert sizes == [5, 5, 5]


def test_too_many_dead_letters_in_a_row_stop_the_agent_with_a_reason() -> None:
    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        raise Reject("schema_invalid", "media: Field required")

    with running(handle, offsets=range(10), max_consecutive_rejects=3) as bench:
        stopped = bench.failure()
    assert isinstance(stopped, TooManyRejects)
    assert "3 messages in a row" in str(stopped)
    assert "media: Field required" in str(stopped)
    assert len(bench.outbox.sent) == 3, "the rest of the topic is left alone"


def test_a_handled_message_in_between_ends_the_row() -> None:
    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        if batch[0].offset % 3 == 2:
            return fine(batch)
        raise Reject("schema_invalid", "")

    with running(handle, offsets=range(12), max_consecutive_rejects=3) as bench:
        bench.ends(12)
        assert bench.failures.empty()
    assert len(bench.outbox.sent) == 8


def test_a_stop_abandons_what_waits_for_something_away() -> None:
    tried = Flag()

    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        tried.set()
        raise Unavailable("redis", "")

    with running(handle, pause_s=60.0) as bench:
        assert tried.wait(TIMEOUT_S)
        bench.workers.stop_waiting()
        assert bench.ends(1) == [("abandoned", 0)]
        assert bench.in_flight.watermarks() == {}
        assert bench.failures.empty()
    assert bench.outbox.sent == []


def test_a_stop_abandons_what_waits_for_its_last_step() -> None:
    tried = Flag()

    def after() -> None:
        tried.set()
        raise Unavailable("redis", "")

    with running(lambda batch: [Handled(after=after)], pause_s=60.0) as bench:
        assert tried.wait(TIMEOUT_S)
        bench.workers.stop_waiting()
        assert bench.ends(1) == [("abandoned", 0)]


def test_a_stop_abandons_a_dead_letter_that_is_on_its_way() -> None:
    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        raise Reject("not_json", "")

    outbox = RecordingOutbox(held=True)
    with running(handle, outbox=outbox) as bench:
        outbox.arrivals.get(timeout=TIMEOUT_S)
        bench.workers.close(Deadline.after(TIMEOUT_S))
        assert bench.ends(1) == [("abandoned", 0)]
    assert bench.agent.stepped_over == []
    assert bench.count("fleet_dead_letters", topic="media.uploads", reason="not_json") == 0


def test_a_stop_while_a_batch_is_halved_abandons_the_rest() -> None:
    taken, stopping = Flag(), Flag()

    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        taken.set()
        assert stopping.wait(TIMEOUT_S)
        raise Reject("not_json", "")

    with running(handle, offsets=range(4), batch=4) as bench:
        assert taken.wait(TIMEOUT_S)
        closing = Thread(target=bench.workers.close, args=[Deadline.after(TIMEOUT_S)])
        closing.start()
        assert bench.in_flight.take(ONE_BY_ONE) == []  # It comes back when closing has begun.
        stopping.set()
        closing.join(TIMEOUT_S)
        assert bench.ends(4) == [("abandoned", offset) for offset in range(4)]
    assert bench.outbox.sent == []


def test_an_output_that_no_broker_takes_stops_the_agent() -> None:
    with running(lambda batch: [Handled((Outgoing(VERDICTS, VERDICT),))], outbox=RefusingOutbox()) as bench:
        stopped = bench.failure()
        assert bench.in_flight.watermarks() == {}
    assert isinstance(stopped, DeliveryFailed)
    assert "test.deepfake.verdicts: too large" in str(stopped)


def test_a_handler_that_answers_for_fewer_messages_than_it_got_stops_the_agent() -> None:
    with running(lambda batch: [], offsets=range(2), batch=2) as bench:
        stopped = bench.failure()
        assert bench.in_flight.watermarks() == {}
    assert "a thread of the agent died" in str(stopped)


def test_a_last_step_that_fails_unexpectedly_stops_the_agent_and_the_message_stays_undone() -> None:
    def after() -> None:
        raise KeyError("gone")

    with running(lambda batch: [Handled(after=after)]) as bench:
        stopped = bench.failure()
        assert bench.in_flight.watermarks() == {}
    assert "KeyError('gone')" in str(stopped)


def test_closing_waits_for_the_handler_in_hand() -> None:
    started, may_end = Flag(), Flag()

    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        started.set()
        assert may_end.wait(TIMEOUT_S)
        return fine(batch)

    with running(handle) as bench:
        assert started.wait(TIMEOUT_S)
        closing = Thread(target=bench.workers.close, args=[Deadline.after(TIMEOUT_S)])
        closing.start()
        closing.join(timeout=0.1)
        assert closing.is_alive()
        may_end.set()
        closing.join(timeout=TIMEOUT_S)
        assert not closing.is_alive()
        assert bench.ends(1) == [("completed", 0)]


def test_a_handler_that_does_not_end_by_the_deadline_is_left_alone_and_its_message_stays_undone() -> None:
    started, may_end = Flag(), Flag()

    def handle(batch: Sequence[Incoming]) -> list[Handled]:
        started.set()
        assert may_end.wait(TIMEOUT_S)
        return fine(batch)

    with running(handle) as bench:
        assert started.wait(TIMEOUT_S)
        bench.workers.close(Deadline.after(0.05))
        assert bench.in_flight.watermarks() == {}
        may_end.set()
