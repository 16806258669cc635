"""Processes that pull: bare, confined, and gone when they should be."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.local.processes import children_of
from agents.pulling.births import Nursery, Puller
from agents.pulling.exceptions import Trouble
from agents.pulling.wire import Broken, Said, Silent, Task
from tests.support.media import Clip, MediaFolder


def task(url: str) -> Task:
    return Task(
        url=url,
        form="flv",
        options={"protocol_whitelist": "file"},
        fps=1,
        every_nth=None,
        max_side=320,
        quality=90,
        most_bytes=1 << 20,
        open_timeout_s=5,
        read_timeout_s=5,
    )


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def waiting(tmp_path: Path) -> Task:
    """A stream that never says anything: a pipe that nobody writes to."""
    os.mkfifo(tmp_path / "silent")
    return task(str(tmp_path / "silent"))


def await_that(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline


def proc(puller: Puller, name: str) -> str:
    return Path(f"/proc/{puller.pid}/{name}").read_text()


def test_a_puller_says_what_it_pulls_and_how_it_ended(nursery: Nursery, tmp_path: Path) -> None:
    puller = nursery.start(task(str(MediaFolder(tmp_path).clip(Clip(frames=50), "flv"))))
    said: list[Said] = []
    with pytest.raises(Trouble, match="ended"):
        said.extend(iter(lambda: puller.wire.receive(10), None))
    assert len(said) > 1
    puller.close()


def test_nothing_of_our_environment_is_in_it_and_it_is_confined(
    nursery: Nursery, waiting: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_KAFKA__SASL_PASSWORD", "secret")
    puller = nursery.start(waiting)
    await_that(lambda: "NoNewPrivs:\t1" in proc(puller, "status"))
    await_that(lambda: "Max core file size        0 " in proc(puller, "limits"))
    limits = proc(puller, "limits")
    assert "Max file size             0 " in limits
    assert "Max address space         2147483648" in limits
    assert "secret" not in proc(puller, "environ")
    assert set(dict(item.split("=", 1) for item in proc(puller, "environ").split("\0") if item)) <= {
        "LANG",
        "MALLOC_ARENA_MAX",
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
    }
    # Its own socket and the three standard ones; the pipe that it waits for is not open yet.
    assert len(list(Path(f"/proc/{puller.pid}/fd").iterdir())) <= 6
    puller.close()


def test_one_that_says_nothing_is_noticed_and_ended(nursery: Nursery, waiting: Task) -> None:
    puller = nursery.start(waiting)
    with pytest.raises(Silent):
        puller.wire.receive(0.1)
    puller.close()
    assert not Path(f"/proc/{puller.pid}").exists() or "Z" in proc(puller, "stat").split()[2]


def test_one_that_was_stopped_by_a_signal_is_ended_all_the_same(nursery: Nursery, waiting: Task) -> None:
    puller = nursery.start(waiting)
    os.kill(puller.pid, signal.SIGSTOP)
    puller.close()
    await_that(lambda: not Path(f"/proc/{puller.pid}").exists() or proc(puller, "stat").split()[2] == "Z")


def test_where_the_nursery_is_killed_its_pullers_die_and_the_next_start_makes_another(
    nursery: Nursery, waiting: Task
) -> None:
    first = nursery.start(waiting)
    (process,) = [pid for pid in children_of(os.getpid()) if first.pid in children_of(pid)]
    await_that(lambda: "NoNewPrivs:\t1" in proc(first, "status"))
    os.kill(process, signal.SIGKILL)
    with pytest.raises(Broken):
        first.wire.receive(10)
    first.close()
    second = nursery.start(waiting)
    with pytest.raises(Silent):
        second.wire.receive(0.1)
    second.close()
    assert second.pid != first.pid
