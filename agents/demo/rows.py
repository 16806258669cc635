"""Reading back what the sink wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import sleep
from uuid import UUID

from agents.database import connect, typed_errors
from agents.demo.exceptions import RowsDiffer, VerdictsLate
from agents.demo.live_story import LiveStory
from agents.runtime.deadline import Deadline
from agents.settings import PostgresSettings
from schemas.verdict import Verdict

_POLL_S = 0.1
_QUERY = """
SELECT r.verdict_id, r.content_id, r.outcome, r.label, r.manipulation_score, r.risk_level, r.recommendation,
       count(f.verdict_id)
FROM deepfake_detection.analysis_results r
LEFT JOIN deepfake_detection.frame_analysis f ON f.verdict_id = r.verdict_id AND f.revision = r.revision
WHERE r.media_id = ANY(%s)
GROUP BY r.verdict_id, r.revision
ORDER BY r.content_id
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `analysis_results`, and how many of `frame_analysis` belong to it."""

    verdict_id: UUID
    content_id: str
    outcome: str
    label: str
    manipulation_score: float | None
    risk_level: str | None
    recommendation: str
    frame_rows: int


def await_rows(postgres: PostgresSettings, verdicts: Sequence[Verdict], deadline: Deadline) -> list[Row]:
    """Return the rows of verdicts as soon as all are there.

    Raises:
        VerdictsLate: they were not there in time.
        RowsDiffer: there are others than the verdicts'.
        Unavailable: the database is away.
    """
    expected = {verdict.verdict_id for verdict in verdicts}
    media = [verdict.media_id for verdict in verdicts]
    with typed_errors(), connect(postgres) as connection:
        while True:
            rows = [Row(*row) for row in connection.execute(_QUERY, (media,))]  # type: ignore[arg-type]  # as selected
            found = {row.verdict_id for row in rows}
            if not found <= expected:
                raise RowsDiffer(f"Postgres has verdicts that were not published: {sorted(map(str, found - expected))}")
            if len(rows) == len(verdicts):
                return rows
            if deadline.expired:
                raise VerdictsLate(f"{len(rows)} of {len(verdicts)} verdicts are in Postgres")
            sleep(_POLL_S)


@dataclass(frozen=True, slots=True)
class LiveRows:
    """How many rows speak of the live demo's streams."""

    verdicts: int
    alerts: int
    actions: int


_LIVE_QUERY = """
SELECT (SELECT count(*) FROM deepfake_detection.analysis_results WHERE content_id = ANY(%(ids)s)),
       (SELECT count(*) FROM deepfake_detection.alerts WHERE subject = ANY(%(ids)s)),
       (SELECT count(*) FROM deepfake_detection.actions WHERE subject = ANY(%(ids)s)),
       (SELECT count(*) FROM deepfake_detection.actions WHERE alert_id = %(alert)s AND state = 'confirmed')
"""


def await_live_rows(postgres: PostgresSettings, story: LiveStory, deadline: Deadline) -> LiveRows:
    """Return how many rows there are, as soon as the confirmed block is among them.

    Raises:
        VerdictsLate: it was not there in time.
    """
    (alert_id,) = {stream.alert.alert_id for stream in story.streams if stream.alert is not None}
    asked = {"ids": [stream.stream_id for stream in story.streams], "alert": alert_id}
    with typed_errors(), connect(postgres) as connection:
        while True:
            row = connection.execute(_LIVE_QUERY, asked).fetchone()
            verdicts, alerts, actions, confirmed = (int(str(cell)) for cell in row or (0, 0, 0, 0))
            if confirmed and verdicts:
                return LiveRows(verdicts, alerts, actions)
            if deadline.expired:
                raise VerdictsLate("the confirmed block has no row in time")
            sleep(_POLL_S)
