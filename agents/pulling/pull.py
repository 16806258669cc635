"""One stream that is pulled: its thread, the process that it watches, and how it goes."""

import logging
from collections.abc import Callable
from threading import Condition, Thread
from time import monotonic
from typing import NoReturn

from agents.pulling.births import Nursery, Puller
from agents.pulling.course import Course, PullView
from agents.pulling.exceptions import Trouble
from agents.pulling.leases import Lease
from agents.pulling.outlet import FrameQueue, Outlet
from agents.pulling.places import Guard
from agents.pulling.retries import Retries
from agents.pulling.wire import Broken, Said, Silent, Still, Task
from agents.runtime.metrics import Metrics
from agents.settings import StreamsSettings
from schemas.stream import StreamControl
from topics.live_frames import LARGEST_BYTES

_log = logging.getLogger(__name__)

_GRACE_S = 2.0
"""How much longer than FFmpeg's own timeouts a puller process may be silent before it is killed, seconds."""
_ENVELOPE_BYTES = 4_096
"""Of a message that a still is in: the topic takes so many bytes with it."""


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
        self._course = Course(clock)
        self._lock = Condition()
        self._queue = FrameQueue(outlet, lease, self._published, self._dropped, clock)
        self._retries = Retries(settings.retry_s, settings.retry_most_s, settings.steady_s)
        self._puller: Puller | None = None
        self._ended = False
        self._again = False
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
        self._course.end()
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
        return self._course.view(self.lease.next_seq)

    def _run(self) -> None:
        while not self._ended:
            try:
                self._connect()
            except Trouble as caught:
                trouble = caught
            except Exception as error:  # noqa: BLE001  (the thread's death must be told: as the stream's state)
                _log.exception("stream %s: pulling failed", self.control.stream_id)
                trouble = Trouble("died", f"pulling failed ({type(error).__name__})")
            self._pause(trouble)

    def _pause(self, trouble: Trouble) -> None:
        with self._lock:
            if self._ended:
                return
            live_s = self._course.break_off(trouble)
            if self._again:
                # Its process was killed for something else to be pulled.
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
        self._course.connect()
        with self._lock:
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

    def _note(self, said: Said) -> None:
        changed = self._course.hear(said)
        if isinstance(said, Still):
            self._queue.put(said)
        if changed:
            self._changed()

    def _published(self) -> None:
        self._metrics.stream_frames.labels("published").inc()
        self._course.publish()

    def _dropped(self, count: int) -> None:
        self._metrics.stream_frames.labels("dropped").inc(count)
        self._course.drop(count)


def _what(control: StreamControl) -> tuple[str | None, float, int | None]:
    """What a connection depends on."""
    return control.url, control.sample_rate_fps, control.frame_skip_interval
