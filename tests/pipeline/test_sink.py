"""The sink against a real broker and a real database."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

from agents.runtime.exceptions import TooManyRejects
from agents.runtime.metrics import Metrics
from agents.sink import Sink
from schemas.moderation import Review
from schemas.verdict import Box, FaceAnalysis, FaceQuality, FrameAnalysis, Recommendation, Verdict
from tests.pipeline.conftest import NewFleet
from tests.support.fleet import Fleet, headers_of, start
from topics import catalogue

_AT = datetime(2026, 10, 5, 8, tzinfo=UTC)
_COUNT = "SELECT count(*), count(DISTINCT verdict_id) FROM deepfake_detection.analysis_results"


def verdict(number: int, content_id: str | None = None) -> Verdict:
    face = FaceAnalysis(
        track=0,
        box=Box(x=0.1, y=0.2, width=0.3, height=0.4),
        detection_score=0.9,
        quality=FaceQuality(size_px=90, sharpness=0.5, exposure=0.9, frontality=0.8, usable=True),
        scores={"detector": 0.7},
    )
    return Verdict.model_validate(
        {
            "verdict_id": uuid5(UUID(int=0), str(number)),
            "media_id": uuid5(UUID(int=1), str(number)),
            "content_id": content_id or f"content-{number}",
            "uploader_id": "uploader",
            "tenant": "tenant",
            "content_type": "video",
            "detection_level": "standard",
            "outcome": "scored",
            "label": "manipulated",
            "manipulation_score": 0.7,
            "confidence_score": 0.7,
            "risk_level": "medium",
            "frames": (
                FrameAnalysis(frame_number=0, pts_ms=0, key_frame=True, score=0.7, faces=(face, face)),
                FrameAnalysis(frame_number=25, pts_ms=1000, key_frame=False, score=None, faces=()),
            ),
            "recommendation": Recommendation.model_validate({"action": "review", "reason": "a reason"}),
            "processing_time_ms": 12.5,
            "created_at": _AT,
        }
    )


def test_a_verdict_becomes_a_row_and_its_faces_rows_in_the_month_s_partition(fleet: Fleet) -> None:
    fleet.publish(catalogue.VERDICTS, [verdict(1)])
    with fleet.running("sink"):
        fleet.await_that(lambda: fleet.rows(_COUNT) == [(1, 1)], "the row")
    assert fleet.rows(
        "SELECT content_id, is_deepfake, manipulation_score, risk_level, processing_time_ms, created_at "
        "FROM deepfake_detection.analysis_results"
    ) == [("content-1", True, 0.7, "medium", 12.5, _AT)]
    assert fleet.rows(
        "SELECT frame_number, face, track, usable FROM deepfake_detection.frame_analysis_2026_10 ORDER BY 1, 2"
    ) == [(0, 0, 0, True), (0, 1, 0, True), (25, 0, None, None)]


def test_a_replayed_topic_changes_no_row(fleet: Fleet) -> None:
    fleet.publish(catalogue.VERDICTS, [verdict(number) for number in range(50)])
    fleet.publish(catalogue.VERDICTS, [verdict(number) for number in range(50)])
    everything = "SELECT * FROM deepfake_detection.analysis_results ORDER BY verdict_id"
    with fleet.running("sink"):
        fleet.await_that(lambda: fleet.rows(_COUNT) == [(50, 50)], "50 rows")
    before = fleet.rows(everything)
    fleet.execute("DELETE FROM deepfake_detection.sink_offsets")
    fleet.forget_group("sink")
    with fleet.running("sink") as (again,):
        fleet.await_that(lambda: again.count("fleet_messages_completed") == 100, "the replay")
    assert again.count("fleet_rows_written") == 0
    assert fleet.rows(everything) == before
    assert fleet.rows("SELECT count(*) FROM deepfake_detection.frame_analysis") == [(150,)]


def test_the_sink_goes_on_at_its_own_offsets_not_at_the_group_s(fleet: Fleet) -> None:
    fleet.publish(catalogue.VERDICTS, [verdict(number) for number in range(30)])
    with fleet.running("sink"):
        fleet.await_that(lambda: fleet.rows(_COUNT) == [(30, 30)], "30 rows")
    # The group forgets; the database does not.
    fleet.forget_group("sink")
    fleet.publish(catalogue.VERDICTS, [verdict(30)])
    with fleet.running("sink") as (again,):
        fleet.await_that(lambda: fleet.rows(_COUNT) == [(31, 31)], "the 31st row")
        assert again.count("fleet_messages_consumed") == 1
    # The database loses its last rows and offsets, as after a restore; the group does not.
    fleet.execute("DELETE FROM deepfake_detection.analysis_results; DELETE FROM deepfake_detection.sink_offsets")
    fleet.execute(
        "INSERT INTO deepfake_detection.sink_offsets (cluster_id, consumer_group, topic, partition, next_offset) "
        + " UNION ALL ".join(
            f"SELECT '{cluster_id(fleet)}', '{fleet.name}.sink', '{fleet.full(catalogue.VERDICTS)}', {number}, 0"
            for number in range(3)
        )
    )
    with fleet.running("sink"):
        fleet.await_that(lambda: fleet.rows(_COUNT) == [(31, 31)], "all rows again")


def cluster_id(fleet: Fleet) -> str:
    return fleet.admin.list_topics(timeout=10).cluster_id or ""


def test_a_bad_message_in_a_batch_is_a_dead_letter_and_the_rest_are_rows(fleet: Fleet) -> None:
    good = [verdict(number) for number in range(20)]
    unstorable = verdict(99).model_copy(update={"reason": "a\x00b"})  # PostgreSQL has no NUL in text
    fleet.publish(catalogue.VERDICTS, [*good[:10], unstorable])
    fleet.publish_raw(catalogue.VERDICTS, b"{not json")
    fleet.publish_raw(catalogue.VERDICTS, b"{}", {"schema": b"verdict/99"})
    fleet.publish(catalogue.VERDICTS, good[10:])
    with fleet.running("sink") as (sink,):
        dead = fleet.await_messages("deepfake.verdicts.dlq", 3)
        fleet.await_that(lambda: fleet.rows(_COUNT) == [(20, 20)], "the good rows")
        fleet.await_that(lambda: sink.count("fleet_messages_completed") == 23, "all 23 messages done")
    assert sorted(headers_of(message)["dlq-reason"] for message in dead) == [
        "not_json",
        "row_invalid",
        "schema_version",
    ]
    # Nothing is buried twice, also not by the next start.
    with fleet.running("sink") as (again,):
        fleet.publish(catalogue.VERDICTS, [verdict(100)])
        fleet.await_that(lambda: fleet.rows(_COUNT) == [(21, 21)], "the next row")
    assert again.count("fleet_messages_consumed") == 1
    assert len(fleet.messages("deepfake.verdicts.dlq")) == 3


def test_too_many_bad_messages_in_a_row_stop_the_agent_and_leave_the_rest(new_fleet: NewFleet) -> None:
    fleet = new_fleet(FLEET_RUNTIME__MAX_CONSECUTIVE_REJECTS="5")
    for _ in range(40):
        fleet.publish_raw(catalogue.VERDICTS, b"garbage")
    fleet.flush()
    metrics = Metrics()
    running = start(Sink(fleet.settings, metrics), fleet.settings, metrics)
    fleet.await_that(lambda: not running.thread.is_alive(), "the agent's end")
    (error,) = running.errors
    assert isinstance(error, TooManyRejects)
    assert "not_json" in str(error)
    assert len(fleet.messages("deepfake.verdicts.dlq")) == 5


def test_a_read_only_database_pauses_the_sink_and_nothing_is_dropped(fleet: Fleet) -> None:
    fleet.execute(f'ALTER DATABASE "{fleet.name}" SET default_transaction_read_only = on')
    fleet.publish(catalogue.VERDICTS, [verdict(number) for number in range(5)])
    with fleet.running("sink") as (sink,):
        fleet.await_that(lambda: "postgres" in sink.process.health.report().away, "the sink to say so")
        assert not sink.process.health.report().ready
        fleet.execute(
            f'ALTER DATABASE "{fleet.name}" RESET default_transaction_read_only',
            options="-c default_transaction_read_only=off",
        )
        fleet.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{fleet.name}' AND pid <> pg_backend_pid()"
        )
        fleet.await_that(lambda: fleet.rows(_COUNT) == [(5, 5)], "the rows")
        fleet.await_that(lambda: sink.process.health.report().ready, "the sink to be ready")
    assert fleet.messages("deepfake.verdicts.dlq") == []


def test_reviews_are_stored(fleet: Fleet) -> None:
    review = Review.model_validate(
        {
            "verdict_id": verdict(1).verdict_id,
            "content_id": "content-1",
            "reviewer_id": "someone",
            "label": "authentic",
            "note": "a filter",
            "at": _AT,
        }
    )
    fleet.publish(catalogue.REVIEWS, [review, review])
    with fleet.running("sink") as (sink,):
        fleet.await_that(lambda: sink.count("fleet_messages_completed") == 2, "both messages")
    assert fleet.rows("SELECT content_id, label, note FROM deepfake_detection.reviews") == [
        ("content-1", "authentic", "a filter")
    ]
