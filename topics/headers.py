"""The headers of messages, declared once: AsyncAPI and docs/messages.md follow from it.

Values are UTF-8 text; numbers are written in decimal.
"""

from dataclasses import dataclass

_TRACEPARENT_PATTERN = "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
_NUMBER_PATTERN = "^[0-9]+$"


@dataclass(frozen=True, slots=True)
class Header:
    """A header of a message."""

    name: str
    meaning: str
    example: str
    pattern: str | None = None
    """A regular expression that its text meets."""


TRACEPARENT = Header(
    "traceparent",
    "W3C Trace Context. A message without one begins a trace.",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    _TRACEPARENT_PATTERN,
)

EVENT_HEADERS = (
    Header(
        "schema",
        "Name and version of the value's schema. A message without it is read as the current version of the "
        "topic's schema.",
        "media-upload/1",
        "^[a-z-]+/[0-9]+$",
    ),
    Header(
        "id",
        "The id of the event, derived from its content: equal for a replay. Who consumes may drop what it has seen.",
        "c0098ee0-af68-5281-a50a-c5351b0ae955",
    ),
    TRACEPARENT,
    Header("content-type", "`application/json`.", "application/json", "^application/json$"),
)
"""Headers of every message that carries an event."""

FRAME_HEADERS = (
    Header(
        "seq", "Number of the frame in its stream, rising. Equal numbers are the same frame.", "1042", _NUMBER_PATTERN
    ),
    Header("pts_ms", "Presentation time in the stream, milliseconds.", "41680", _NUMBER_PATTERN),
    Header("captured_at", "When the frame was taken, RFC 3339 with a time zone.", "2026-03-14T09:26:53.120Z"),
    Header("content-type", "The kind of still that the value is.", "image/jpeg", "^image/[a-z0-9.+-]+$"),
    TRACEPARENT,
)
"""Headers of a live frame, whose value is an encoded still."""

DEAD_LETTER_HEADERS = (
    Header("dlq-reason", "Why it could not be handled; see the list of reasons.", "schema_invalid", "^[a-z_]+$"),
    Header(
        "dlq-detail", "What was wrong with which field, or the error that the handler met.", "media.uri: Field required"
    ),
    Header("dlq-attempts", "How often handling it was tried.", "1", _NUMBER_PATTERN),
    Header("dlq-agent", "Which agent gave up.", "uploads"),
    Header("dlq-source-topic", "The topic that it was read from, with its prefix.", "media.uploads"),
    Header("dlq-source-partition", "The partition that it was read from.", "3", _NUMBER_PATTERN),
    Header("dlq-source-offset", "The offset that it was read from.", "1200345", _NUMBER_PATTERN),
    Header(
        "dlq-source-timestamp-ms",
        "Its timestamp there, milliseconds since 1970; 0 where it had none.",
        "1773480413000",
        _NUMBER_PATTERN,
    ),
)
"""Headers that a dead letter carries beside its own."""

RETRY_HEADERS = (
    Header("retry-target", "Whom the delivery is for, as the settings name it.", "webhook:acme:moderation"),
    Header("retry-attempt", "Which attempt comes next.", "3", _NUMBER_PATTERN),
    Header("retry-first-at", "When it was first tried, RFC 3339.", "2026-03-14T09:26:53.120+00:00"),
    Header("retry-due-at", "When it is tried again, RFC 3339.", "2026-03-14T09:28:03.120+00:00"),
)
"""Headers that a delivery carries on a retry topic, beside the alert's own."""

DEAD_LETTER_REASONS = {
    "not_json": "The value is empty or not JSON.",
    "schema_invalid": "A field is missing, unknown or impossible.",
    "schema_unexpected": "The `schema` header names another schema than the topic's.",
    "schema_version": "The value follows a newer version than this consumer reads, or one that is too old.",
    "frame_invalid": "A live frame lacks a header, its key or its still, or one of them cannot be.",
    "frame_too_large": "A live frame's still is larger than the topic takes.",
    "policy_unknown": "The segment was planned with a policy that this worker does not have.",
    "undeliverable": "Somebody who was to be told of an alert could not be: refused, or given up.",
    "row_invalid": "The database refuses what it would become.",
    "handler_error": "The handler failed in a way that nobody foresaw, each time that it was tried.",
}
"""What `dlq-reason` says."""
