"""The threads that run an agent's handler, and the one that finishes messages."""

import logging
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Event as Flag, Lock, Thread
from time import perf_counter

from agents.runtime.agent import Agent
from agents.runtime.backoff import Backoff
from agents.runtime.dead_letter import dead_letter
from agents.runtime.deadline import Deadline
from agents.runtime.exceptions import AgentStopped, Reject, TooManyRejects, Unavailable
from agents.runtime.failpoints import reached
from agents.runtime.health import Health
from agents.runtime.in_flight import InFlight
from agents.runtime.messages import Handled, Incoming
from agents.runtime.metrics import Metrics
from agents.runtime.outbox import Addressed, Outbox
from agents.runtime.trace import traceparent
from topics.serialisation import encode

_log = logging.getLogger(__name__)

_DEAD_LETTER_WAIT_S = 0.1
"""How often a stop is looked for while a dead letter is on its way, seconds."""
_UNEXPECTED = "handler_error"
"""The dead-letter reason of an exception that nobody foresaw."""


class _RejectRun:
    """Counts dead letters without a handled message in between."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._run = 0
        self._lock = Lock()

    def handled(self) -> None:
        with self._lock:
            self._run = 0

    def rejected(self, reject: Reject) -> None:
        with self._lock:
            self._run += 1
            run = self._run
        if run >= self._limit:
            raise TooManyRejects(
                f"{run} messages in a row became dead letters, the last one for {reject}; "
                "the rest of the topic is left as it is"
            )


class Workers:
    """Takes batches from what is in flight, handles them, sends what they made, completes them.

    `failed` is told of an error that must stop the agent. What is not done then is not completed.
    """

    def __init__(
        self,
        agent: Agent,
        in_flight: InFlight,
        outbox: Outbox,
        metrics: Metrics,
        health: Health,
        *,
        topic_prefix: str,
        max_attempts: int,
        max_consecutive_rejects: int,
        backoff: Backoff,
        failed: Callable[[AgentStopped], None],
    ) -> None:
        self._agent = agent
        self._in_flight = in_flight
        self._outbox = outbox
        self._metrics = metrics
        self._health = health
        self._prefix = topic_prefix
        self._max_attempts = max_attempts
        self._rejects = _RejectRun(max_consecutive_rejects)
        self._backoff = backoff
        self._failed = failed
        self._hurried = Flag()
        self._closing = Flag()
        self._delivered: SimpleQueue[tuple[Incoming, Handled] | None] = SimpleQueue()
        self._handlers = [
            Thread(target=self._guard, args=(self._work,), name=f"handler-{number}", daemon=True)
            for number in range(agent.concurrency)
        ]
        self._finisher = Thread(target=self._guard, args=(self._finish,), name="finisher", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        for thread in (*self._handlers, self._finisher):
            thread.start()

    def stop_waiting(self) -> None:
        """Let handlers that wait for something which is away give up: their messages stay undone."""
        self._hurried.set()

    def close(self, deadline: Deadline) -> None:
        """End the threads. A handler that is still at it by the deadline is left alone: its message is undone."""
        self._hurried.set()
        self._closing.set()
        self._in_flight.close()
        for thread in self._handlers:
            thread.join(deadline.remaining_s)
        self._delivered.put(None)
        self._finisher.join(deadline.remaining_s)
        left = [thread.name for thread in (*self._handlers, self._finisher) if thread.is_alive()]
        if left:
            _log.warning("%s did not end in time; what is in hand there will be read again", ", ".join(left))

    def _guard(self, run: Callable[[], None]) -> None:
        try:
            run()
        except AgentStopped as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001  (a thread's death must stop the agent, whatever it died of)
            _log.exception("a thread of the agent died")
            self._failed(AgentStopped(f"a thread of the agent died: {error!r}"))

    def _work(self) -> None:
        while batch := self._in_flight.take(self._agent.batch):
            self._metrics.batch_size.observe(len(batch))
            self._handle(batch)

    def _handle(self, batch: Sequence[Incoming]) -> None:
        attempts = 0
        away: set[str] = set()
        for pause in self._backoff.pauses():
            attempts += 1
            try:
                started = perf_counter()
                results = self._agent.handle(batch)
                self._metrics.stage_seconds.labels("handle").observe(perf_counter() - started)
            except Unavailable as error:
                attempts -= 1  # It says nothing of the message.
                away.add(error.dependency)
                self._wait_for(error, pause)
            except Reject as reject:
                self._answered(away)
                if len(batch) == 1:
                    self._bury(batch[0], reject, attempts)
                else:
                    self._handle_halves(batch)
                return
            except Exception as error:  # noqa: BLE001  (what nobody foresaw becomes a dead letter)
                _log.exception("the handler failed on %s", _place(batch[0]))
                if len(batch) > 1:
                    self._handle_halves(batch)
                    return
                if attempts >= self._max_attempts:
                    self._answered(away)
                    self._bury(batch[0], Reject(_UNEXPECTED, repr(error)), attempts)
                    return
                self._metrics.retries.labels("handler_error").inc()
                self._hurried.wait(pause)
            else:
                self._answered(away)
                self._rejects.handled()
                for message, handled in zip(batch, results, strict=True):
                    self._publish(message, handled)
                return
            if self._hurried.is_set():
                self._abandon(batch)
                return

    def _handle_halves(self, batch: Sequence[Incoming]) -> None:
        """Find the bad messages of a batch by halving it; the good ones keep their order."""
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            if self._closing.is_set():
                self._abandon(half)
            else:
                self._handle(half)

    def _abandon(self, batch: Sequence[Incoming]) -> None:
        for message in batch:
            self._in_flight.abandon(message)

    def _publish(self, message: Incoming, handled: Handled) -> None:
        trace = traceparent(message)
        started = perf_counter()

        def arrived() -> None:
            if handled.outputs:
                reached("after-produce")
            self._metrics.stage_seconds.labels("deliver").observe(perf_counter() - started)
            self._delivered.put((message, handled))

        self._outbox.send(
            [Addressed(self._prefix + output.topic.name, encode(output.event, trace)) for output in handled.outputs],
            arrived,
        )

    def _bury(self, message: Incoming, reject: Reject, attempts: int) -> None:
        _log.warning("%s becomes a dead letter: %s", _place(message), reject)
        buried = Addressed(
            self._prefix + message.topic.dead_letter_name,
            dead_letter(message, reject, attempts, self._agent.name),
        )
        safe = Flag()
        self._outbox.send([buried], safe.set)
        # Until it is safe nothing behind it is handled: an agent that keeps its own offsets would step over it.
        while not safe.wait(_DEAD_LETTER_WAIT_S):
            if self._closing.is_set():
                self._in_flight.abandon(message)
                return
        self._metrics.dead_letters.labels(message.topic.name, reject.reason).inc()
        self._delivered.put((message, Handled(after=lambda: self._agent.buried(message))))
        self._rejects.rejected(reject)

    def _finish(self) -> None:
        while (item := self._delivered.get()) is not None:
            message, handled = item
            if self._run_after(handled):
                self._in_flight.complete(message)
                self._metrics.completed.labels(message.topic.name).inc()
            else:
                self._in_flight.abandon(message)

    def _run_after(self, handled: Handled) -> bool:
        away: set[str] = set()
        for pause in self._backoff.pauses():
            try:
                handled.after()
            except Unavailable as error:
                away.add(error.dependency)
                self._wait_for(error, pause)
            else:
                self._answered(away)
                return True
            if self._hurried.is_set():
                return False
        raise AssertionError("pauses are without end")

    def _wait_for(self, error: Unavailable, pause: float) -> None:
        _log.warning("%s; trying again in %.1f s", error, pause)
        self._health.away(error.dependency, error.detail)
        self._metrics.retries.labels(error.dependency).inc()
        self._in_flight.hold()
        self._hurried.wait(pause)
        self._in_flight.release()

    def _answered(self, dependencies: set[str]) -> None:
        for dependency in dependencies:
            self._health.back(dependency)


def _place(message: Incoming) -> str:
    return f"{message.partition.topic}/{message.partition.number}@{message.offset}"
