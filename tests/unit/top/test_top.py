"""`fleet top`, against the real endpoint of a worker."""

from collections.abc import Iterator
from dataclasses import astuple, replace

import pytest
import urllib3
from rich.console import Console

from agents.cli.exits import ExitCode
from agents.runtime.health import Health, HealthEndpoint
from agents.runtime.metrics import Metrics
from agents.top.judgement import bottleneck
from agents.top.rates import ModelRate, StageRate, WorkerRate, between
from agents.top.readings import Reading, read
from agents.top.view import screen
from tests.support.commands import run_fleet

POOL = urllib3.PoolManager()


class Worker:
    """The endpoint of an agent, and what it counts."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.health = Health("segments", self.metrics, stalled_after_s=60.0)
        self.health.enter("running")
        self.endpoint = HealthEndpoint(self.health, self.metrics, "127.0.0.1", 0)

    def works(self, messages: int) -> None:
        """Handle messages: each takes 0.4 s, of which decoding 0.1 and the detectors 0.3."""
        for _ in range(messages):
            for stage, seconds in (("handle", 0.4), ("decode", 0.1), ("score", 0.3)):
                self.metrics.stage_seconds.labels(stage).observe(seconds)
            self.metrics.completed.labels("media.segments").inc()
            self.metrics.inference_batch.labels("fine").observe(8)
            self.metrics.inference_wait_seconds.labels("fine").observe(0.002)
            self.metrics.inference_run_seconds.labels("fine").observe(0.25)

    def read(self) -> Reading:
        return read(self.endpoint.url, POOL)


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.endpoint.close()


def over(worker: Worker, seconds: float, messages: int) -> WorkerRate:
    before = worker.read()
    worker.works(messages)
    return between(before, replace(worker.read(), at=before.at + seconds))


def test_what_a_worker_did_in_an_interval(worker: Worker) -> None:
    worker.works(3)
    worker.metrics.model_provider.labels("fine", "1", "cpu").set(1)
    worker.metrics.lag_messages.labels("media.segments", "0").set(7)
    worker.metrics.lag_messages.labels("media.segments", "1").set(5)
    worker.metrics.in_flight_messages.set(4)
    rate = over(worker, seconds=2.0, messages=4)
    assert (rate.agent, rate.state, rate.lag, rate.in_flight) == ("segments", "running", 12, 4)
    assert rate.handled == pytest.approx(2.0)
    assert rate.handling == pytest.approx(0.8)
    assert rate.memory_bytes > 1e6
    assert rate.stages["score"].busy == pytest.approx(0.6)
    assert rate.stages["score"].mean_ms == pytest.approx(300)
    provider, *figures = astuple(rate.models["fine"])
    assert provider == "cpu"
    assert figures == pytest.approx([16.0, 8.0, 2.0, 250.0, 0.5])


def test_the_device_and_what_stands_in_are_read(worker: Worker) -> None:
    worker.metrics.memory_free.labels("cuda").set(3e9)
    worker.metrics.gpu_busy.labels("cuda").set(0.83)
    worker.metrics.model_stands_in.labels("large").set(1)
    worker.metrics.model_stands_in.labels("fine").set(0)
    rate = over(worker, seconds=1.0, messages=1)
    assert (rate.free_bytes, rate.gpu_busy, rate.stood_in_for) == ({"cuda": 3e9}, 0.83, ["large"])


def test_an_interval_without_work_has_no_means(worker: Worker) -> None:
    worker.works(1)
    rate = over(worker, seconds=1.0, messages=0)
    assert rate.stages["score"] == StageRate(0.0, 0.0, 0.0)
    assert rate.models["fine"].crops_per_s == 0


def test_of_a_worker_that_restarted_what_it_did_since_counts(worker: Worker) -> None:
    worker.works(2)
    now = worker.read()
    cpu = ("process_cpu_seconds_total", frozenset[tuple[str, str]]())
    before = replace(now, at=now.at - 1.0, values={**now.values, cpu: now.values[cpu] + 100})
    assert between(before, now).handled == pytest.approx(2.0)


def test_a_worker_that_is_gone_is_silent(worker: Worker) -> None:
    url = worker.endpoint.url
    gone = read(url.rpartition(":")[0] + ":1", POOL)
    assert (gone.state, gone.values) == ("silent", {})
    assert bottleneck(between(gone, gone), 2).startswith("does not answer: NewConnectionError")


BUSY = WorkerRate(
    "http://127.0.0.1:9100",
    "segments",
    "running",
    {},
    cpu=0.9,
    handling=1.6,
    handled=4.0,
    stages={"decode": StageRate(4, 0.4, 100), "faces": StageRate(4, 1.2, 300), "handle": StageRate(4, 1.6, 400)},
)


@pytest.mark.parametrize(
    ("worker_", "said"),
    [
        (BUSY, "keeps up; finding and measuring faces takes 75% of the time"),
        (replace(BUSY, lag=1), "1 message behind; finding and measuring faces takes 75% of the time"),
        (
            replace(BUSY, lag=30, cpu=1.9),
            "30 messages behind; finding and measuring faces takes 75% of the time; its processors are full (1.9 of 2)",
        ),
        (
            replace(
                BUSY,
                stages={**BUSY.stages, "score": StageRate(4, 4.8, 1200)},
                models={"small": ModelRate("cpu", 9, 4, 1, 20, 0.2), "large": ModelRate("cpu", 9, 1, 1, 54, 0.9)},
            ),
            "keeps up; waiting for the detectors takes 75% of the time, most of it large (54 ms a batch)",
        ),
        (replace(BUSY, away={"redis": "connection refused"}), "waits for redis (connection refused)"),
        (replace(BUSY, state="draining"), "draining"),
        (replace(BUSY, handling=0.0, handled=0.0), "idle: nothing to do"),
        (replace(BUSY, handling=0.0, handled=0.0, lag=3), "hands nothing on, and 3 messages wait"),
        (replace(BUSY, handling=0.0, handled=0.0, in_flight=1), "hands nothing on, and 1 message waits"),
        (replace(BUSY, handling=0.001), "keeps up; finding and measuring faces takes 75% of the time"),
        (replace(BUSY, stages={}), "keeps up; handling takes all its time"),
    ],
)
def test_the_bottleneck_is_said_in_words(worker_: WorkerRate, said: str) -> None:
    assert bottleneck(worker_, 2) == said


def test_the_screen_shows_workers_stages_and_models() -> None:
    busy = replace(
        BUSY,
        lag=1234,
        models={"fine": ModelRate("cuda", 16.0, 8.0, 2.0, 250.0, 0.5)},
        free_bytes={"cuda": 3e9},
        gpu_busy=0.83,
        stood_in_for=["large"],
    )
    silent = WorkerRate("http://127.0.0.1:9101", "", "silent", {"worker": "refused"})
    console = Console(width=100, record=True, file=None, color_system=None)
    with console.capture() as captured:
        console.print(screen([busy, silent], 2))
    shown = captured.get()
    for words in ("segments", "1,234", "faces", "75%", "fine", "250.0", "http://127.0.0.1:9101", "does not answer"):
        assert words in shown
    assert "memory for models: cuda 3.0 GB free, GPU 83% busy" in shown
    assert "short of memory: something else serves for large" in shown


def test_the_command_shows_an_interval_and_fails_where_nobody_answers(worker: Worker) -> None:
    done = run_fleet("top", worker.endpoint.url, "http://127.0.0.1:1", "--once", "--interval", "0.2")
    assert done.returncode == ExitCode.OK
    assert "segments" in done.stdout
    assert "idle: nothing to do" in done.stdout
    assert run_fleet("top", "http://127.0.0.1:1", "--once", "--interval", "0.2").returncode == ExitCode.UNAVAILABLE
