"""Frames and states to the broker: what cannot be delivered at once is let go, and counted."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from threading import Event as Flag, Lock, Thread
from time import monotonic

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from agents.pulling.freshest import Freshest
from agents.pulling.leases import Lease
from agents.pulling.wire import Still
from agents.runtime.clients import connection
from agents.settings import KafkaSettings
from schemas.stream import StreamState
from topics import catalogue
from topics.live_frames import LiveFrame, write_frame
from topics.serialisation import encode

_log = logging.getLogger(__name__)

IN_FLIGHT = 4
"""Frames of a stream that the client library has and the broker has not confirmed."""
WAITING = 4
"""Frames of a stream that wait for them; then the oldest is let go."""
_POLL_S = 0.02
_COMPLAIN_S = 10.0
_CLOSE_S = 1.0


class Outlet:
    """One producer for all streams of a worker, with a thread for its reports.

    Args:
        kafka: the broker.
        frame_timeout_s: a frame that the broker has not taken for so long is given up.
    """

    def __init__(self, kafka: KafkaSettings, frame_timeout_s: float) -> None:
        self._prefix = kafka.topic_prefix
        self._producer = Producer(
            connection(kafka)
            | {
                # A frame is worth nothing later: not idempotent, confirmed by the leader alone, given up soon. One that
                # comes twice has the same number.
                "acks": 1,
                "linger.ms": 0,
                "message.timeout.ms": int(frame_timeout_s * 1000),
                "message.max.bytes": 8 << 20,
                "compression.type": "none",
            },
            logger=_log,
        )
        self._complained_s = float("-inf")
        self._closing = Flag()
        self._thread = Thread(target=self._poll, name="frames-out", daemon=True)
        self._thread.start()

    def send_frame(self, frame: LiveFrame, done: Callable[[bool], None]) -> bool:
        """Hand a frame over; `done` is told, by the outlet's thread, whether the broker took it.

        Returns:
            False where it cannot be handed over now; `done` is not called then.
        """
        message = write_frame(frame)

        def report(error: KafkaError | None, _: Message) -> None:
            if error is not None and error.code() != KafkaError._PURGE_QUEUE:
                self._complain(error.str())
            done(error is None)

        return self._produce(catalogue.FRAMES.name, message.key, message.value, message.headers, report)

    def send_state(self, state: StreamState) -> None:
        """Hand a state over. One that is lost comes again: states are repeated."""
        message = encode(state)
        self._produce(catalogue.STREAM_STATES.name, message.key, message.value, message.headers, _note)

    @property
    def unconfirmed(self) -> int:
        """Messages that the client library holds."""
        return len(self._producer)

    def _produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: dict[str, bytes],
        report: Callable[[KafkaError | None, Message], None],
    ) -> bool:
        try:
            self._producer.produce(
                self._prefix + topic, key=key, value=value, headers=list(headers.items()), on_delivery=report
            )
        except (BufferError, KafkaException) as error:
            self._complain(str(error))
            return False
        return True

    def _complain(self, why: str) -> None:
        """Say why frames are dropped, not for each of them."""
        now_s = monotonic()
        if now_s - self._complained_s > _COMPLAIN_S:
            self._complained_s = now_s
            _log.warning("frames are dropped, since the broker does not take them: %s", why)

    def close(self) -> None:
        """Wait a moment for what is out, then let go of it."""
        self._producer.flush(_CLOSE_S)
        self._producer.purge()
        self._closing.set()
        self._thread.join()
        self._producer.flush(_CLOSE_S)

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL_S)


def _note(error: KafkaError | None, message: Message) -> None:
    if error is not None and error.code() != KafkaError._PURGE_QUEUE:
        _log.warning("%s: a state was not taken: %s", message.topic(), error)


class FrameQueue:
    """The frames of one stream on their way out, in order, numbered by its lease at the last moment. Thread-safe.

    Args:
        outlet: where they go.
        lease: by which they may be published.
        published: called for each that the broker took.
        dropped: called with how many were let go.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        outlet: Outlet,
        lease: Lease,
        published: Callable[[], None],
        dropped: Callable[[int], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._outlet = outlet
        self._lease = lease
        self._published = published
        self._dropped = dropped
        self._clock = clock
        self._lock = Lock()
        self._waiting: Freshest[Still] = Freshest(WAITING)
        self._in_flight = 0
        self._closed = False

    def put(self, still: Still) -> None:
        """Add the newest frame."""
        with self._lock:
            if self._closed:
                return
            if self._waiting.put(still):
                self._dropped(1)
            self._pump()

    def close(self) -> None:
        """Let nothing more out."""
        with self._lock:
            self._closed = True
            self._dropped(self._waiting.clear())

    def _pump(self) -> None:
        while self._in_flight < IN_FLIGHT and (still := self._waiting.take()) is not None:
            seq = self._lease.seq(self._clock())
            if seq is None or not self._outlet.send_frame(_frame(self._lease.stream_id, seq, still), self._done):
                self._dropped(1)
                continue
            self._in_flight += 1

    def _done(self, taken: bool) -> None:
        with self._lock:
            self._in_flight -= 1
            if taken:
                self._published()
            else:
                self._dropped(1)
            if not self._closed:
                self._pump()


def _frame(stream_id: str, seq: int, still: Still) -> LiveFrame:
    captured_at = datetime.fromtimestamp(still.captured_ms / 1000, UTC)
    return LiveFrame(stream_id, seq, still.pts_ms, captured_at, "image/jpeg", still.jpeg, traceparent(stream_id, seq))


def traceparent(stream_id: str, seq: int) -> str:
    """Return the W3C Trace Context that begins with a frame; the same frame always has the same."""
    digest = sha256(f"{stream_id}/{seq}".encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01"
