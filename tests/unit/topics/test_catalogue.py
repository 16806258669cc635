import re
from datetime import timedelta

import pytest

from schemas.catalogue import EVENTS
from topics.catalogue import SEGMENTS, TOPICS, Topic, all_topics, topic_named
from topics.exceptions import UnknownTopic

RETRIED = Topic(
    name="hooks.calls",
    schema=None,
    key="subject",
    summary="Calls to make.",
    produced_by="hooks",
    consumed_by=("hooks",),
    partitions=6,
    retention=timedelta(days=1),
    dead_letter=True,
    retry_delays=(timedelta(seconds=5), timedelta(minutes=1)),
)


def test_no_two_topics_have_one_name() -> None:
    names = [topic.name for topic in all_topics()]
    assert len(set(names)) == len(names)


def test_names_are_what_kafka_allows_and_tell_apart_in_its_metrics() -> None:
    # Kafka's metrics write a dot as an underscore: `a.b` and `a_b` would be one.
    for topic in all_topics():
        assert re.fullmatch(r"[a-z0-9.-]{1,200}", topic.name), topic.name


def test_every_event_has_a_topic() -> None:
    assert {topic.schema for topic in TOPICS if topic.schema is not None} == set(EVENTS.values())


def test_every_topic_that_an_agent_reads_has_a_dead_letter_topic() -> None:
    agents = {"uploads", "segments", "sink", "hooks"}
    # Of a compacted topic every worker reads all, and the last word stands: nothing is put aside.
    read_by_us = [topic for topic in TOPICS if set(topic.consumed_by) & agents and topic.cleanup == "delete"]
    assert len(read_by_us) >= 7
    assert all(topic.dead_letter_name in {every.name for every in all_topics()} for topic in read_by_us)


def test_a_dead_letter_topic_has_room_for_the_message_and_the_reason() -> None:
    for topic in TOPICS:
        for companion in topic.companions():
            assert companion.max_message_bytes > topic.max_message_bytes
            assert companion.companions() == ()


def test_a_topic_comes_before_its_companions() -> None:
    names = [topic.name for topic in all_topics()]
    assert names.index("media.segments") + 1 == names.index("media.segments.dlq")


def test_retry_topics_are_named_by_their_delay_and_come_shortest_first() -> None:
    retries = RETRIED.companions()
    assert [topic.name for topic in retries] == ["hooks.calls.retry.5s", "hooks.calls.retry.60s", "hooks.calls.dlq"]
    assert [topic.partitions for topic in retries] == [6, 6, 1]
    assert retries[0].consumed_by == ("hooks",)
    assert retries[-1].consumed_by == ("operators",)


def test_the_brokers_settings_follow_from_the_declaration() -> None:
    assert SEGMENTS.configuration == {
        "cleanup.policy": "delete",
        "retention.ms": str(3 * 24 * 3600 * 1000),
        "max.message.bytes": str(1 << 20),
    }


def test_a_compacted_topic_keeps_its_messages_for_ever() -> None:
    control = Topic("fleet.control", None, "worker", "Orders.", "operators", ("control",), 1, None, "compact")
    assert control.configuration["retention.ms"] == "-1"
    assert control.configuration["cleanup.policy"] == "compact"


def test_a_topic_is_found_by_its_name() -> None:
    assert topic_named("media.segments") is SEGMENTS
    assert topic_named("media.segments.dlq").partitions == 1


def test_an_unknown_topic_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(UnknownTopic, match=r"no topic 'media\.upload'; the catalogue has media\.uploads, "):
        topic_named("media.upload")
