"""Rows a second of the sink, against psycopg writing the very same rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter, process_time
from uuid import UUID

import psycopg
from psycopg import sql

from agents.runtime.messages import Incoming, Partition
from agents.runtime.metrics import Metrics
from agents.sink import Sink
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from schemas.identity import derive
from schemas.media import ContentType, DetectionLevel
from schemas.verdict import (
    Axis,
    AxisScore,
    Box,
    DetectorScore,
    FaceAnalysis,
    FaceQuality,
    FrameAnalysis,
    Label,
    Outcome,
    Recommendation,
    RecommendedAction,
    RiskLevel,
    Verdict,
)
from tests.support.fleet import Fleet
from topics.catalogue import VERDICTS
from topics.serialisation import encode

_FRAMES = 32
"""In a verdict without `detailed_timeline`."""
_TABLES = ("analysis_results", "frame_analysis")
_COLUMNS = (
    "SELECT column_name, udt_name FROM information_schema.columns "
    "WHERE table_schema = 'deepfake_detection' AND table_name = %s ORDER BY ordinal_position"
)

Row = tuple[object, ...]
Connection = psycopg.Connection[Row]


@dataclass(frozen=True, slots=True)
class Written:
    """The rows of a table as the sink wrote them."""

    table: sql.Identifier
    columns: sql.Composed
    places: sql.Composed
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class _Way:
    name: str
    write: Callable[[], None]
    pace: list[float]
    processor_us: list[float]


def measure(run: Run) -> Section:
    """Measure batches of the sink's size."""
    with run.servers.fleet() as fleet:
        batch = [_message(number) for number in range(fleet.settings.sink.batch_messages)]
        sink = Sink(fleet.settings, Metrics())
        sink.open()
        try:
            with psycopg.connect(fleet.environment["FLEET_POSTGRES__URL"]) as connection:
                sink.handle(batch)
                written = [_written(connection, table) for table in _TABLES]
                connection.commit()
                ways = _race(run, fleet, connection, sink, batch, written)
        finally:
            sink.close()
    base = [Samples(tuple(way.pace)) for way in ways]
    rows = tuple(
        (
            way.name,
            pace.text(),
            pace.over(base[0]).text(2),
            pace.over(base[1]).text(2),
            Samples(tuple(way.processor_us)).text(),
        )
        for way, pace in zip(ways, base, strict=True)
    )
    count = sum(len(table.rows) for table in written)
    table = Table(
        "Rows a second into PostgreSQL",
        ("", "rows/s", "of executemany", "of COPY", "client CPU us a row"),
        rows,
        f"A transaction of {len(batch)} verdicts with {_FRAMES} frames each, {count} rows in two tables with their "
        "indexes, which are emptied in between. executemany and COPY are given the rows ready made, COPY without "
        "`ON CONFLICT`; the sink is given messages, whose JSON it parses and checks, and writes its offsets too. "
        "What eats the rest: parsing alone has the pace of the last line.",
    )
    return Section("The sink", (table,))


def _race(
    run: Run, fleet: Fleet, connection: Connection, sink: Sink, batch: Sequence[Incoming], written: Sequence[Written]
) -> Sequence[_Way]:
    ways = (
        _Way("bare executemany", lambda: _executemany(connection, written), [], []),
        _Way("bare COPY", lambda: _copy(connection, written), [], []),
        _Way("Sink.handle", lambda: _handle(sink, batch), [], []),
        _Way("parsing alone", lambda: _parse(batch), [], []),
    )
    count = sum(len(table.rows) for table in written)
    repetitions = run.amount(5, 1)
    for repetition in range(repetitions):
        for way in (*ways[repetition % len(ways) :], *ways[: repetition % len(ways)]):
            run.tell(f"storage: {way.name}, {repetition + 1} of {repetitions}")
            fleet.execute(f"TRUNCATE {', '.join(f'deepfake_detection.{table}' for table in _TABLES)}")
            processor, began = process_time(), perf_counter()
            way.write()
            way.pace.append(count / (perf_counter() - began))
            way.processor_us.append((process_time() - processor) * 1e6 / count)
    return ways


def _written(connection: Connection, table: str) -> Written:
    named = connection.execute(_COLUMNS, (table,)).fetchall()
    place = sql.Identifier("deepfake_detection", table)
    # JSON is read and written as text, as the sink writes it.
    read = [sql.SQL("{}::text" if kind == "jsonb" else "{}").format(sql.Identifier(str(name))) for name, kind in named]
    return Written(
        place,
        sql.SQL(", ").join(sql.Identifier(str(name)) for name, _ in named),
        sql.SQL(", ").join(sql.Placeholder() for _ in named),
        connection.execute(sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(read), place)).fetchall(),
    )


def _executemany(connection: Connection, written: Sequence[Written]) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        for table in written:
            cursor.executemany(
                sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
                    table.table, table.columns, table.places
                ),
                table.rows,
            )


def _copy(connection: Connection, written: Sequence[Written]) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        for table in written:
            with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(table.table, table.columns)) as copy:
                for row in table.rows:
                    copy.write_row(row)


def _handle(sink: Sink, batch: Sequence[Incoming]) -> None:
    sink.handle(batch)


def _parse(batch: Sequence[Incoming]) -> None:
    for message in batch:
        message.event(Verdict)


def _message(number: int) -> Incoming:
    """Return a verdict on a clip of one face as it lies on its topic."""
    encoded = encode(_verdict(number))
    return Incoming(
        topic=VERDICTS,
        partition=Partition(VERDICTS.name, 0),
        offset=number,
        key=encoded.key,
        value=encoded.value,
        headers=encoded.headers,
        timestamp_ms=0,
    )


def _verdict(number: int) -> Verdict:
    media: UUID = derive("bench", str(number))
    score = (number % 89) / 100
    judged = DetectorScore(
        detector="tiny", axis=Axis.MANIPULATION, score=score, threshold=0.9, weight=1.0, faces=_FRAMES
    )
    return Verdict(
        verdict_id=derive("bench-verdict", str(number)),
        media_id=media,
        content_id=f"content-{number}",
        uploader_id="bench",
        tenant="default",
        content_type=ContentType.VIDEO,
        detection_level=DetectionLevel.STANDARD,
        outcome=Outcome.SCORED,
        label=Label.AUTHENTIC,
        manipulation_score=score,
        confidence_score=1 - score,
        risk_level=RiskLevel.LOW if score < 0.5 else RiskLevel.MEDIUM,
        axes=(AxisScore(axis=Axis.MANIPULATION, score=score, threshold=0.9, detectors=(judged,)),),
        frames=tuple(_frame(index, score) for index in range(_FRAMES)),
        recommendation=Recommendation(action=RecommendedAction.ALLOW, reason="Nothing was found."),
        processing_time_ms=1000.0,
        created_at=datetime.now(UTC),
    )


def _frame(index: int, score: float) -> FrameAnalysis:
    face = FaceAnalysis(
        track=0,
        box=Box(x=0.4, y=0.2, width=0.2, height=0.3),
        detection_score=0.99,
        quality=FaceQuality(size_px=200.0, sharpness=0.7, exposure=0.9, frontality=0.8, usable=True),
        scores={"tiny": score},
    )
    return FrameAnalysis(
        frame_number=25 * index, pts_ms=1000 * index, key_frame=index % 2 == 0, score=score, faces=(face,)
    )
