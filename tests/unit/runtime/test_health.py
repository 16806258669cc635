import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
import urllib3

from agents.runtime.health import Health, HealthEndpoint
from agents.runtime.metrics import Metrics


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def health(clock: Clock, metrics: Metrics) -> Health:
    return Health("segments", metrics, stalled_after_s=60.0, clock=clock)


@pytest.fixture
def endpoint(health: Health, metrics: Metrics) -> Iterator[HealthEndpoint]:
    with serving(health, metrics) as endpoint:
        yield endpoint


@contextmanager
def serving(health: Health, metrics: Metrics) -> Iterator[HealthEndpoint]:
    endpoint = HealthEndpoint(health, metrics, "127.0.0.1", 0)
    try:
        yield endpoint
    finally:
        endpoint.close()


def asked(endpoint: HealthEndpoint, path: str, method: str = "GET") -> urllib3.BaseHTTPResponse:
    return urllib3.request(method, endpoint.url + path, timeout=10, retries=False)


def body(endpoint: HealthEndpoint, path: str = "/health") -> dict[str, Any]:
    answer: dict[str, Any] = orjson.loads(asked(endpoint, path).data)
    return answer


def statuses(endpoint: HealthEndpoint) -> tuple[int, int, int]:
    live, ready, both = (asked(endpoint, path).status for path in ("/health/live", "/health/ready", "/health"))
    return live, ready, both


def test_an_agent_that_starts_is_alive_and_not_ready(endpoint: HealthEndpoint) -> None:
    assert statuses(endpoint) == (200, 503, 503)
    assert body(endpoint)["state"] == "starting"


def test_an_agent_that_runs_is_ready(health: Health, endpoint: HealthEndpoint) -> None:
    health.enter("running")
    health.assigned(4)
    assert statuses(endpoint) == (200, 200, 200)
    assert body(endpoint) == {
        "agent": "segments",
        "alive": True,
        "ready": True,
        "loop_age_s": 0.0,
        "partitions": 4,
        "away": {},
        "state": "running",
    }


def test_an_agent_whose_store_is_away_lives_but_is_not_ready_and_says_why(
    health: Health, endpoint: HealthEndpoint
) -> None:
    health.enter("running")
    health.away("redis", "connection refused")
    assert statuses(endpoint) == (200, 503, 503)
    assert body(endpoint)["away"] == {"redis": "connection refused"}
    health.back("redis")
    assert statuses(endpoint) == (200, 200, 200)


def test_one_store_that_is_back_does_not_hide_another_that_is_away(health: Health) -> None:
    health.enter("running")
    health.away("redis", "")
    health.away("kafka", "")
    health.back("redis")
    assert not health.report().ready


def test_an_agent_whose_loop_stands_still_is_not_alive(health: Health, clock: Clock, endpoint: HealthEndpoint) -> None:
    health.enter("running")
    clock.now += 59.9
    assert statuses(endpoint) == (200, 200, 200)
    clock.now += 0.2
    assert statuses(endpoint) == (503, 503, 503)
    health.beat()
    assert statuses(endpoint) == (200, 200, 200)


def test_an_agent_that_drains_lives_and_takes_no_more(health: Health, endpoint: HealthEndpoint) -> None:
    health.enter("draining")
    assert statuses(endpoint) == (200, 503, 503)


def test_an_agent_that_stopped_is_not_alive(health: Health, endpoint: HealthEndpoint) -> None:
    health.enter("stopped")
    assert statuses(endpoint) == (503, 503, 503)


def test_metrics_are_served_for_prometheus(health: Health, metrics: Metrics, endpoint: HealthEndpoint) -> None:
    metrics.consumed.labels("media.uploads").inc(3)
    health.away("postgres", "")
    answer = asked(endpoint, "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    text = answer.data.decode()
    assert 'fleet_messages_consumed_total{topic="media.uploads"} 3.0' in text
    assert 'fleet_dependency_up{dependency="postgres"} 0.0' in text


def test_every_metric_is_described_and_of_the_fleet(metrics: Metrics) -> None:
    text = metrics.render().decode()
    names = re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE)
    assert len(names) > 20
    assert all(name.startswith(("fleet_", "process_")) for name in names)


def test_two_agents_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.frames.inc()
    assert b"fleet_frames_total 1.0" in one.render()
    assert b"fleet_frames_total 0.0" in other.render()


@pytest.mark.parametrize("path", ["/", "/healthy", "/health/", "/../etc/passwd"])
def test_another_path_is_not_found(endpoint: HealthEndpoint, path: str) -> None:
    assert asked(endpoint, path).status == 404


def test_an_agents_own_documents_are_answered_beside_it(health: Health, metrics: Metrics) -> None:
    streams: list[str] = []
    endpoint = HealthEndpoint(health, metrics, "127.0.0.1", 0, {"/streams": lambda: streams})
    try:
        assert orjson.loads(asked(endpoint, "/streams").data) == []
        streams.append("a")
        assert orjson.loads(asked(endpoint, "/streams?all").data) == ["a"]
        assert asked(endpoint, "/streams/a").status == 404
    finally:
        endpoint.close()


def test_a_query_does_not_change_the_path(health: Health, endpoint: HealthEndpoint) -> None:
    health.enter("running")
    assert asked(endpoint, "/health?verbose=1").status == 200


def test_nothing_can_be_written(endpoint: HealthEndpoint) -> None:
    assert asked(endpoint, "/health", "POST").status == 501


def test_the_answer_does_not_tell_the_interpreter(endpoint: HealthEndpoint) -> None:
    assert "Python" not in asked(endpoint, "/health").headers["Server"]


def test_a_closed_endpoint_answers_no_more(health: Health, metrics: Metrics) -> None:
    with serving(health, metrics) as endpoint:
        assert asked(endpoint, "/health/live").status == 200
    with pytest.raises(urllib3.exceptions.HTTPError):
        asked(endpoint, "/health/live")
