"""Live streams: what operators and live servers ask of the fleet."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from schemas.event import Event, Name, Score, Timestamp
from schemas.identity import derive
from schemas.media import DetectionLevel, Uri


class StreamControl(Event):
    """Start, change or stop watching a live stream."""

    schema_name: ClassVar[str] = "stream-control"

    stream_id: Name
    """The platform's id of the stream."""
    tenant: Name = "default"
    """Whose policies apply."""
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
    at: Timestamp
    """When it was asked."""

    @model_validator(mode="after")
    def _start_needs_url(self) -> "StreamControl":
        if self.command == "start" and self.url is None:
            msg = "start needs a url"
            raise ValueError(msg)
        return self

    @property
    def event_id(self) -> str:
        """Stream, command and moment."""
        return str(derive("stream-control", self.stream_id, self.command, self.at.isoformat()))

    @property
    def key(self) -> str:
        """The stream id."""
        return self.stream_id
