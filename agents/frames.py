"""The frames agent: live frames of all streams are scored together, and remembered; streams that look altered alert."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from time import monotonic
from typing import ClassVar

from agents.evidence_store import EvidenceError, EvidenceStore
from agents.keyvalue import connect
from agents.live.asked import StreamsAsked
from agents.live.events import TIMELINE, stream_alert, stream_verdict
from agents.live.last_views import LastViews
from agents.live.scorer import LiveScorer, StreamScored
from agents.live.seen import last_view, seen_frames
from agents.live.stream import KnownStreams, Stream
from agents.live.stream_window import Moved, Outcome, StreamWindows
from agents.live.worst_faces import LiveFace, WorstFaces
from agents.policies import policy_book
from agents.runtime.agent import Agent, BatchPolicy, Lane, Shedding
from agents.runtime.exceptions import Reject
from agents.runtime.failpoints import reached
from agents.runtime.messages import Handled, Incoming, Outgoing, Partition
from agents.runtime.metrics import Metrics
from agents.settings import Settings
from models.exceptions import PolicyUnknown
from models.pictures import blurred
from models.pooling import logit
from schemas.moderation import Alert, Transition
from topics import catalogue
from topics.exceptions import MessageInvalid
from topics.live_frames import LiveFrame, read_frame

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class Frames(Agent):
    """Scores live frames. The window of a stream decides, in one step, who publishes a transition of its alert.

    A frame that is read again changes nothing in its window, and leads to the same events with the same ids.

    Raises:
        PolicyError: the policies of the settings cannot be used.
        EvidenceError: there is no such kind of evidence store.
    """

    name: ClassVar[str] = "frames"
    produces = (catalogue.VERDICTS, catalogue.ALERTS)
    # In order: of two threads, the one with the later frames of a stream might come first. Within a batch decoding,
    # finding faces and judging them overlap.
    concurrency = 1

    def __init__(
        self, settings: Settings, scorer: LiveScorer, metrics: Metrics, now: Callable[[], datetime] = _now
    ) -> None:
        self._settings = settings.frames
        self._scorer = scorer
        self._metrics = metrics
        self._now = now
        client = connect(settings.redis)
        self._windows = StreamWindows(client, settings.redis)
        self._faces = WorstFaces(client, settings.redis)
        self._views = LastViews(client, settings.redis, int(settings.frames.window_ttl_s * 1000))
        self._streams = KnownStreams(
            StreamsAsked(client, settings.redis).find_all,
            policy_book(settings.policies),
            settings.frames,
            _policy_unknown,
            monotonic,
        )
        self._evidence = EvidenceStore(settings.evidence) if settings.evidence.url else None
        self._expired_on: date | None = None
        self.batch = BatchPolicy(settings.frames.batch_frames, settings.frames.batch_delay_ms / 1000)

    @property
    def lanes(self) -> Sequence[Lane]:
        """One lane, of which what is stale is let go."""
        shedding = Shedding(self._settings.max_delay_s, least=self._settings.batch_frames)
        return (Lane((catalogue.FRAMES,), max_messages=self._settings.queue_frames, shedding=shedding),)

    def positions(self, partitions: Sequence[Partition], cluster_id: str) -> Mapping[Partition, int]:
        """Return no offsets: the group's count. But streams may have come from another worker."""
        self._views.look_again()
        return super().positions(partitions, cluster_id)

    def handle(self, batch: Sequence[Incoming]) -> Sequence[Handled]:
        """Score the frames of a batch, and hand them over to the windows of their streams.

        Raises:
            Reject: a message is no live frame.
        """
        now = self._now()
        read = [self._in_time(_read(message), now) for message in batch]
        frames: dict[str, list[LiveFrame]] = {}
        for frame in read:
            frames.setdefault(frame.stream_id, []).append(frame)
        streams = self._streams.find(frames, now)
        scored = self._scorer.score(frames, streams)
        reached("after-inference")
        with self._metrics.stage_seconds.labels("record").time():
            windows = self._remember(frames, streams, scored)
        reached("after-redis")
        events = self._events(streams, scored, windows)
        self._expire(now)
        # Whose frame it was has its events: they are out before it counts as done.
        return [Handled(tuple(events.get((frame.stream_id, frame.seq), ()))) for frame in read]

    def _in_time(self, frame: LiveFrame, now: datetime) -> LiveFrame:
        """One that claims to be of the future would make all that follow it late."""
        if frame.captured_at <= now + timedelta(seconds=self._settings.max_skew_s):
            return frame
        self._metrics.live_frames.labels("skewed").inc()
        return replace(frame, captured_at=now)

    def _remember(
        self,
        frames: Mapping[str, Sequence[LiveFrame]],
        streams: Mapping[str, Stream],
        scored: Mapping[str, StreamScored],
    ) -> Mapping[str, Outcome]:
        views = self._views.find_all(frames)
        fusion = self._scorer.fusion
        seen = {
            stream_id: seen_frames(of_stream, scored[stream_id], streams[stream_id], fusion, views.get(stream_id))
            for stream_id, of_stream in frames.items()
        }
        # The pictures first: a transition that the frames lead to shows them.
        self._keep_faces(frames, streams, scored)
        windows = self._windows.add_all(
            {stream_id: (of_stream, streams[stream_id].rules) for stream_id, of_stream in seen.items()}
        )
        self._views.keep({name: last for name, found in scored.items() if (last := last_view(found)) is not None})
        for stream_id, window in windows.items():
            unread = len(scored[stream_id].unread)
            for outcome, count in (
                ("added", window.added - min(unread, window.added)),
                ("unread", unread),
                ("late", window.late),
                ("replayed", window.replayed),
                ("renumbered", window.renumbered),
            ):
                self._metrics.live_frames.labels(outcome).inc(count)
        return windows

    def _keep_faces(
        self,
        frames: Mapping[str, Sequence[LiveFrame]],
        streams: Mapping[str, Stream],
        scored: Mapping[str, StreamScored],
    ) -> None:
        kept: dict[str, tuple[LiveFace, int]] = {}
        for stream_id, found in scored.items():
            worst, stream = found.scored.worst, streams[stream_id]
            if worst is None or worst.logit < logit(min(max(stream.rules.exit, 1e-6), 1 - 1e-6)):
                continue
            frame = next(frame for frame in frames[stream_id] if frame.captured_ms == worst.pts_ms)
            jpeg = blurred(worst.jpeg) if stream.policy.live.blur_faces else worst.jpeg
            kept[stream_id] = (LiveFace(frame.seq, frame.pts_ms, worst.logit, jpeg), stream.rules.buffer_ms)
        if kept:
            self._faces.keep(kept)

    def _events(
        self,
        streams: Mapping[str, Stream],
        scored: Mapping[str, StreamScored],
        windows: Mapping[str, Outcome],
    ) -> Mapping[tuple[str, int], Sequence[Outgoing]]:
        events: dict[tuple[str, int], list[Outgoing]] = {}
        for stream_id, window in windows.items():
            stream, found = streams[stream_id], scored[stream_id]
            for moved in window.moved:
                _log.info("stream %s: alert %d %s, score %.2f", stream_id, moved.episode, moved.transition, moved.score)
                self._metrics.live_alerts.labels(moved.transition).inc()
                if stream.asked.real_time_alerts:
                    alert = self._alert(stream, moved, window, found)
                    events.setdefault((stream_id, moved.seq), []).append(Outgoing(catalogue.ALERTS, alert))
            for due in window.due:
                verdict = stream_verdict(stream, due, window, found, now=self._now())
                self._metrics.verdicts.labels(verdict.outcome, verdict.label).inc()
                events.setdefault((stream_id, due.seq), []).append(Outgoing(catalogue.VERDICTS, verdict))
        return events

    def _alert(self, stream: Stream, moved: Moved, window: Outcome, found: StreamScored) -> Alert:
        if moved.transition is Transition.CLEARED:
            return stream_alert(stream, moved, window, found.model_set)
        faces = self._faces.find(stream.id)
        alert = stream_alert(
            stream,
            moved,
            window,
            found.model_set,
            timeline=self._windows.timeline(stream.id, TIMELINE),
            faces=faces,
        )
        return alert.model_copy(update={"evidence": self._stored(alert, faces)})

    def _stored(self, alert: Alert, faces: Sequence[LiveFace]) -> tuple[str, ...]:
        """Keep pictures in the evidence store; an alert does not wait for one that is full or away."""
        if self._evidence is None:
            return ()
        try:
            return tuple(
                self._evidence.put(alert.at, f"{alert.alert_id}-{number}.jpg", face.jpeg)
                for number, face in enumerate(faces)
            )
        except EvidenceError as error:
            _log.error("the alert of stream %s goes without evidence: %s", alert.subject, error)
            self._metrics.evidence_failures.inc()
            return ()

    def _expire(self, now: datetime) -> None:
        """Once a day, remove evidence whose time is over."""
        if self._evidence is None or self._expired_on == now.date():
            return
        try:
            gone = self._evidence.expire(now)
        except EvidenceError as error:
            _log.error("%s", error)
            self._metrics.evidence_failures.inc()
            return
        self._expired_on = now.date()
        _log.info("evidence of %d days has expired", gone)

    def open(self) -> None:
        """Load the models and start the decoders."""
        self._scorer.open()

    def close(self) -> None:
        """Let go of them."""
        self._scorer.close()


def _read(message: Incoming) -> LiveFrame:
    try:
        return read_frame(message.key, message.value, message.headers)
    except MessageInvalid as error:
        raise Reject(error.reason, str(error)) from error


def _policy_unknown(stream_id: str, error: PolicyUnknown) -> None:
    _log.warning("stream %s is judged by its tenant's policy: %s", stream_id, error)
