"""Every event schema, by name."""

from schemas.control import ModelSwitch, WorkerReport
from schemas.event import Event
from schemas.media import MediaUpload, Segment
from schemas.moderation import Action, Alert, Review
from schemas.stream import StreamControl, StreamState
from schemas.verdict import Progress, Verdict

EVENTS: dict[str, type[Event]] = {
    event.schema_name: event
    for event in (
        MediaUpload,
        Segment,
        Verdict,
        Progress,
        Alert,
        Action,
        Review,
        StreamControl,
        StreamState,
        ModelSwitch,
        WorkerReport,
    )
}
