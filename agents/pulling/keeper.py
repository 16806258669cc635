"""Which streams this worker pulls: one thread that renews, takes, follows and ends, about once a second."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from random import Random
from threading import Event as Flag, Lock, Thread
from time import monotonic
from typing import get_args

from agents.live.asked import AskedUnreadable
from agents.pulling.course import PullView
from agents.pulling.leases import Lease, Leases
from agents.pulling.outlet import Outlet
from agents.pulling.pull import Pull
from agents.pulling.registry import Registry
from agents.runtime.deadline import Deadline
from agents.runtime.exceptions import AgentStopped, Unavailable
from agents.runtime.health import Health
from agents.runtime.metrics import Metrics
from schemas.stream import StreamControl, StreamPhase, StreamState

_log = logging.getLogger(__name__)

_TURN_S = 0.5
"""How often it looks, seconds: how late a stop or a stream that nobody pulls is noticed."""
_LEAST_S = 0.05
"""Between two turns, at least, seconds."""
_HASTE_S = 0.1
"""The same while there are more streams to take than it took at once."""
_SHARE = 8
"""A worker takes an eighth of its free places at once, so that others who look meanwhile have theirs."""
_LOOKED_AT = 512
"""Streams of others that it looks at in a turn, at random: whether they are others' still."""
_REPEAT_S = 10.0
"""How often the state of a stream is published that has not changed, seconds."""
_END_S = 2.0

NewPull = Callable[[StreamControl, Lease, Callable[[], None]], Pull]
"""Makes the pull of a stream; the last argument is to be called when its view changes."""


def _now() -> datetime:
    return datetime.now(UTC)


class Keeper:
    """Keeps this worker's streams.

    Args:
        worker: its name, in states.
        registry: which streams there are, and what was asked of them.
        leases: who has which.
        new_pull: makes pulls.
        outlet: takes states.
        metrics: counts streams.
        most: streams that it pulls at most.
        chance: spreads workers.
        now: for the time of states.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        worker: str,
        registry: Registry,
        leases: Leases,
        new_pull: NewPull,
        outlet: Outlet,
        metrics: Metrics,
        most: int,
        chance: Random | None = None,
        now: Callable[[], datetime] = _now,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._worker = worker
        self._registry = registry
        self._leases = leases
        self._new_pull = new_pull
        self._outlet = outlet
        self._metrics = metrics
        self._most = most
        self._chance = chance or Random()  # noqa: S311 - it spreads load, and keeps no secret
        self._now = now
        self._clock = clock
        self._lock = Lock()
        self._pulls: dict[str, Pull] = {}
        self._told: dict[str, tuple[tuple[object, ...], float]] = {}
        self._crowded = False
        self._woken = Flag()
        self._closing = Flag()
        self._thread: Thread | None = None

    def start(self, health: Health, failed: Callable[[AgentStopped], None]) -> None:
        """Begin. Whether Redis answers is told to `health`, and the end of the thread by an error to `failed`."""
        self._thread = Thread(target=self._run, args=(health, failed), name="keeper", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look now."""
        self._woken.set()

    def states(self) -> Sequence[StreamState]:
        """Return how this worker's streams go."""
        with self._lock:
            pulls = list(self._pulls.values())
        return [self._state(pull.control, pull.lease, pull.view()) for pull in pulls]

    def close(self) -> None:
        """End every pull. Leases are given back by `release`, once the last frames are out."""
        self._closing.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join()
        for pull in self._pulls.values():
            left = replace(pull.view(), phase="stalled", reason="its worker was stopped")
            pull.end()
            if self._clock() < pull.lease.good_until_s:
                self._outlet.send_state(self._state(pull.control, pull.lease, left))
        deadline = Deadline.after(_END_S)
        for pull in self._pulls.values():
            pull.join(deadline.remaining_s)

    def release(self) -> None:
        """Give the leases back, so that others take the streams at once."""
        leases = [pull.lease for pull in self._pulls.values()]
        try:
            self._leases.release(leases)
        except Unavailable as error:
            _log.warning("%s; leases run out by themselves", error)

    def _run(self, health: Health, failed: Callable[[AgentStopped], None]) -> None:
        try:
            while not self._closing.is_set():
                self._woken.clear()
                self._turn(health)
                turn_s = _HASTE_S if self._crowded else _TURN_S
                self._woken.wait(turn_s * self._chance.uniform(0.8, 1.2))
                # A stream that is another one each moment does not make this a loop without a break.
                self._closing.wait(_LEAST_S)
        except Exception as error:  # noqa: BLE001  (the thread's death must stop the agent, whatever it died of)
            _log.exception("the keeper of streams died")
            failed(AgentStopped(f"the keeper of streams died: {error!r}"))

    def _turn(self, health: Health) -> None:
        try:
            self._renew()
            known = self._registry.all()
            self._take(known - self._follow(known))
        except Unavailable as error:
            health.away(error.dependency, error.detail)
            _log.warning("%s; streams go on until their leases end", error)
        else:
            health.back("redis")
        self._tell()

    def _renew(self) -> None:
        lost = self._leases.renew([pull.lease for pull in self._pulls.values()])
        for lease in lost:
            _log.warning("stream %s: another worker has it now", lease.stream_id)
            self._drop(lease.stream_id).end()

    def _follow(self, known: frozenset[str]) -> frozenset[str]:
        """Do what is asked of this worker's streams, and write down again what Redis has forgotten of them.

        Returns:
            Those that were ended.
        """
        ended = set()
        asked = self._registry.asked.find_all(list(self._pulls))
        for stream_id, pull in list(self._pulls.items()):
            control = asked.get(stream_id)
            if control is None:
                self._write_down(pull.control)
            elif control.command == "stop":
                self._finish(control, pull)
                ended.add(stream_id)
            else:
                pull.follow(control)
                if stream_id not in known:
                    self._registry.add([stream_id])
        return frozenset(ended)

    def _write_down(self, control: StreamControl) -> None:
        try:
            self._registry.note(control)
        except AskedUnreadable as error:
            _log.warning("%s; it goes on as it was", error)

    def _finish(self, control: StreamControl, pull: Pull) -> None:
        pull.end()
        self._outlet.send_state(self._state(control, pull.lease, pull.view(), reason="stopped"))
        self._registry.forget(control.stream_id)
        self._leases.release([pull.lease])
        self._drop(control.stream_id)

    def _take(self, known: frozenset[str]) -> None:
        """Take streams that nobody pulls."""
        self._crowded = False
        room = self._most - len(self._pulls)
        others = sorted(known - self._pulls.keys())
        if room <= 0 or not others:
            return
        free = self._leases.free(self._chance.sample(others, min(len(others), _LOOKED_AT)))
        at_once = min(len(free), max(1, room // _SHARE))
        leases = self._leases.acquire(free[:at_once])
        self._crowded = len(free) > at_once
        asked = self._registry.asked.find_all([lease.stream_id for lease in leases])
        for lease in leases:
            control = asked.get(lease.stream_id)
            if control is not None and control.command == "start":
                self._begin(control, lease)
                continue
            # It was stopped while nobody pulled it; or Redis has lost what it was.
            if control is not None:
                self._outlet.send_state(self._state(control, lease, replace(_STOPPED, next_seq=lease.next_seq)))
            self._registry.forget(lease.stream_id)
            self._leases.release([lease])

    def _begin(self, control: StreamControl, lease: Lease) -> None:
        pull = self._new_pull(control, lease, self.wake)
        with self._lock:
            self._pulls[control.stream_id] = pull
        pull.start()

    def _drop(self, stream_id: str) -> Pull:
        self._told.pop(stream_id, None)
        with self._lock:
            return self._pulls.pop(stream_id)

    def _tell(self) -> None:
        """Publish states that changed, and repeat others; never by a lease that may be another's."""
        now_s = self._clock()
        views = {stream_id: pull.view() for stream_id, pull in self._pulls.items()}
        for stream_id, view in views.items():
            pull = self._pulls[stream_id]
            if now_s >= pull.lease.good_until_s:
                continue
            what = (pull.lease.number, view.phase, view.reason, view.codec, view.width, view.height)
            before, at_s = self._told.get(stream_id, ((), 0.0))
            if what != before or now_s - at_s >= _REPEAT_S:
                self._outlet.send_state(self._state(pull.control, pull.lease, view))
                self._told[stream_id] = what, now_s
        self._count(view.phase for view in views.values())

    def _count(self, phases: Iterable[StreamPhase]) -> None:
        found = list(phases)
        for phase in get_args(StreamPhase):
            self._metrics.streams.labels(phase).set(found.count(phase))

    def _state(self, control: StreamControl, lease: Lease, view: PullView, reason: str | None = None) -> StreamState:
        fields = asdict(view) if reason is None else {**asdict(view), "reason": reason}
        return StreamState(
            stream_id=control.stream_id,
            tenant=control.tenant,
            worker=self._worker,
            lease=lease.number,
            at=self._now(),
            **fields,
        )


_STOPPED = PullView("ended", "stopped", 0, 0, 0.0, 0.0, 0, "", 0, 0)
