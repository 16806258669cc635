"""The sink: what the fleet says goes to Postgres, with the sink's offsets in the same transaction."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import ClassVar

from agents.database import Connection, connect, typed_errors
from agents.rows import ACTIONS, ALERTS, RESULTS, REVIEWS, insert_frames
from agents.runtime.agent import Agent, BatchPolicy, Lane
from agents.runtime.failpoints import reached
from agents.runtime.messages import Handled, Incoming, Partition
from agents.runtime.metrics import Metrics
from agents.settings import Settings
from schemas.moderation import Action, Alert, Review
from schemas.verdict import Verdict
from topics import catalogue


class Sink(Agent):
    """Writes what the fleet says. A replayed topic changes no row."""

    name: ClassVar[str] = "sink"
    concurrency = 1  # In order: the offsets of a transaction are those of its rows.

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._group = settings.kafka.topic_prefix + self.name
        self._connection: Connection | None = None
        self._cluster_id = ""
        self.batch = BatchPolicy(settings.sink.batch_messages, settings.sink.batch_delay_ms / 1000)

    @property
    def lanes(self) -> Sequence[Lane]:
        """One lane: the order between the topics does not matter."""
        topics = (catalogue.VERDICTS, catalogue.ALERTS, catalogue.ACTIONS, catalogue.REVIEWS)
        return (Lane(topics, max_messages=4 * self._settings.sink.batch_messages),)

    def positions(self, partitions: Sequence[Partition], cluster_id: str) -> Mapping[Partition, int]:
        """Return the offsets that were written with the last rows."""
        self._cluster_id = cluster_id
        # A connection of its own: this runs on the consumer's thread, beside a batch that is being written.
        with typed_errors(), connect(self._settings.postgres) as connection:
            rows = connection.execute(
                "SELECT topic, partition, next_offset FROM deepfake_detection.sink_offsets "
                "WHERE cluster_id = %s AND consumer_group = %s",
                (cluster_id, self._group),
            )
            stored = {Partition(str(topic), int(str(number))): int(str(offset)) for topic, number, offset in rows}
        return {partition: stored[partition] for partition in partitions if partition in stored}

    def handle(self, batch: Sequence[Incoming]) -> Sequence[Handled]:
        """Write the rows of a batch and its offsets in one transaction."""
        verdicts = [m.event(Verdict) for m in batch if m.topic is catalogue.VERDICTS]
        alerts = [m.event(Alert) for m in batch if m.topic is catalogue.ALERTS]
        actions = [m.event(Action) for m in batch if m.topic is catalogue.ACTIONS]
        reviews = [m.event(Review) for m in batch if m.topic is catalogue.REVIEWS]
        started = perf_counter()
        connection = self._database()
        with typed_errors(), connection.transaction():
            added = RESULTS.insert(connection, verdicts)
            frames = insert_frames(connection, [verdict for verdict in verdicts if verdict.event_id in added])
            rows = {
                "analysis_results": len(added),
                "frame_analysis": frames,
                "alerts": len(ALERTS.insert(connection, alerts)),
                "actions": len(ACTIONS.insert(connection, actions)),
                "reviews": len(REVIEWS.insert(connection, reviews)),
            }
            self._write_offsets(connection, batch)
        reached("after-postgres-commit")
        self._metrics.stage_seconds.labels("write").observe(perf_counter() - started)
        for table, count in rows.items():
            self._metrics.rows.labels(table).inc(count)
        return [Handled() for _ in batch]

    def buried(self, message: Incoming) -> None:
        """Step over a dead letter, which has no row to write its offset with."""
        with typed_errors(), self._database().transaction():
            self._write_offsets(self._database(), [message])

    def _write_offsets(self, connection: Connection, batch: Sequence[Incoming]) -> None:
        """Note where to go on. Never back: a dead letter's offset may be written after a later row's."""
        newest = {message.partition: message.offset + 1 for message in batch}
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO deepfake_detection.sink_offsets "
                "(cluster_id, consumer_group, topic, partition, next_offset) VALUES (%s, %s, %s, %s, %s) "
                "ON CONFLICT (cluster_id, consumer_group, topic, partition) "
                "DO UPDATE SET next_offset = greatest(sink_offsets.next_offset, EXCLUDED.next_offset), "
                "updated_at = now()",
                [
                    (self._cluster_id, self._group, partition.topic, partition.number, offset)
                    for partition, offset in newest.items()
                ],
            )

    def _database(self) -> Connection:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = connect(self._settings.postgres)
        return self._connection

    def open(self) -> None:
        """Connect."""
        self._database()

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
