"""Following uploads to their verdicts, as a content pipeline can: by the progress and verdict topics."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from agents.runtime.clients import connection
from agents.runtime.exceptions import Unavailable
from agents.settings import KafkaSettings
from schemas.media import MediaUpload
from schemas.verdict import Progress, Verdict
from topics import catalogue
from topics.exceptions import MessageInvalid
from topics.serialisation import decode

_log = logging.getLogger(__name__)
_SILENT = logging.getLogger(f"{__name__}.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

_FOLLOWED = (catalogue.PROGRESS, catalogue.VERDICTS)
_AT_ONCE = 100


@dataclass(slots=True)
class Upload:
    """One upload on its way, as far as its messages have told."""

    name: str
    """What to show."""
    event: MediaUpload
    segments: int | None = None
    """Segments of the plan; none until it is planned."""
    segments_done: int = 0
    frames: int = 0
    faces: int = 0
    verdict: Verdict | None = None
    verdict_at: float | None = None
    """When the verdict was read, on the clock that `Uploads` was given."""
    _counted: set[int] = field(default_factory=set)

    @property
    def stage(self) -> str:
        """Where it is: `published`, `planned`, `scoring` or `verdict`."""
        if self.verdict is not None:
            return "verdict"
        if self.segments is None:
            return "published"
        return "scoring" if self.segments_done else "planned"

    def take(self, progress: Progress) -> None:
        """Note what a progress message says. Read again, it changes nothing."""
        if progress.segments:
            self.segments = progress.segments
        self.segments_done = max(self.segments_done, progress.segments_done)
        if progress.stage == "segment_done" and progress.segments_done not in self._counted:
            self._counted.add(progress.segments_done)
            self.frames += progress.frames
            self.faces += progress.faces


class Uploads:
    """Uploads by their media id, brought forward by the messages that speak of them."""

    def __init__(self, named: Iterable[tuple[str, MediaUpload]]) -> None:
        self._by_media: dict[UUID, Upload] = {event.media_id: Upload(name, event) for name, event in named}

    @property
    def all(self) -> Sequence[Upload]:
        """Every upload, in the order given."""
        return list(self._by_media.values())

    @property
    def verdicts(self) -> Sequence[Verdict]:
        """The verdicts that have come, in the order of the uploads."""
        return [upload.verdict for upload in self.all if upload.verdict is not None]

    @property
    def complete(self) -> bool:
        """Whether every upload has its verdict."""
        return all(upload.verdict is not None for upload in self.all)

    def take(self, events: Iterable[Progress | Verdict], at: float) -> bool:
        """Note what came; whether any of it spoke of these uploads."""
        mine = False
        for event in events:
            upload = self._by_media.get(event.media_id)
            if upload is None:
                continue
            if isinstance(event, Progress):
                upload.take(event)
                mine = True
            # A verdict on an earlier upload of the same content has that one's event time.
            elif event.created_at == upload.event.uploaded_at and upload.verdict is None:
                upload.verdict, upload.verdict_at = event, at
                mine = True
        return mine


class Follower:
    """Reads the progress and verdict topics from their ends on. Joins no group and commits nothing.

    What is published after the constructor has returned is read.

    Raises:
        Unavailable: the broker is away, or has not the topics.
    """

    def __init__(self, kafka: KafkaSettings, timeout_s: float = 10.0) -> None:
        self._prefix = kafka.topic_prefix
        configuration = connection(kafka) | {
            # A consumer must name a group, also one that never joins it.
            "group.id": f"{kafka.topic_prefix}follow-{uuid4()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            "fetch.wait.max.ms": 50,
        }
        self._consumer = Consumer(configuration, logger=_SILENT)
        try:
            self._consumer.assign(self._ends(timeout_s))
        except KafkaException as error:
            self._consumer.close()
            raise Unavailable("kafka", f"{kafka.bootstrap_servers}: {error.args[0].str()}") from error
        except BaseException:
            self._consumer.close()
            raise

    def _ends(self, timeout_s: float) -> list[TopicPartition]:
        """Look the ends up now: `OFFSET_END` would be looked up when fetching begins, after the publishing."""
        started = monotonic()
        known = self._consumer.list_topics(timeout=timeout_s).topics
        partitions = []
        for topic in _FOLLOWED:
            name = self._prefix + topic.name
            if name not in known or known[name].error is not None:
                raise Unavailable("kafka", f"the broker has no topic {name}; run `fleet topics create`")
            for number in known[name].partitions:
                partition = TopicPartition(name, number)
                left_s = max(0.1, timeout_s - (monotonic() - started))
                _, end = self._consumer.get_watermark_offsets(partition, timeout=left_s)
                partitions.append(TopicPartition(name, number, end if end >= 0 else OFFSET_END))
        return partitions

    def read(self, timeout_s: float) -> list[Progress | Verdict]:
        """Return what has come, after waiting `timeout_s` seconds at most for it.

        Raises:
            Unavailable: the broker refuses to be read.
        """
        events: list[Progress | Verdict] = []
        for message in self._consumer.consume(_AT_ONCE, timeout=timeout_s):
            error = message.error()
            if error is not None:
                _tolerate(error)
                continue
            try:
                events.append(self._event(message))
            except MessageInvalid as invalid:
                _log.warning("a message of %s is not readable: %s", message.topic(), invalid)
        return events

    def _event(self, message: Message) -> Progress | Verdict:
        found = message.headers() or {}
        pairs = found.items() if isinstance(found, dict) else found
        headers = {name: value for name, value in pairs if isinstance(value, bytes)}
        if message.topic() == self._prefix + catalogue.PROGRESS.name:
            return decode(Progress, message.value(), headers)
        return decode(Verdict, message.value(), headers)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _tolerate(error: KafkaError) -> None:
    """A broker that is away comes back, and nothing is missed; one that refuses does not."""
    if error.fatal() or error.code() in {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError._AUTHENTICATION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }:
        raise Unavailable("kafka", error.str())
