"""A service of the control plane: handlers of topics in a Faust app, which loses nothing.

Faust counts a message as handled when the stream goes on to the next one, also where its handler raised or was
cancelled, and commits past messages that are still in hand. So here it is told of each message itself, in order, when
that is done or a dead letter; what is not done when the process ends is read again.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Any, cast

import faust
from faust.streams import Stream
from faust.types import EventT, StreamT

from agents.runtime.backoff import Backoff
from agents.runtime.clients import faust_options
from agents.runtime.dead_letter import dead_letter
from agents.runtime.exceptions import AgentStopped, Reject, Unavailable
from agents.runtime.failpoints import reached
from agents.runtime.faust_transport import quick_transport
from agents.runtime.health import Health, HealthEndpoint
from agents.runtime.messages import Incoming, Partition
from agents.runtime.metrics import Metrics
from agents.settings import Settings
from topics.catalogue import Topic
from topics.serialisation import RawMessage

_log = logging.getLogger(__name__)

Handler = Callable[[Incoming], Awaitable[None]]
"""Handles a message wholly, again where it is read again. May raise Reject and Unavailable."""

_EMBEDDED_SESSION_S = 6.0
_BEAT_S = 1.0
_BUFFER = 128
"""Messages of a topic that wait in memory."""
_LONGEST_WAIT_S = 2 * 3600.0
"""A handler may wait so long, for the retry topic with the longest delay, before Faust complains."""
_UNEXPECTED = "handler_error"


class _AcksInOrder:
    """Tells Faust of done messages in the order of their offsets: it commits past what it is not told of."""

    def __init__(self, stream: StreamT[bytes]) -> None:
        self._stream = stream
        self._begun: defaultdict[Partition, deque[EventT[bytes]]] = defaultdict(deque)
        self._done: set[int] = set()
        """By identity: an event that is read again is another one."""

    def begin(self, event: EventT[bytes]) -> None:
        self._begun[_partition(event)].append(event)

    async def done(self, event: EventT[bytes]) -> None:
        begun = self._begun[_partition(event)]
        self._done.add(id(event))
        while begun and id(begun[0]) in self._done:
            first = begun.popleft()
            self._done.discard(id(first))
            await self._stream.ack(first)


class FaustService:
    """Runs handlers from `run` to `stop`; see `agents.runtime.service.Service`.

    Args:
        name: also the consumer group's, after the prefix.
        settings: of the process.
        metrics: of the process.
        opened: called on the event loop before anything is read.
        closed: called after.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        metrics: Metrics,
        opened: Callable[[], Awaitable[None]],
        closed: Callable[[], Awaitable[None]],
    ) -> None:
        self.name = name
        self.health = Health(name, metrics, settings.runtime.stalled_after_s)
        self._settings = settings
        self._metrics = metrics
        self._opened = opened
        self._closed = closed
        self._backoff = Backoff(settings.runtime.retry_backoff_s)
        self._in_hand = 0
        self._draining = False
        self._stop_lock = Lock()
        self._stopped = False
        self._wake: Callable[[], object] | None = None
        embedded = settings.kafka.broker == "embedded"
        session_s = _EMBEDDED_SESSION_S if embedded else settings.kafka.session_timeout_s
        for noisy in ("faust", "aiokafka", "mode"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        self._app = faust.App(
            settings.kafka.topic_prefix + name,
            **faust_options(settings.kafka),
            store="memory://",
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_buffer_maxsize=_BUFFER,
            stream_wait_empty=False,
            stream_processing_timeout=_LONGEST_WAIT_S,
            broker_commit_interval=1.0,
            broker_commit_livelock_soft_timeout=_LONGEST_WAIT_S,
            broker_session_timeout=session_s,
            broker_heartbeat_interval=min(3.0, session_s / 4),
            consumer_auto_offset_reset="earliest",
            producer_acks=-1,
            producer_max_request_size=8 << 20,
            loghandlers=[],
        )
        self._app.transport = quick_transport(self._app)

    def handle(
        self, topic: Topic, what: str, handler: Handler, *, at_once: int = 1, origin: Topic | None = None
    ) -> None:
        """Let a handler have the messages of a topic. Several handlers of one topic each have all of them.

        Args:
            topic: which.
            what: names the handler.
            handler: see `Handler`.
            at_once: messages handled side by side. One counts as done when all before it in its partition are.
            origin: the topic that the messages were of before they came to be retried.
        """
        channel = self._app.topic(
            self._settings.kafka.topic_prefix + topic.name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            allow_empty=True,
        )

        async def work(stream: StreamT[bytes]) -> None:
            acks, free, running = _AcksInOrder(stream), asyncio.Semaphore(at_once), set[asyncio.Task[None]]()

            async def one(event: EventT[bytes]) -> None:
                try:
                    await self._handled(handler, self._incoming(event, origin or topic))
                    reached("before-offset-commit")
                    await acks.done(event)
                finally:
                    free.release()

            try:
                async for event in cast("Stream[bytes]", stream).noack().events():
                    await free.acquire()
                    acks.begin(event)
                    task = asyncio.create_task(one(event))
                    running.add(task)
                    task.add_done_callback(running.discard)
            finally:
                for task in running:
                    task.cancel()

        self._app.agent(channel, name=f"{self.name}.{what}", concurrency=1)(work)

    def every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do something regularly; what is away is waited for until the next time."""

        async def turn() -> None:
            try:
                await work()
            except Unavailable as error:
                self._note_away(error)

        self._app.timer(seconds)(turn)

    async def publish(self, topic: Topic, message: RawMessage) -> None:
        """Publish, and return when the broker has it; a broker that is away is waited for."""
        name = self._settings.kafka.topic_prefix + topic.name
        headers = list(message.headers.items())
        for pause in self._backoff.pauses():
            try:
                await self._app.producer.send_and_wait(name, message.key, message.value, None, None, headers)
            except Exception as error:  # noqa: BLE001  (whatever it is, the message must arrive before its cause is done)
                self._note_away(Unavailable("kafka", f"{name}: {error!r}"))
                await asyncio.sleep(pause)
            else:
                reached("after-produce")
                self.health.back("kafka")
                self._metrics.produced.labels(name).inc()
                return

    async def waits(self, seconds: float) -> None:
        """Wait inside a handler, for something that is due later: a stop does not wait for it."""
        self._in_hand -= 1
        try:
            await asyncio.sleep(max(0.0, seconds))
            await self._go_on()
        finally:
            self._in_hand += 1

    async def _go_on(self) -> None:
        """Begin nothing new while it ends: what is not begun is read again."""
        while self._draining:
            await asyncio.sleep(_BEAT_S)

    async def _handled(self, handler: Handler, message: Incoming) -> None:
        await self._go_on()
        self._in_hand += 1
        reached("after-fetch")
        self._metrics.consumed.labels(message.topic.name).inc()
        try:
            await self._try(handler, message)
        finally:
            self._in_hand -= 1
        self._metrics.completed.labels(message.topic.name).inc()

    async def _try(self, handler: Handler, message: Incoming) -> None:
        attempts = 0
        away: set[str] = set()
        for pause in self._backoff.pauses():
            attempts += 1
            try:
                await handler(message)
            except Unavailable as error:
                attempts -= 1
                away.add(error.dependency)
                self._note_away(error)
            except Reject as reject:
                await self.bury(message, reject, attempts)
                break
            except Exception as error:  # noqa: BLE001  (what nobody foresaw becomes a dead letter)
                _log.exception("%s failed on %s@%d", self.name, message.partition, message.offset)
                if attempts >= self._settings.runtime.max_attempts:
                    await self.bury(message, Reject(_UNEXPECTED, repr(error)), attempts)
                    break
                self._metrics.retries.labels(_UNEXPECTED).inc()
            else:
                break
            await asyncio.sleep(pause)
        for dependency in away:
            self.health.back(dependency)

    async def bury(self, message: Incoming, reject: Reject, attempts: int) -> None:
        """Make a message a dead letter."""
        _log.warning("%s@%d becomes a dead letter: %s", message.partition, message.offset, reject)
        name = message.topic.dead_letter_name
        grave = next(topic for topic in message.topic.companions() if topic.name == name)
        await self.publish(grave, dead_letter(message, reject, attempts, self.name))
        self._metrics.dead_letters.labels(message.topic.name, reject.reason).inc()

    def _note_away(self, error: Unavailable) -> None:
        _log.warning("%s", error)
        self.health.away(error.dependency, error.detail)
        self._metrics.retries.labels(error.dependency).inc()

    def _incoming(self, event: EventT[bytes], topic: Topic) -> Incoming:
        message = event.message
        return Incoming(
            topic=topic,
            partition=_partition(event),
            offset=message.offset,
            key=message.key,
            value=message.value,
            headers=_headers(message.headers),
            timestamp_ms=round(1000 * (message.timestamp or 0)),
        )

    def stop(self) -> None:
        """Finish what is in hand, and end. From any thread."""
        with self._stop_lock:
            self._stopped = True
            if self._wake is not None:
                self._wake()

    def run(self) -> None:
        """Run until stopped.

        Raises:
            AgentStopped: the broker cannot be reached, or the app died.
        """
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        with self._stop_lock:
            self._wake = partial(loop.call_soon_threadsafe, stopping.set)
            if self._stopped:
                stopping.set()
        runtime = self._settings.runtime
        endpoint = (
            HealthEndpoint(self.health, self._metrics, runtime.health_host, runtime.health_port)
            if runtime.health_port >= 0
            else None
        )
        if endpoint is not None:
            _log.info("%s: health and metrics at %s", self.name, endpoint.url)
        try:
            await self._opened()
            await self._serve(stopping)
        finally:
            with self._stop_lock:
                self._wake = None
            self.health.enter("stopped")
            await self._closed()
            if endpoint is not None:
                endpoint.close()

    async def _serve(self, stopping: asyncio.Event) -> None:
        try:
            await self._app.start()
        except Exception as error:
            raise AgentStopped(f"{self.name} cannot start: {error!r}") from error
        self.health.enter("running")
        try:
            while not stopping.is_set():
                self._beat()
                if self._app.crashed or self._app.should_stop:
                    raise AgentStopped(f"{self.name} died: {self._app.crash_reason!r}")
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), _BEAT_S)
            self.health.enter("draining")
            await self._drain()
        finally:
            await self._app.stop()

    def _beat(self) -> None:
        self.health.beat()
        consumer = self._app.consumer
        self.health.assigned(len(consumer.assignment()) if consumer.started else 0)

    async def _drain(self) -> None:
        self._draining = True
        deadline = asyncio.get_running_loop().time() + self._settings.runtime.drain_timeout_s
        while self._in_hand and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        if self._in_hand:
            _log.warning("%d messages are still in hand; they will be read again", self._in_hand)


def _partition(event: EventT[bytes]) -> Partition:
    return Partition(event.message.topic, event.message.partition)


def _headers(headers: Any) -> dict[str, bytes]:
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    return {str(name): value for name, value in pairs if isinstance(value, bytes)}
