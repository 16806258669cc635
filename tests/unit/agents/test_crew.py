import logging
from dataclasses import dataclass, field

import pytest

from agents.crew import Crew, GivenUp
from agents.restarts import NEVER, RestartPolicy
from agents.supervision import Worker

LEFT, RIGHT = Worker("segments@GPU-0", "segments", {}, "GPU-a"), Worker("segments@GPU-1", "segments", {}, "GPU-b")
POLICY = RestartPolicy(most_ends=3, within_s=60.0)


@dataclass
class Scripted:
    """A process that ends when it is told to."""

    returncode: int | None = None


@dataclass
class Stage:
    """A crew of two with a clock of its own."""

    policy: RestartPolicy = POLICY
    now: float = 0.0
    hindrances: dict[str, str] = field(default_factory=dict)
    started: list[tuple[float, str]] = field(default_factory=list)
    running: dict[str, Scripted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.crew = Crew(
            [LEFT, RIGHT],
            self.policy,
            self.start,
            lambda worker: self.hindrances.get(worker.device, ""),
            lambda: self.now,
        )
        assert self.crew.look() is None

    def hindrance(self, worker: Worker) -> str:
        return self.hindrances.get(worker.device, "")

    def start(self, worker: Worker) -> Scripted:
        self.started.append((self.now, worker.label))
        self.running[worker.label] = Scripted()
        return self.running[worker.label]

    def end(self, worker: Worker, code: int) -> GivenUp | None:
        self.running[worker.label].returncode = code
        return self.crew.look()

    def look_at(self, now: float) -> GivenUp | None:
        self.now = now
        return self.crew.look()


def test_a_worker_that_ends_is_started_again_after_a_pause_and_the_other_is_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    other = stage.running[RIGHT.label]
    with caplog.at_level(logging.WARNING):
        assert stage.end(LEFT, -9) is None
    assert caplog.messages == [
        "segments@GPU-0 was ended by SIGKILL; next start in 1 s (end 1 of at most 3 within 1 min)"
    ]
    for now in (0.5, 0.9, 1.0, 5.0):
        assert stage.look_at(now) is None
    assert stage.started == [(0.0, LEFT.label), (0.0, RIGHT.label), (1.0, LEFT.label)]
    assert stage.running[RIGHT.label] is other


def test_a_worker_that_keeps_failing_is_given_up_with_its_exit_code() -> None:
    stage = Stage()
    assert stage.end(LEFT, 9) is None
    stage.look_at(1.0)
    assert stage.end(LEFT, 9) is None
    stage.look_at(3.0)
    assert stage.end(LEFT, 5) == GivenUp(LEFT, "ended with exit code 5", 5, 3)


def test_a_worker_whose_gpu_is_gone_is_not_started_and_given_up_in_the_end() -> None:
    stage = Stage(hindrances={"GPU-a": "GPU-a is not there"})
    assert stage.end(LEFT, -6) is None
    assert stage.look_at(1.0) is None
    given_up = stage.look_at(3.0)
    assert given_up == GivenUp(LEFT, "cannot be started again: GPU-a is not there", 0, 3)
    assert [label for _, label in stage.started] == [LEFT.label, RIGHT.label]


def test_a_gpu_that_comes_back_is_used_again() -> None:
    stage = Stage(hindrances={"GPU-a": "GPU-a is not there"})
    stage.end(LEFT, -6)
    stage.look_at(1.0)
    stage.hindrances.clear()
    assert stage.look_at(3.0) is None
    assert stage.started[-1] == (3.0, LEFT.label)


def test_without_restarts_the_first_end_is_the_last() -> None:
    assert Stage(policy=NEVER).end(RIGHT, -9) == GivenUp(RIGHT, "was ended by SIGKILL", -9, 1)
