"""What was asked of a stream, as Redis knows it: commands may come twice and late."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import redis

from agents.keyvalue import connect
from agents.live.asked import AskedUnreadable, StreamsAsked
from agents.pulling.registry import Registry
from agents.settings import RedisSettings
from schemas.stream import StreamControl
from topics.serialisation import decode, encode

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
URL = "rtmp://live.example/live/a"


@pytest.fixture
def settings(server_environment: dict[str, str]) -> RedisSettings:
    given = {"url": server_environment["FLEET_REDIS__URL"], "key_prefix": f"a{uuid4().hex[:8]}:", "window_ttl_s": 0.2}
    return RedisSettings.model_validate(given)


@pytest.fixture
def client(settings: RedisSettings) -> Iterator["redis.Redis"]:
    connected = connect(settings)
    yield connected
    connected.close()


@pytest.fixture
def asked(client: "redis.Redis", settings: RedisSettings) -> StreamsAsked:
    return StreamsAsked(client, settings)


def control(command: str, seconds: float = 0, **fields: object) -> StreamControl:
    """A command as an agent reads it from the topic."""
    given = {"stream_id": "a", "command": command, "at": NOON + timedelta(seconds=seconds), **fields}
    sent = encode(StreamControl.model_validate(given))
    return decode(StreamControl, sent.value, sent.headers)


def start(seconds: float = 0, **fields: object) -> StreamControl:
    return control("start", seconds, **{"url": URL, **fields})


def test_nothing_is_known_of_a_stream_that_nothing_was_asked_of(asked: StreamsAsked) -> None:
    assert asked.find("a") is None
    assert asked.find_all(["a", "b"]) == {}


def test_a_start_is_found_as_it_was_asked(asked: StreamsAsked) -> None:
    noted = asked.note(start(sample_rate_fps=2.5, policy="strict", callback="https://platform.example/hook"))
    assert noted == asked.find("a") == asked.find_all(["b", "a"])["a"]
    assert (noted.sample_rate_fps, noted.policy, noted.url) == (2.5, "strict", URL)


def test_a_command_that_is_read_again_changes_nothing(asked: StreamsAsked) -> None:
    commands = [start(), control("update", 1, sample_rate_fps=5), control("stop", 2)]
    for command in commands:
        asked.note(command)
    known = asked.find("a")
    for command in commands:
        assert asked.note(command) == known
    assert asked.find("a") == known


def test_an_older_command_changes_nothing_and_is_told_what_is_known(asked: StreamsAsked) -> None:
    asked.note(start(10))
    assert asked.note(control("stop", 5)).command == "start"
    assert asked.note(control("update", 5, sample_rate_fps=9)).sample_rate_fps == 1.0


def test_an_update_joins_what_is_known_and_a_running_stream_runs_on(asked: StreamsAsked) -> None:
    asked.note(start(tenant="platform", policy="strict"))
    joined = asked.note(control("update", 1, sample_rate_fps=5))
    assert (joined.command, joined.url, joined.tenant, joined.policy) == ("start", URL, "platform", "strict")
    assert joined.sample_rate_fps == 5
    again = asked.note(control("update", 2, alert_threshold=0.7, url=None, policy=None))
    assert (again.sample_rate_fps, again.alert_threshold, again.url, again.policy) == (5, 0.7, URL, None)


def test_an_update_alone_configures_a_stream_that_somebody_else_publishes(asked: StreamsAsked) -> None:
    noted = asked.note(control("update", buffer_seconds=10))
    assert (noted.command, noted.buffer_seconds, noted.url) == ("update", 10, None)
    assert asked.note(start(1)).buffer_seconds == 30


def test_a_start_begins_anew(asked: StreamsAsked) -> None:
    asked.note(start(sample_rate_fps=5, policy="strict"))
    asked.note(control("stop", 1))
    begun = asked.note(start(2))
    assert (begun.command, begun.sample_rate_fps, begun.policy) == ("start", 1.0, None)


def test_a_stopped_stream_is_forgotten_in_time_and_a_started_one_is_not(
    asked: StreamsAsked, client: "redis.Redis", settings: RedisSettings
) -> None:
    asked.note(start())
    assert client.pttl(f"{settings.key_prefix}{{a}}:asked") == -1
    stopped = asked.note(control("stop", 1))
    assert (stopped.command, stopped.url) == ("stop", URL)
    deadline = time.monotonic() + 5
    while asked.find("a") is not None:
        assert time.monotonic() < deadline


def test_what_a_newer_fleet_asked_of_one_stream_hides_no_other(
    asked: StreamsAsked, client: "redis.Redis", settings: RedisSettings
) -> None:
    asked.note(start())
    client.hset(f"{settings.key_prefix}{{b}}:asked", mapping={"at": 10**15, "asked": '{"command":"rewind"}'})
    assert list(asked.find_all(["a", "b"])) == ["a"]
    assert asked.find("b") is None
    with pytest.raises(AskedUnreadable, match="b"):
        asked.note(start(stream_id="b"))


class TestRegistry:
    def test_a_started_stream_is_to_be_pulled_until_its_end_is_noted(
        self, client: "redis.Redis", settings: RedisSettings
    ) -> None:
        registry = Registry(client, settings)
        registry.note(start())
        assert registry.all() == {"a"}
        registry.note(control("stop", 1))
        assert registry.all() == {"a"}
        registry.forget("a")
        assert registry.all() == frozenset()

    def test_one_that_was_only_configured_is_not(self, client: "redis.Redis", settings: RedisSettings) -> None:
        registry = Registry(client, settings)
        registry.note(control("update", buffer_seconds=10))
        assert registry.all() == frozenset()

    def test_one_that_is_started_again_before_its_end_is_noted_stays(
        self, client: "redis.Redis", settings: RedisSettings
    ) -> None:
        registry = Registry(client, settings)
        for command in (start(), control("stop", 1), start(2)):
            registry.note(command)
        registry.forget("a")
        assert registry.all() == {"a"}
