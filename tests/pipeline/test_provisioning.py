"""Topics are created once, grow, and differences are told; migrations are applied once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from agents.migrations import Migration, MigrationFailed, migrate, migrations
from tests.support.fleet import Fleet
from topics.catalogue import PROGRESS, UPLOADS
from topics.provisioning import Difference, provision, states

_APPLIED = "SELECT number, name FROM deepfake_detection.schema_migrations ORDER BY number"


def test_provisioning_twice_changes_nothing(fleet: Fleet) -> None:
    prefix = fleet.settings.kafka.topic_prefix
    report = provision(fleet.admin, fleet.topics, prefix=prefix)
    assert report.created == []
    assert report.grown == []
    assert sorted(report.unchanged) == sorted(prefix + topic.name for topic in fleet.topics)
    assert report.differences == []


def test_every_topic_has_the_partitions_of_the_catalogue(fleet: Fleet) -> None:
    prefix = fleet.settings.kafka.topic_prefix
    found = {state.name: state.partitions for state in states(fleet.admin) if state.name.startswith(prefix)}
    assert found == {prefix + topic.name: topic.partitions for topic in fleet.topics}


def test_a_setting_that_differs_is_told_and_left(fleet: Fleet) -> None:
    prefix = fleet.settings.kafka.topic_prefix
    declared = next(topic for topic in fleet.topics if topic.name == PROGRESS.name)
    wanted = replace(declared, retention=timedelta(hours=2))
    for _ in range(2):
        report = provision(fleet.admin, [wanted], prefix=prefix)
        assert report.differences == [
            Difference(prefix + PROGRESS.name, "retention.ms", str(2 * 3600 * 1000), str(3600 * 1000))
        ]


@pytest.mark.real_kafka
def test_a_topic_grows_with_the_catalogue_and_keeps_its_messages(fleet: Fleet) -> None:
    prefix = fleet.settings.kafka.topic_prefix
    fleet.publish_raw(UPLOADS, b"kept")
    fleet.flush()
    declared = next(topic for topic in fleet.topics if topic.name == UPLOADS.name)
    report = provision(fleet.admin, [replace(declared, partitions=5)], prefix=prefix)
    assert report.grown == [prefix + UPLOADS.name]
    fleet.await_that(
        lambda: {state.name: state.partitions for state in states(fleet.admin)}[prefix + UPLOADS.name] == 5,
        "five partitions",
    )
    assert [message.value() for message in fleet.await_messages(UPLOADS.name, 1)] == [b"kept"]
    shrunk = provision(fleet.admin, [declared], prefix=prefix)
    assert shrunk.grown == []
    assert shrunk.differences == [Difference(prefix + UPLOADS.name, "partitions", "3", "5")]


def test_migrations_are_applied_in_order_and_once_by_many_at_a_time(fleet: Fleet) -> None:
    postgres = fleet.settings.postgres
    added = Migration(9001, "more", "CREATE TABLE deepfake_detection.more (id integer)")
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: migrate(postgres, [*migrations(), added]), range(4)))
    assert sorted(len(each) for each in applied) == [0, 0, 0, 1]
    numbers = [migration.number for migration in migrations()]
    assert [row[0] for row in fleet.rows(_APPLIED)] == [*numbers, 9001]


def test_a_migration_that_fails_leaves_nothing(fleet: Fleet) -> None:
    half = Migration(9001, "half", "CREATE TABLE deepfake_detection.half (id integer); SELECT 1 / 0")
    with pytest.raises(MigrationFailed, match=r"9001_half.*division by zero"):
        migrate(fleet.settings.postgres, [*migrations(), half])
    assert fleet.rows("SELECT to_regclass('deepfake_detection.half')") == [(None,)]
    assert 9001 not in [row[0] for row in fleet.rows(_APPLIED)]


def test_an_applied_migration_must_not_change(fleet: Fleet) -> None:
    first, *rest = migrations()
    with pytest.raises(MigrationFailed, match="applied with another text"):
        migrate(fleet.settings.postgres, [replace(first, sql=first.sql + "-- later"), *rest])


def test_frames_far_from_now_go_to_the_default_partition(fleet: Fleet) -> None:
    count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'deepfake_detection.frame_analysis'::regclass"
    before = fleet.rows(count)
    fleet.execute("SELECT deepfake_detection.ensure_frame_partition('2003-05-05T00:00:00Z')")
    fleet.execute("SELECT deepfake_detection.ensure_frame_partition('2098-05-05T00:00:00Z')")
    assert fleet.rows(count) == before
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: fleet.execute("SELECT deepfake_detection.ensure_frame_partition(now())"), range(4)))
    assert fleet.rows(count) == [(int(str(before[0][0])) + 1,)]


def test_the_moderation_queries_use_indexes(fleet: Fleet) -> None:
    queries = (
        "SELECT * FROM deepfake_detection.analysis_results WHERE content_id = 'a' ORDER BY created_at DESC",
        "SELECT * FROM deepfake_detection.analysis_results WHERE risk_level = 'high' ORDER BY created_at DESC LIMIT 20",
        "SELECT * FROM deepfake_detection.frame_analysis WHERE content_id = 'a' AND frame_number = 7",
        "SELECT * FROM deepfake_detection.alerts WHERE tenant = 'a' AND risk_level = 'high'",
    )
    with psycopg.connect(fleet.environment["FLEET_POSTGRES__URL"], autocommit=True) as database:
        # The tables are empty, where a scan is always cheapest.
        database.execute("SET enable_seqscan = off")
        for query in queries:
            plan = "\n".join(str(row[0]) for row in database.execute(b"EXPLAIN " + query.encode()))
            assert "Index" in plan, plan
