"""Events as rows: one INSERT a table, whatever the batch, and nothing changed by a replay.

Rows travel as arrays, one a column (`unnest`), so that a batch is one statement and one round trip.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, LiteralString, TypeVar

import orjson

from agents.database import Connection
from schemas.event import Event
from schemas.moderation import Action, Alert, Review
from schemas.verdict import FrameAnalysis, Verdict

_Event = TypeVar("_Event", bound=Event)
_Cell = object


@dataclass(frozen=True, slots=True)
class Column(Generic[_Event]):
    """A column, its SQL type, and where its value comes from."""

    name: LiteralString
    type: LiteralString
    value: Callable[[_Event], _Cell]


@dataclass(frozen=True, slots=True)
class Table(Generic[_Event]):
    """A table that takes one row an event. `key` is the SQL of the event id, which inserting returns."""

    name: LiteralString
    key: LiteralString
    columns: tuple[Column[_Event], ...]

    def insert(self, connection: Connection, events: Sequence[_Event]) -> set[object]:
        """Insert the rows of `events` that are not there yet, and return their event ids."""
        if not events:
            return set()
        rows = [[column.value(event) for column in self.columns] for event in events]
        return _insert(
            connection,
            self.name,
            self.key,
            tuple((column.name, column.type) for column in self.columns),
            rows,
        )


def _insert(
    connection: Connection,
    table: LiteralString,
    key: LiteralString,
    columns: Sequence[tuple[LiteralString, LiteralString]],
    rows: Sequence[Sequence[_Cell]],
) -> set[object]:
    names = ", ".join(name for name, _ in columns)
    # A jsonb value is sent as text, and cast inside: psycopg sends arrays of one type. In binary (%b): in text it
    # would look at every cell for characters to quote.
    arrays = ", ".join(f"%b::{'text' if kind == 'jsonb' else kind}[]" for _, kind in columns)
    values = ", ".join(f"given.{name}::{kind}" for name, kind in columns)
    statement = (
        f"INSERT INTO deepfake_detection.{table} ({names}) "  # noqa: S608  (names are literals of this module)
        f"SELECT {values} FROM unnest({arrays}) AS given ({names}) "
        f"ON CONFLICT DO NOTHING RETURNING {key}"
    )
    cells = [list(column) for column in zip(*rows, strict=True)]
    cursor = connection.execute(statement, cells)
    return {row[0] for row in cursor}


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _details(verdict: Verdict) -> str:
    return _json(verdict.model_dump(mode="json", exclude={"frames"}))


RESULTS: Table[Verdict] = Table(
    "analysis_results",
    "verdict_id || '/' || revision",
    (
        Column("verdict_id", "uuid", lambda verdict: verdict.verdict_id),
        Column("revision", "integer", lambda verdict: verdict.revision),
        Column("media_id", "uuid", lambda verdict: verdict.media_id),
        Column("content_id", "text", lambda verdict: verdict.content_id),
        Column("uploader_id", "text", lambda verdict: verdict.uploader_id),
        Column("tenant", "text", lambda verdict: verdict.tenant),
        Column("content_type", "text", lambda verdict: verdict.content_type),
        Column("detection_level", "text", lambda verdict: verdict.detection_level),
        Column("time_window", "text", lambda verdict: verdict.window),
        Column("outcome", "text", lambda verdict: verdict.outcome),
        Column("reason", "text", lambda verdict: verdict.reason),
        Column("label", "text", lambda verdict: verdict.label),
        Column("is_deepfake", "boolean", lambda verdict: verdict.is_deepfake),
        Column("confidence_score", "double precision", lambda verdict: verdict.confidence_score),
        Column("manipulation_score", "double precision", lambda verdict: verdict.manipulation_score),
        Column("risk_level", "text", lambda verdict: verdict.risk_level),
        Column(
            "manipulation_types",
            "jsonb",
            lambda verdict: _json({kind.kind.value: kind.probability for kind in verdict.manipulation_types}),
        ),
        Column("recommendation", "text", lambda verdict: verdict.recommendation.action),
        Column("analysis_details", "jsonb", _details),
        Column(
            "model_versions",
            "jsonb",
            lambda verdict: _json({model.name: model.version for model in verdict.models}),
        ),
        Column("media_sha256", "text", lambda verdict: verdict.media and verdict.media.sha256),
        Column("processing_time_ms", "double precision", lambda verdict: verdict.processing_time_ms),
        Column("reused_from", "uuid", lambda verdict: verdict.reused_from),
        Column("created_at", "timestamptz", lambda verdict: verdict.created_at),
    ),
)
ALERTS: Table[Alert] = Table(
    "alerts",
    "alert_id::text",
    (
        Column("alert_id", "uuid", lambda alert: alert.alert_id),
        Column("tenant", "text", lambda alert: alert.tenant),
        Column("subject", "text", lambda alert: alert.subject),
        Column("content_id", "text", lambda alert: alert.content_id),
        Column("content_type", "text", lambda alert: alert.content_type),
        Column("episode", "integer", lambda alert: alert.episode),
        Column("transition", "text", lambda alert: alert.transition),
        Column("risk_level", "text", lambda alert: alert.risk_level),
        Column("score", "double precision", lambda alert: alert.score),
        Column("reason", "text", lambda alert: alert.reason),
        Column("verdict_id", "uuid", lambda alert: alert.verdict_id),
        Column("details", "jsonb", lambda alert: _json(alert.model_dump(mode="json"))),
        Column("created_at", "timestamptz", lambda alert: alert.at),
    ),
)
ACTIONS: Table[Action] = Table(
    "actions",
    "action_id || '/' || state",
    (
        Column("action_id", "uuid", lambda action: action.action_id),
        Column("state", "text", lambda action: action.state),
        Column("alert_id", "uuid", lambda action: action.alert_id),
        Column("tenant", "text", lambda action: action.tenant),
        Column("subject", "text", lambda action: action.subject),
        Column("kind", "text", lambda action: action.kind),
        Column("target", "text", lambda action: action.target),
        Column("attempt", "integer", lambda action: action.attempt),
        Column("detail", "text", lambda action: action.detail),
        Column("created_at", "timestamptz", lambda action: action.at),
    ),
)
REVIEWS: Table[Review] = Table(
    "reviews",
    "review_id::text",
    (
        Column("review_id", "uuid", lambda review: review.event_id),
        Column("verdict_id", "uuid", lambda review: review.verdict_id),
        Column("content_id", "text", lambda review: review.content_id),
        Column("tenant", "text", lambda review: review.tenant),
        Column("reviewer_id", "text", lambda review: review.reviewer_id),
        Column("label", "text", lambda review: review.label),
        Column("note", "text", lambda review: review.note),
        Column("created_at", "timestamptz", lambda review: review.at),
    ),
)

_FRAME_COLUMNS: tuple[tuple[LiteralString, LiteralString], ...] = (
    ("verdict_id", "uuid"),
    ("revision", "integer"),
    ("content_id", "text"),
    ("created_at", "timestamptz"),
    ("frame_number", "bigint"),
    ("pts_ms", "bigint"),
    ("key_frame", "boolean"),
    ("frame_score", "double precision"),
    ("face", "smallint"),
    ("track", "integer"),
    ("box_x", "real"),
    ("box_y", "real"),
    ("box_width", "real"),
    ("box_height", "real"),
    ("detection_score", "real"),
    ("usable", "boolean"),
    ("scores", "jsonb"),
)


def insert_frames(connection: Connection, verdicts: Sequence[Verdict]) -> int:
    """Insert a row for each face of each frame of `verdicts`, and return how many."""
    rows = [
        [verdict.verdict_id, verdict.revision, verdict.content_id, verdict.created_at, *cells]
        for verdict in verdicts
        for frame in verdict.frames
        for cells in _frame_cells(frame)
    ]
    if not rows:
        return 0
    for month in {verdict.created_at.strftime("%Y-%m") for verdict in verdicts if verdict.frames}:
        connection.execute(
            "SELECT deepfake_detection.ensure_frame_partition(%s::timestamptz)", (f"{month}-15T00:00:00Z",)
        )
    _insert(connection, "frame_analysis", "frame_number", _FRAME_COLUMNS, rows)
    return len(rows)


def _frame_cells(frame: FrameAnalysis) -> list[list[_Cell]]:
    common: list[_Cell] = [frame.frame_number, frame.pts_ms, frame.key_frame, frame.score]
    if not frame.faces:
        return [[*common, 0, None, None, None, None, None, None, None, None]]
    return [
        [
            *common,
            number,
            face.track,
            face.box.x,
            face.box.y,
            face.box.width,
            face.box.height,
            face.detection_score,
            face.quality.usable,
            _json(face.scores),
        ]
        for number, face in enumerate(frame.faces)
    ]
