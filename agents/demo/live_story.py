"""What has happened to the two streams of the live demo, as their messages and publishers tell."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from agents.demo.media import DemoMedia
from agents.demo.publisher import Publisher
from schemas.moderation import Action, Alert, Transition
from schemas.stream import StreamState
from schemas.verdict import Verdict

_DENIED_TIMES = 3
"""Refusals after the kick by which a block has shown that it sticks."""
_BLOCK = ("denied", "kicked", "confirmed")


@dataclass(slots=True)
class StreamStory:
    """One stream.

    Attributes:
        media: what is published.
        publisher: who publishes it.
        state: how pulling it goes.
        verdict: the last one.
        alert: the one that was raised.
        alerted_at: when it was read.
        steps: of its block, with when each was done.
        refusals_before: of its publisher, when the block was confirmed.
    """

    media: DemoMedia
    publisher: Publisher
    state: StreamState | None = None
    verdict: Verdict | None = None
    alert: Alert | None = None
    alerted_at: datetime | None = None
    steps: dict[str, datetime] = field(default_factory=dict)
    refusals_before: int | None = None

    @property
    def stream_id(self) -> str:
        """The platform's id."""
        return f"demo-{self.media.name}"

    @property
    def denials(self) -> int:
        """How often its publisher was refused since its block was confirmed."""
        return 0 if self.refusals_before is None else self.publisher.refusals - self.refusals_before

    def take(self, event: Alert | Action | StreamState | Verdict, at: datetime) -> None:
        """Note what a message says."""
        if isinstance(event, StreamState):
            self.state = event
        elif isinstance(event, Verdict):
            self.verdict = event
        elif isinstance(event, Alert):
            if event.transition is Transition.RAISED and self.alert is None:
                self.alert, self.alerted_at = event, at
        elif event.kind == "block":
            self.steps.setdefault(event.state, event.at)
            if event.state == "confirmed" and self.refusals_before is None:
                self.refusals_before = self.publisher.refusals

    @property
    def told(self) -> bool:
        """Whether all has happened that is to be shown."""
        if self.media.altered:
            return all(step in self.steps for step in _BLOCK) and self.denials >= _DENIED_TIMES
        return self.verdict is not None and self.publisher.state == "publishing"

    @property
    def missing(self) -> str:
        """What has not happened, in words."""
        if not self.media.altered:
            return f"{self.stream_id}: no verdict, or not on air ({self.publisher.detail or self.publisher.state})"
        if self.alert is None:
            return f"{self.stream_id}: no alert"
        steps = [step for step in _BLOCK if step not in self.steps]
        return f"{self.stream_id}: not {steps[0]}" if steps else f"{self.stream_id}: denied {self.denials} times"


class LiveStory:
    """Both streams."""

    def __init__(self, streams: Iterable[StreamStory]) -> None:
        self.streams = tuple(streams)
        self._by_id = {stream.stream_id: stream for stream in self.streams}

    def take(self, event: Alert | Action | StreamState | Verdict, at: datetime) -> None:
        """Note what a message says of one of them."""
        name = event.content_id if isinstance(event, Verdict) else event.key
        if name in self._by_id:
            self._by_id[name].take(event, at)

    @property
    def told(self) -> bool:
        """Whether all has happened that is to be shown, and the untouched one was never in doubt."""
        return all(stream.told for stream in self.streams)
