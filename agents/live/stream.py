"""A live stream as those that score and judge it see it: what was asked of it, and the policy in force."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from agents.live.stream_window import WindowRules
from agents.policies import PolicyBook
from agents.settings import FramesSettings
from models.exceptions import PolicyUnknown
from models.policy import Policy
from schemas.identity import stream_media_id
from schemas.stream import StreamControl


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that frames come of.

    Attributes:
        asked: what was asked of it; the defaults where nothing was.
        policy: in force.
        rules: of its window.
    """

    asked: StreamControl
    policy: Policy
    rules: WindowRules

    @property
    def id(self) -> str:
        """The platform's id."""
        return self.asked.stream_id

    @property
    def media_id(self) -> UUID:
        """Of its verdicts."""
        return stream_media_id(self.asked.tenant, self.id)


def stream_of(asked: StreamControl, policies: PolicyBook, settings: FramesSettings) -> Stream:
    """Return a stream by what was asked of it.

    Raises:
        PolicyUnknown: it asks for a policy that this worker does not have.
    """
    policy = policies.for_stream(asked.tenant, asked.policy)
    live = policy.live
    enter = live.enter if asked.alert_threshold is None else asked.alert_threshold
    rules = WindowRules(
        buffer_ms=max(1, round(asked.buffer_seconds * 1000)),
        max_frames=settings.window_frames,
        enter=enter,
        # Asked to alert earlier than the policy does, it is also cleared earlier.
        exit=min(live.exit, enter),
        hold_ms=round(live.hold_s * 1000),
        cooldown_ms=round(live.cooldown_s * 1000),
        min_faces=live.min_faces,
        top_share=policy.top_share,
        bands=tuple(least for least, _ in reversed(policy.risk_bands)),
        verdict_ms=max(1, round(settings.verdict_every_s * 1000)),
        ttl_ms=round(settings.window_ttl_s * 1000),
    )
    return Stream(asked, policy, rules)


def unasked(stream_id: str, at: datetime) -> StreamControl:
    """Return the defaults, for a stream whose frames come although nothing was asked of it."""
    return StreamControl(stream_id=stream_id, command="update", at=at)


class KnownStreams:
    """Streams by id, looked up again when what is known of them has become old.

    Args:
        find_all: returns what was asked of streams.
        policies: of this worker.
        settings: of the agent.
        on_unknown_policy: told of a stream, and why its policy is replaced by its tenant's: a live stream goes on.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        find_all: Callable[[list[str]], Mapping[str, StreamControl]],
        policies: PolicyBook,
        settings: FramesSettings,
        on_unknown_policy: Callable[[str, PolicyUnknown], None],
        clock: Callable[[], float],
    ) -> None:
        self._find_all = find_all
        self._policies = policies
        self._settings = settings
        self._on_unknown_policy = on_unknown_policy
        self._clock = clock
        self._known: dict[str, tuple[float, Stream]] = {}

    def find(self, stream_ids: Iterable[str], at: datetime) -> Mapping[str, Stream]:
        """Return the streams of these ids.

        Args:
            stream_ids: each once.
            at: time of a frame of theirs.

        Raises:
            Unavailable: Redis is away.
        """
        wanted, now = list(stream_ids), self._clock()
        old = [each for each in wanted if each not in self._known or self._known[each][0] <= now]
        if old:
            asked = self._find_all(old)
            until = now + self._settings.asked_for_s
            for stream_id in old:
                self._known[stream_id] = (until, self._stream(asked.get(stream_id) or unasked(stream_id, at)))
            self._forget(now)
        return {stream_id: self._known[stream_id][1] for stream_id in wanted}

    def _stream(self, asked: StreamControl) -> Stream:
        try:
            return stream_of(asked, self._policies, self._settings)
        except PolicyUnknown as error:
            self._on_unknown_policy(asked.stream_id, error)
            return stream_of(asked.model_copy(update={"policy": None}), self._policies, self._settings)

    def _forget(self, now: float) -> None:
        """Forget streams that went silent a while ago."""
        gone = now - self._settings.window_ttl_s
        for stream_id in [each for each, (until, _) in self._known.items() if until < gone]:
            del self._known[stream_id]
