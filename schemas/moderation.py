"""What follows a verdict: alerts, the actions taken on them, and the reviews of people."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from schemas.event import Event, Name, Part, Score, Timestamp, type_of_upgrade, unchanged
from schemas.identity import derive
from schemas.media import ContentType
from schemas.verdict import Label, RiskLevel


class Transition(StrEnum):
    """What an alert says of its episode."""

    RAISED = "raised"
    ESCALATED = "escalated"
    CLEARED = "cleared"


class WindowStatistics(Part):
    """The evidence of the window that an alert rests on."""

    frames: Annotated[int, Field(ge=0)]
    """Frames in the window."""
    faces: Annotated[int, Field(ge=0)]
    """Judged faces in the window."""
    mean_score: Score
    """Mean frame score."""
    peak_score: Score
    """Highest frame score."""
    start_ms: Annotated[int, Field(ge=0)]
    """First presentation time; of a stream when its frame was captured, milliseconds since 1970."""
    end_ms: Annotated[int, Field(ge=0)]
    """Last one likewise."""


class Moment(Part):
    """A point of a stream's time line."""

    at_ms: Annotated[int, Field(ge=0)]
    """When its frame was captured, milliseconds since 1970."""
    seq: Annotated[int, Field(ge=0)]
    """The frame's number in the stream."""
    score: Score | None
    """The highest score of the frame's faces; null where none was judged."""


class Picture(Part):
    """A small picture of a face, and beside it, where known, the same with where it looks altered laid over it."""

    pts_ms: Annotated[int, Field(ge=0)]
    """Presentation time of its frame, milliseconds."""
    score: Score
    """Calibrated probability of the detector that judged it."""
    jpeg: Annotated[str, Field(max_length=32_768)]
    """In Base64."""


class Alert(Event):
    """Something needs attention. Moderation tools and blocking hooks subscribe to it."""

    schema_name: ClassVar[str] = "alert"
    schema_version: ClassVar[int] = 2
    upgrades: ClassVar[Mapping[int, type_of_upgrade]] = {1: unchanged}

    alert_id: UUID
    """Derived from subject, episode and transition."""
    tenant: Name
    """Whose policy raised it."""
    subject: Name
    """The stream id or the media id."""
    content_id: Name
    """The platform's id of the content or stream."""
    content_type: ContentType
    """Upload or stream."""
    episode: Annotated[int, Field(ge=0)]
    """Which alert of this subject, from 0."""
    transition: Transition
    """Raised, escalated or cleared."""
    risk_level: RiskLevel
    """How bad."""
    score: Score
    """The manipulation score at this moment."""
    reason: str
    """Why, in a sentence."""
    window: WindowStatistics | None = None
    """What it rests on."""
    timeline: Annotated[tuple[Moment, ...], Field(max_length=120)] = ()
    """The latest frames of the window that were looked at, for a stream; in order of time."""
    evidence: tuple[Name, ...] = ()
    """Keys in the evidence store; they expire."""
    picture: Picture | None = None
    """The face that looks most altered."""
    verdict_id: UUID | None = None
    """The verdict that it follows, for an upload."""
    model_set: Name
    """Fingerprint of the models."""
    policy: Name
    """Name and version of the policy."""
    at: Timestamp
    """Event time."""

    @property
    def event_id(self) -> str:
        """The alert id."""
        return str(self.alert_id)

    @property
    def key(self) -> str:
        """The subject."""
        return self.subject


class Action(Event):
    """Something was done about an alert."""

    schema_name: ClassVar[str] = "action"

    action_id: UUID
    """Derived from alert, kind and attempt."""
    alert_id: UUID
    """The alert that caused it."""
    tenant: Name
    """Whose policy asked for it."""
    subject: Name
    """The stream id or the media id."""
    kind: Literal["block", "release", "webhook", "email", "notify"]
    """What was done."""
    state: Literal["requested", "denied", "kicked", "confirmed", "delivered", "failed", "released"]
    """How far it came."""
    target: str
    """Whom it was done to: a server, a host, a mailbox. No secrets."""
    attempt: Annotated[int, Field(ge=1)] = 1
    """Which attempt."""
    detail: str = ""
    """What the other side answered."""
    at: Timestamp
    """When."""

    @property
    def event_id(self) -> str:
        """The action and its state."""
        return f"{self.action_id}/{self.state}"

    @property
    def key(self) -> str:
        """The subject."""
        return self.subject


class Review(Event):
    """A person's judgement of a verdict. Written by moderation tools."""

    schema_name: ClassVar[str] = "review"

    verdict_id: UUID
    """The verdict that was reviewed."""
    content_id: Name
    """The platform's id of the content."""
    tenant: Name = "default"
    """Whose moderators."""
    reviewer_id: Name
    """Who reviewed."""
    label: Label
    """What the person says it is."""
    note: Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")] = ""
    """Why."""
    at: Timestamp
    """When."""

    @property
    def event_id(self) -> str:
        """Verdict, reviewer and moment."""
        return str(derive("review", str(self.verdict_id), self.reviewer_id, self.at.isoformat()))

    @property
    def key(self) -> str:
        """The content id."""
        return self.content_id
