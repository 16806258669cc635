"""One stream that is pulled: its thread, the process that it watches, and how it goes."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Condition, Thread
from time import monotonic
from typing import NoReturn

from agents.pulling.births import Nursery, Puller
from agents.pulling.exceptions import Trouble
from agents.pulling.leases import Lease
from agents.pulling.outlet import FrameQueue, Outlet
from agents.pulling.pace import Pace
from agents.pulling.places import Guard
from agents.pulling.retries import Retries
from agents.pulling.wire import Broken, Opened, Pulse, Silent, Still, Task
from agents.runtime.metrics import Metrics
from agents.settings import StreamsSettings
from schemas.stream import StreamControl, StreamPhase
from topics.live_frames import LARGEST_BYTES

_log = logging.getLogger(__name__)

_GRACE_S = 2.0
"""How much longer than FFmpeg's own timeouts a puller process may be silent before it is killed, seconds."""
_ENVELOPE_BYTES = 4_096
"""Of a message that a still is in: the topic takes so many bytes with it."""
_STALLED_S = 3.0
"""After so long without video a stream counts as stalled, seconds."""


@dataclass(frozen=True, slots=True)
class PullView:
    """How pulling a stream goes at a moment; the fields are those of `schemas.stream.StreamState`."""

    phase: StreamPhase
    reason: str
    connections: int
    next_seq: int
    received_fps: float
    published_fps: float
    dropped: int
    codec: str
    width: int
    height: int


class Pull:
    """Pulls a stream, connecting again and again, until it is ended.

    Args:
        control: what was asked.
        lease: by which its frames are published.
        settings: how streams are pulled.
        guard: which hosts may be connected to.
        nursery: starts the processes.
        outlet: takes the frames.
        metrics: counts them.
        changed: called, from its threads, when its view is another.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        control: StreamControl,
        lease: Lease,
        settings: StreamsSettings,
        guard: Guard,
        nursery: Nursery,
        outlet: Outlet,
        metrics: Metrics,
        changed: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.control = control
        self.lease = lease
        self._settings = settings
        self._guard = guard
        self._nursery = nursery
        self._metrics = metrics
        self._changed = changed
        self._clock = clock
        self._lock = Condition()
        self._queue = FrameQueue(outlet, lease, self._published, self._dropped, clock)
        self._retries = Retries(settings.retry_s, settings.retry_most_s, settings.steady_s)
        self._puller: Puller | None = None
        self._ended = False
        self._again = False
        self._reason = ""
        self._opened: Opened | None = None
        self._connections = 0
        self._drops = 0
        self._live_since_s: float | None = None
        self._came_s: float | None = None
        self._was_live = False
        self._in, self._out = Pace(), Pace()
        self._thread = Thread(target=self._run, name=f"pull {control.stream_id}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def follow(self, control: StreamControl) -> None:
        """Pull as is asked now; connects anew where that is something else."""
        with self._lock:
            if _what(control) != _what(self.control):
                self._again = True
                self._let_go()
            self.control = control

    def end(self) -> None:
        """Publish nothing more, and end the process. Does not wait for it."""
        self._queue.close()
        with self._lock:
            self._ended = True
            self._let_go()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended."""
        self._thread.join(timeout_s)

    def _let_go(self) -> None:
        if self._puller is not None:
            self._puller.kill()
        self._lock.notify_all()

    @property
    def pid(self) -> int | None:
        """Of the process that pulls, while there is one."""
        with self._lock:
            return None if self._puller is None else self._puller.pid

    def view(self) -> PullView:
        """Return how it goes."""
        now_s = self._clock()
        with self._lock:
            phase: StreamPhase
            reason = self._reason
            if self._ended:
                phase = "ended"
            elif not self._was_live:
                phase = "connecting"
            elif self._came_s is None or now_s - self._came_s > _STALLED_S:
                phase = "stalled"
                reason = reason or "no video comes"
            else:
                phase, reason = "live", ""
            opened = self._opened or Opened("", 0, 0)
            return PullView(
                phase,
                reason,
                self._connections,
                self.lease.next_seq,
                round(self._in.rate(now_s), 2),
                round(self._out.rate(now_s), 2),
                self._drops,
                opened.codec,
                opened.width,
                opened.height,
            )

    def _run(self) -> None:
        while not self._ended:
            live_s = 0.0
            try:
                self._connect()
            except Trouble as caught:
                trouble = caught
            except Exception as error:  # noqa: BLE001  (the thread's death must be told: as the stream's state)
                _log.exception("stream %s: pulling failed", self.control.stream_id)
                trouble = Trouble("died", f"pulling failed ({type(error).__name__})")
            if self._live_since_s is not None:
                live_s = self._clock() - self._live_since_s
            self._pause(trouble, live_s)

    def _pause(self, trouble: Trouble, live_s: float) -> None:
        with self._lock:
            self._live_since_s = self._came_s = None
            if self._ended:
                return
            self._reason = str(trouble)
            if self._again:
                self._again = False
                return
            pause_s = self._retries.pause(trouble, live_s)
        self._metrics.stream_connections_ended.labels(trouble.kind).inc()
        _log.info("stream %s: %s; connecting again in %.1f s", self.control.stream_id, trouble, pause_s)
        self._changed()
        with self._lock:
            self._lock.wait_for(lambda: self._ended or self._again, pause_s)
            self._again = False

    def _connect(self) -> NoReturn:
        """Pull over one connection.

        Raises:
            Trouble: always, in the end: why it is over.
        """
        with self._lock:
            self._connections += 1
            control = self.control
        place = self._guard.place(control.url or "")
        settings = self._settings
        puller = self._nursery.start(
            Task(
                url=place.url,
                form=place.form,
                options=place.options,
                fps=control.sample_rate_fps,
                every_nth=control.frame_skip_interval,
                max_side=settings.max_side,
                quality=settings.jpeg_quality,
                most_bytes=LARGEST_BYTES - _ENVELOPE_BYTES,
                open_timeout_s=settings.open_timeout_s,
                read_timeout_s=settings.read_timeout_s,
                web=place.web,
                allow_private=self._guard.allow_private,
                hosts=sorted(self._guard.hosts),
            )
        )
        with self._lock:
            self._puller = puller
            if self._ended or self._again:
                puller.kill()
        try:
            self._watch(puller)
        finally:
            with self._lock:
                self._puller = None
            puller.close()

    def _watch(self, puller: Puller) -> NoReturn:
        patience_s = self._settings.open_timeout_s + _GRACE_S
        try:
            while True:
                said = puller.wire.receive(patience_s)
                patience_s = self._settings.read_timeout_s + _GRACE_S
                self._note(said)
        except Silent as error:
            raise Trouble("hung", f"no sign of life for {patience_s:g} s") from error
        except Broken as error:
            raise Trouble("died", f"the puller process ended ({error})") from error

    def _note(self, said: "Opened | Pulse | Still") -> None:
        now_s = self._clock()
        before = self._was_live, self._live_since_s, self._opened
        with self._lock:
            match said:
                case Opened():
                    self._opened = said
                    self._reason = ""
                case Pulse():
                    self._in.add(now_s, said.received)
                    if self._live_since_s is not None:
                        self._came_s = now_s
                case Still():
                    self._was_live = True
                    self._came_s = now_s
                    self._live_since_s = self._live_since_s or now_s
                    if self._opened is not None:
                        self._opened = replace(self._opened, width=said.width, height=said.height)
        if isinstance(said, Still):
            self._queue.put(said)
        if (self._was_live, self._live_since_s, self._opened) != before:
            self._changed()

    def _published(self) -> None:
        self._metrics.stream_frames.labels("published").inc()
        self._out.add(self._clock())

    def _dropped(self, count: int) -> None:
        self._drops += count
        self._metrics.stream_frames.labels("dropped").inc(count)


def _what(control: StreamControl) -> tuple[str | None, float, int | None]:
    """What a connection depends on."""
    return control.url, control.sample_rate_fps, control.frame_skip_interval
