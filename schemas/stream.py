"""Live streams: what operators and live servers ask of the fleet."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from schemas.event import Event, Name, Score, Timestamp, type_of_upgrade, unchanged
from schemas.identity import derive
from schemas.media import DetectionLevel, Uri

PublishPath = Annotated[
    str, Field(min_length=3, max_length=512, pattern=r"^[^\x00-\x20\x7f/?#]+(/[^\x00-\x20\x7f/?#]+)+$")
]
"""`application/name` at a live server, without a slash at its ends."""

StreamPhase = Literal["connecting", "live", "stalled", "ended"]


class StreamControl(Event):
    """Start, change or stop watching a live stream."""

    schema_name: ClassVar[str] = "stream-control"
    schema_version: ClassVar[int] = 2
    upgrades: ClassVar[Mapping[int, type_of_upgrade]] = {1: unchanged}

    stream_id: Name
    """The platform's id of the stream."""
    tenant: Name = "default"
    """Whose policies apply."""
    uploader_id: Name | None = None
    """The platform's id of who publishes it; by default verdicts name the stream id."""
    command: Literal["start", "update", "stop"]
    """What to do."""
    url: Uri | None = None
    """Where to pull from (`rtmp`, `rtmps`, `rtsp`, `https` for HLS); needed to start."""
    detection_level: DetectionLevel = DetectionLevel.STANDARD
    """How thoroughly to look."""
    sample_rate_fps: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Frames a second that are looked at."""
    frame_skip_interval: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Look at every n-th frame instead."""
    alert_threshold: Score | None = None
    """The score that alerts; by default the policy's."""
    buffer_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """How much time the rolling window holds."""
    real_time_alerts: bool = True
    """Whether alerts are published at once."""
    policy: Name | None = None
    """A policy by name; by default the tenant's."""
    callback: Uri | None = None
    """A webhook for its alerts, if the platform's policy allows its host."""
    server: Name | None = None
    """The live server that it is published at, by its name in the settings; by default the only one that they have."""
    publish_path: PublishPath | None = None
    """Application and name under which it is published there; by default the path of `url`."""
    at: Timestamp
    """When it was asked."""

    @model_validator(mode="after")
    def _start_needs_url(self) -> Self:
        if self.command == "start" and self.url is None:
            msg = "start needs a url"
            raise ValueError(msg)
        return self

    @model_serializer(mode="wrap")
    def _says_what_was_given(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """A start says everything; an update or a stop only what it was given, or its defaults would be asked for."""
        fields: dict[str, object] = write(self)
        if self.command == "start":
            return fields
        return {name: value for name, value in fields.items() if name in self.model_fields_set}

    @property
    def published_at(self) -> str | None:
        """Application and name at the live server; none where neither `publish_path` nor the URL says it."""
        if self.publish_path is not None or self.url is None:
            return self.publish_path
        path = urlsplit(self.url).path.strip("/")
        return path if "/" in path else None

    @property
    def event_id(self) -> str:
        """Stream, command and moment."""
        return str(derive("stream-control", self.stream_id, self.command, self.at.isoformat()))

    @property
    def key(self) -> str:
        """The stream id."""
        return self.stream_id


class StreamState(Event):
    """How pulling a stream goes. The last one of a stream stands."""

    schema_name: ClassVar[str] = "stream-state"

    stream_id: Name
    """Which stream."""
    tenant: Name
    """Whose."""
    phase: StreamPhase
    """`connecting` until the first frame, `stalled` while none comes, `ended` once it is pulled no more."""
    reason: str = ""
    """Why it is not `live`."""
    worker: Name
    """Who pulls it."""
    lease: Annotated[int, Field(ge=0)]
    """Number of the worker's lease: of two that say they pull a stream, the one with the higher has it."""
    connections: Annotated[int, Field(ge=0)] = 0
    """How often it was connected to."""
    next_seq: Annotated[int, Field(ge=0)] = 0
    """Number of the frame that comes next."""
    received_fps: Annotated[float, Field(ge=0)] = 0.0
    """Frames a second that arrive."""
    published_fps: Annotated[float, Field(ge=0)] = 0.0
    """Frames a second that are published."""
    dropped: Annotated[int, Field(ge=0)] = 0
    """Sampled frames that were let go since they were stale."""
    codec: str = ""
    """Of the video, once it is known."""
    width: Annotated[int, Field(ge=0)] = 0
    """Pixels, once it is known."""
    height: Annotated[int, Field(ge=0)] = 0
    """Pixels, once it is known."""
    at: Timestamp
    """When."""

    @property
    def event_id(self) -> str:
        """Stream, lease and moment."""
        return str(derive("stream-state", self.stream_id, str(self.lease), self.at.isoformat()))

    @property
    def key(self) -> str:
        """The stream id."""
        return self.stream_id
