"""How pulling one stream goes: its phase, what came and what went out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from time import monotonic

from agents.pulling.exceptions import Trouble
from agents.pulling.pace import Pace
from agents.pulling.wire import Opened, Pulse, Said, Still
from schemas.stream import StreamPhase

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


class Course:
    """What is noted of one stream while it is pulled. Thread-safe.

    Args:
        clock: monotonic, seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._ended = False
        self._reason = ""
        self._opened: Opened | None = None
        self._connections = 0
        self._drops = 0
        self._was_live = False
        self._live_since_s: float | None = None
        self._came_s: float | None = None
        self._in, self._out = Pace(), Pace()

    def connect(self) -> None:
        """Note a new connection."""
        with self._lock:
            self._connections += 1

    def hear(self, said: Said) -> bool:
        """Note what the puller says; whether the stream is another one by it."""
        now_s = self._clock()
        with self._lock:
            before = self._live_since_s, self._opened
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
                    if self._live_since_s is None:
                        self._live_since_s = now_s
                    if self._opened is not None:
                        self._opened = replace(self._opened, width=said.width, height=said.height)
            return (self._live_since_s, self._opened) != before

    def break_off(self, trouble: Trouble) -> float:
        """Note that the connection is over; return how long frames had come over it, seconds."""
        with self._lock:
            live_s = 0.0 if self._live_since_s is None else self._clock() - self._live_since_s
            self._live_since_s = self._came_s = None
            self._reason = str(trouble)
            return live_s

    def publish(self) -> None:
        """Note a frame that the broker took."""
        self._out.add(self._clock())

    def drop(self, count: int) -> None:
        """Note frames that were let go."""
        with self._lock:
            self._drops += count

    def end(self) -> None:
        """Note that it is pulled no more."""
        with self._lock:
            self._ended = True

    def view(self, next_seq: int) -> PullView:
        """Return how it goes."""
        now_s = self._clock()
        with self._lock:
            phase, reason = self._phase(now_s)
            opened = self._opened or Opened("", 0, 0)
            return PullView(
                phase,
                reason,
                self._connections,
                next_seq,
                round(self._in.rate(now_s), 2),
                round(self._out.rate(now_s), 2),
                self._drops,
                opened.codec,
                opened.width,
                opened.height,
            )

    def _phase(self, now_s: float) -> tuple[StreamPhase, str]:
        if self._ended:
            return "ended", self._reason
        if not self._was_live:
            return "connecting", self._reason
        if self._came_s is None or now_s - self._came_s > _STALLED_S:
            return "stalled", self._reason or "no video comes"
        return "live", ""
