"""Every topic of the fleet, declared once. Provisioning, serialisation, AsyncAPI and docs follow from it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from schemas.control import ModelSwitch, WorkerReport
from schemas.event import Event
from schemas.media import MediaUpload, Segment
from schemas.moderation import Action, Alert, Review
from schemas.stream import StreamControl, StreamState
from schemas.verdict import Progress, Verdict
from topics.exceptions import UnknownTopic

_MIB = 1 << 20

DEAD_LETTER_SUFFIX = ".dlq"
_DEAD_LETTER_RETENTION = timedelta(days=30)
_HEADER_ALLOWANCE = 16 << 10
"""Room for the headers that a dead letter carries beside the original message, bytes."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: what it carries and how the broker should keep it."""

    name: str
    schema: type[Event] | None
    """The event that it carries; none where the value is binary."""
    key: str
    """What the key is, in words."""
    summary: str
    """What it is for, in a sentence."""
    produced_by: str
    consumed_by: tuple[str, ...]
    partitions: int
    retention: timedelta | None
    """How long messages are kept; none for ever (compacted topics)."""
    cleanup: Literal["delete", "compact"] = "delete"
    max_message_bytes: int = _MIB
    dead_letter: bool = False
    """Whether messages that cannot be handled go to a dead-letter topic beside this one."""
    retry_delays: tuple[timedelta, ...] = field(default=())
    """Delays of the retry topics beside this one, shortest first."""

    @property
    def dead_letter_name(self) -> str:
        """The name of its dead-letter topic."""
        return self.name + DEAD_LETTER_SUFFIX

    @property
    def configuration(self) -> dict[str, str]:
        """The broker's settings for it (Kafka topic configuration names)."""
        retention = -1 if self.retention is None else int(self.retention / timedelta(milliseconds=1))
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(retention),
            "max.message.bytes": str(self.max_message_bytes),
        }

    def companions(self) -> tuple["Topic", ...]:
        """Return the retry and dead-letter topics that go with it."""
        if not self.dead_letter:
            return ()
        retries = tuple(
            self._companion(
                f"{self.name}.retry.{int(delay.total_seconds())}s",
                f"Messages of `{self.name}` that are tried again after {delay}.",
                retention=timedelta(days=7),
                partitions=self.partitions,
                consumed_by=self.consumed_by,
            )
            for delay in self.retry_delays
        )
        return (
            *retries,
            self._companion(
                self.dead_letter_name,
                f"Messages of `{self.name}` that could not be handled, unchanged, the reason in headers.",
                retention=_DEAD_LETTER_RETENTION,
                partitions=1,
                consumed_by=("operators",),
            ),
        )

    def _companion(
        self, name: str, summary: str, *, retention: timedelta, partitions: int, consumed_by: tuple[str, ...]
    ) -> "Topic":
        return Topic(
            name=name,
            schema=None,
            key=self.key,
            summary=summary,
            produced_by=", ".join(self.consumed_by),
            consumed_by=consumed_by,
            partitions=partitions,
            retention=retention,
            max_message_bytes=self.max_message_bytes + _HEADER_ALLOWANCE,
        )


UPLOADS = Topic(
    name="media.uploads",
    schema=MediaUpload,
    key="content id",
    summary="Media was uploaded and wants a verdict.",
    produced_by="content pipeline",
    consumed_by=("uploads",),
    partitions=6,
    retention=timedelta(days=7),
    dead_letter=True,
)
SEGMENTS = Topic(
    name="media.segments",
    schema=Segment,
    key="media id / segment index",
    summary="A time range to score, interactive lane.",
    produced_by="uploads",
    consumed_by=("segments",),
    partitions=12,
    retention=timedelta(days=3),
    dead_letter=True,
)
SEGMENTS_BULK = Topic(
    name="media.segments.bulk",
    schema=Segment,
    key="media id / segment index",
    summary="A time range to score, bulk lane: behind interactive work, with a guaranteed share.",
    produced_by="uploads",
    consumed_by=("segments",),
    partitions=12,
    retention=timedelta(days=14),
    dead_letter=True,
)
STREAMS = Topic(
    name="media.streams",
    schema=StreamControl,
    key="stream id",
    summary="Start, change or stop watching a live stream.",
    produced_by="live platform",
    consumed_by=("streams",),
    partitions=6,
    retention=timedelta(days=7),
    dead_letter=True,
)
STREAM_STATES = Topic(
    name="media.streams.state",
    schema=StreamState,
    key="stream id",
    summary="How pulling a live stream goes; the last word for each stream stands.",
    produced_by="streams",
    consumed_by=("live platform", "operators"),
    partitions=3,
    retention=None,
    cleanup="compact",
)
FRAMES = Topic(
    name="media.frames",
    schema=None,
    key="stream id",
    summary="A frame of a live stream: the encoded image as value, "
    "`seq`, `pts_ms`, `captured_at`, `content-type` and `traceparent` as headers.",
    produced_by="streams, or any producer of that format",
    consumed_by=("frames",),
    partitions=12,
    retention=timedelta(minutes=10),
    max_message_bytes=2 * _MIB,
    dead_letter=True,
)
VERDICTS = Topic(
    name="deepfake.verdicts",
    schema=Verdict,
    key="content id",
    summary="What the fleet says of media.",
    produced_by="uploads, segments, frames",
    consumed_by=("sink", "content pipeline"),
    partitions=6,
    retention=timedelta(days=30),
    max_message_bytes=4 * _MIB,
    dead_letter=True,
)
PROGRESS = Topic(
    name="deepfake.progress",
    schema=Progress,
    key="content id",
    summary="How far an upload is.",
    produced_by="uploads, segments",
    consumed_by=("content pipeline",),
    partitions=3,
    retention=timedelta(hours=1),
)
ALERTS = Topic(
    name="deepfake.alerts",
    schema=Alert,
    key="stream id or media id",
    summary="Something needs attention.",
    produced_by="segments, frames, hooks",
    consumed_by=("hooks", "sink", "moderation tools"),
    partitions=6,
    retention=timedelta(days=30),
    dead_letter=True,
    retry_delays=(timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1)),
)
ACTIONS = Topic(
    name="deepfake.actions",
    schema=Action,
    key="stream id or media id",
    summary="What was done about an alert.",
    produced_by="hooks",
    consumed_by=("sink",),
    partitions=3,
    retention=timedelta(days=30),
    dead_letter=True,
)
REVIEWS = Topic(
    name="deepfake.reviews",
    schema=Review,
    key="content id",
    summary="What people say of verdicts.",
    produced_by="moderation tools",
    consumed_by=("sink", "hooks", "reviews"),
    partitions=3,
    retention=timedelta(days=365),
    dead_letter=True,
)
CONTROL = Topic(
    name="fleet.control",
    schema=ModelSwitch,
    key="role, with @ and the agent where only one is meant",
    summary="What operators ask of running workers; the last word for each key stands.",
    produced_by="operators",
    consumed_by=("uploads", "segments", "frames"),
    partitions=1,
    retention=None,
    cleanup="compact",
)
WORKERS = Topic(
    name="fleet.workers",
    schema=WorkerReport,
    key="worker",
    summary="What workers serve with, and which switches they could not follow.",
    produced_by="segments, frames",
    consumed_by=("operators",),
    partitions=1,
    retention=timedelta(hours=1),
)

STEERING: tuple[Topic, ...] = (CONTROL, WORKERS)
"""Topics beside the way of the data: workers read and write them outside of their lanes, and do without where they are
missing."""

TOPICS: tuple[Topic, ...] = (
    UPLOADS,
    SEGMENTS,
    SEGMENTS_BULK,
    STREAMS,
    STREAM_STATES,
    FRAMES,
    VERDICTS,
    PROGRESS,
    ALERTS,
    ACTIONS,
    REVIEWS,
    *STEERING,
)


def all_topics() -> tuple[Topic, ...]:
    """Return every topic, each followed by its retry and dead-letter topics."""
    return tuple(every for topic in TOPICS for every in (topic, *topic.companions()))


def topic_named(name: str) -> Topic:
    """Return the topic of that name.

    Raises:
        UnknownTopic: the catalogue has none.
    """
    for topic in all_topics():
        if topic.name == name:
            return topic
    known = ", ".join(topic.name for topic in TOPICS)
    raise UnknownTopic(f"no topic {name!r}; the catalogue has {known}")
