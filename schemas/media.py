"""Media on their way in: the upload, its probe, and the segments that it is planned into."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from schemas.event import PRINTABLE, Event, Name, Part, Timestamp
from schemas.identity import derive, media_id

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hexadecimal."""

Uri = Annotated[str, StringConstraints(min_length=3, max_length=4096, pattern=r"^[a-z][a-z0-9+.-]*:[^\x00-\x1f\x7f]*$")]
"""An absolute URI; the fetcher decides which schemes and places it opens."""


class ContentType(StrEnum):
    """What kind of content a verdict speaks of."""

    IMAGE = "image"
    VIDEO = "video"
    STREAM = "stream"


class DetectionLevel(StrEnum):
    """How thoroughly media are examined."""

    BASIC = "basic"
    """The screening detector only."""
    STANDARD = "standard"
    """The screening detector on every face, the primary one where suspicion is, and the analyses."""
    ADVANCED = "advanced"
    """Every detector and analysis that the model set has."""


class Priority(StrEnum):
    """The lane that an upload takes."""

    INTERACTIVE = "interactive"
    """A user waits for it."""
    BULK = "bulk"
    """A backfill; it keeps a guaranteed share but never delays interactive work."""


class MediaRef(Part):
    """Where the bytes of a piece of media lie (claim check). It carries no credentials."""

    uri: Uri
    """`file`, `http`, `https`, or an object store's URI (`s3`, `gs`, `az`, …)."""
    sha256: Sha256 | None = None
    """The checksum of the bytes, where the producer knows it; it is verified."""
    version: Annotated[str, Field(max_length=256, pattern=PRINTABLE)] = ""
    """The object's version or ETag. Needed where media are overwritten in place."""


class AnalysisOptions(Part):
    """What the producer asks of the analysis."""

    sample_rate_fps: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Frames a second of video that are looked at."""
    max_frames: Annotated[int, Field(ge=1, le=20_000)] = 600
    """The most frames of one piece of media that are looked at."""
    detailed_timeline: bool = False
    """Whether the verdict carries every frame that was looked at, and not only the most suspicious."""


class MediaUpload(Event):
    """Media was uploaded and wants a verdict. Written by the content pipeline."""

    schema_name: ClassVar[str] = "media-upload"

    content_id: Name
    """The platform's id of the content."""
    uploader_id: Name
    """The platform's id of who uploaded it."""
    tenant: Name = "default"
    """Whose policies apply."""
    media: MediaRef
    """Where the bytes lie."""
    content_type: Literal[ContentType.IMAGE, ContentType.VIDEO] | None = None
    """What the producer takes the media for; the bytes decide."""
    detection_level: DetectionLevel = DetectionLevel.STANDARD
    """How thoroughly to look."""
    priority: Priority = Priority.INTERACTIVE
    """Which lane to take."""
    options: AnalysisOptions = AnalysisOptions()
    """What to look at and what to report."""
    callback: Uri | None = None
    """A webhook that is called with the verdict, if the platform's policy allows its host."""
    uploaded_at: Timestamp
    """When it was uploaded, by the producer's clock; the event time of the verdict."""

    @property
    def media_id(self) -> UUID:
        """The id of these bytes of this content."""
        return media_id(self.tenant, self.content_id, self.media.uri, self.media.sha256 or self.media.version)

    @property
    def event_id(self) -> str:
        """The media id and what was asked."""
        asked = f"{self.detection_level} {self.options.model_dump_json()}"
        return str(derive("media-upload", str(self.media_id), asked))

    @property
    def key(self) -> str:
        """The content id."""
        return self.content_id


class MediaInfo(Part):
    """What the bytes turned out to be."""

    sha256: Sha256
    """The checksum of the bytes."""
    size_bytes: Annotated[int, Field(ge=0)]
    """How many there are."""
    etag: Annotated[str, Field(max_length=256)] = ""
    """The entity tag that the store gave; later reads must find the same."""
    container: str
    """The container or still format, by content: `jpeg`, `mp4`, …"""
    codec: str
    """The codec of the picture: `h264`, `png`, …"""
    width: Annotated[int, Field(ge=1)]
    """Pixels, after rotation."""
    height: Annotated[int, Field(ge=1)]
    """Pixels, after rotation."""
    rotation: Literal[0, 90, 180, 270] = 0
    """Degrees that the stored picture is turned by for showing."""
    duration_s: Annotated[float, Field(ge=0)] = 0.0
    """Seconds; 0 for a still."""
    fps: Annotated[float, Field(ge=0)] = 0.0
    """Average frames a second; 0 for a still."""


class Segment(Event):
    """A time range of a piece of media that one worker scores. Planned by the uploads agent."""

    schema_name: ClassVar[str] = "segment"

    media_id: UUID
    """The media that it is a part of."""
    upload: MediaUpload
    """The upload that asked."""
    info: MediaInfo
    """What the media was found to be."""
    content_type: Literal[ContentType.IMAGE, ContentType.VIDEO]
    """Still or moving, by content."""
    start_s: Annotated[float, Field(ge=0)]
    """The first moment of the range, seconds."""
    end_s: Annotated[float, Field(ge=0)]
    """The end of the range, seconds, exclusive; 0 for a still, and for video whose length is not known: to its end."""
    index: Annotated[int, Field(ge=0)]
    """Which of the plan's segments, from 0."""
    of: Annotated[int, Field(ge=1)]
    """How many segments the plan has."""
    max_frames: Annotated[int, Field(ge=1)]
    """The most frames to look at in this range."""
    plan_fingerprint: Name
    """What was planned: equal plans on equal media lead to one verdict."""
    model_set: Name
    """Fingerprint of the models that the plan was made for."""
    policy: Name
    """Name and version of the policy that the plan was made for."""
    plan_ms: Annotated[float, Field(ge=0)] = 0.0
    """How long fetching, hashing and probing took, milliseconds."""
    received_at: Timestamp
    """When the fleet read the upload event."""
    planned_at: Timestamp
    """When the plan was made."""

    @model_validator(mode="after")
    def _ranges(self) -> "Segment":
        if self.index >= self.of:
            msg = f"index {self.index} of {self.of} segments"
            raise ValueError(msg)
        to_its_end = self.of == 1 and self.start_s == self.end_s == 0
        if self.content_type is ContentType.VIDEO and self.end_s <= self.start_s and not to_its_end:
            msg = f"an empty range: {self.start_s} to {self.end_s}"
            raise ValueError(msg)
        return self

    @property
    def event_id(self) -> str:
        """The media, the plan and the index."""
        return str(derive("segment", str(self.media_id), self.plan_fingerprint, str(self.index)))

    @property
    def key(self) -> str:
        """The media id and the index: segments of one media spread over the partitions."""
        return f"{self.media_id}/{self.index}"
