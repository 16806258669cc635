"""The streams agent: live streams are pulled as they are asked for, and their frames published."""

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar
from uuid import uuid4

from agents.keyvalue import connect
from agents.live.asked import AskedUnreadable
from agents.pulling.births import Nursery
from agents.pulling.keeper import Keeper
from agents.pulling.leases import Lease, Leases, LeaseTimes
from agents.pulling.outlet import Outlet
from agents.pulling.places import Guard
from agents.pulling.pull import Pull
from agents.pulling.registry import Registry
from agents.runtime.agent import Agent, Lane
from agents.runtime.exceptions import AgentStopped, Reject
from agents.runtime.health import Health
from agents.runtime.messages import Handled, Incoming
from agents.runtime.metrics import Metrics
from agents.settings import Settings
from schemas.stream import StreamControl
from topics import catalogue

_AHEAD = 256
_UNREADABLE = "stream_unreadable"
"""The dead-letter reason of a command to a stream that a newer worker was told of."""


class Streams(Agent):
    """Notes what is asked of streams, and pulls its share of them.

    A command is only noted, by its stream and its time: handled again it changes nothing. Whichever worker pulls the
    stream, or finds that nobody does, acts on it. So a command may be read by one worker and obeyed by another.
    """

    name: ClassVar[str] = "streams"
    produces = (catalogue.FRAMES, catalogue.STREAM_STATES)

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._client = connect(settings.redis)
        self._registry = Registry(self._client, settings.redis)
        self._health: Health | None = None
        self._failed: Callable[[AgentStopped], None] = _raise
        self._nursery = Nursery()
        self._outlet: Outlet | None = None
        self._keeper: Keeper | None = None

    @property
    def lanes(self) -> Sequence[Lane]:
        """Commands."""
        return (Lane((catalogue.STREAMS,), max_messages=_AHEAD),)

    def handle(self, batch: Sequence[Incoming]) -> Sequence[Handled]:
        """Note each command.

        Raises:
            Reject: it is none, or what was asked of its stream before is newer than this worker.
            Unavailable: Redis is away.
        """
        for message in batch:
            try:
                self._registry.note(message.event(StreamControl))
            except AskedUnreadable as error:
                raise Reject(_UNREADABLE, str(error)) from error
        if self._keeper is not None:
            self._keeper.wake()
        return [Handled() for _ in batch]

    def watched(self, health: Health, failed: Callable[[AgentStopped], None]) -> None:
        """Remember whom to tell."""
        self._health, self._failed = health, failed

    def documents(self) -> Mapping[str, Callable[[], object]]:
        """Return `/streams`: the states of this worker's streams."""
        return {"/streams": self._states}

    def _states(self) -> object:
        keeper = self._keeper
        return [] if keeper is None else [state.model_dump(mode="json") for state in keeper.states()]

    def open(self) -> None:
        """Begin to pull."""
        settings = self._settings.streams
        worker = f"{self._settings.runtime.instance or socket.gethostname()}-{uuid4().hex[:8]}"
        guard = Guard(self._settings.media.allow_private_addresses, frozenset(map(str.lower, settings.allowed_hosts)))
        outlet = self._outlet = Outlet(self._settings.kafka, settings.frame_timeout_s)
        times = LeaseTimes(settings.lease_s, 2 * settings.frame_timeout_s, self._settings.redis.window_ttl_s)

        def new_pull(control: StreamControl, lease: Lease, changed: Callable[[], None]) -> Pull:
            return Pull(control, lease, settings, guard, self._nursery, outlet, self._metrics, changed)

        self._keeper = Keeper(
            worker,
            self._registry,
            Leases(self._client, self._settings.redis, worker, times),
            new_pull,
            outlet,
            self._metrics,
            settings.max_streams,
        )
        health = self._health or Health(self.name, self._metrics, self._settings.runtime.stalled_after_s)
        self._keeper.start(health, self._failed)

    def close(self) -> None:
        """End the pulling, and give the streams to others once the last frames are out."""
        if self._keeper is not None:
            self._keeper.close()
        if self._outlet is not None:
            self._outlet.close()
        if self._keeper is not None:
            self._keeper.release()
        self._nursery.close()
        self._client.close()


def _raise(error: AgentStopped) -> None:
    raise error
