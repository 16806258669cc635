"""Agents as child processes: started, watched, drained, and never left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import IO

from agents.local import launch
from agents.placement import Place
from agents.runtime.deadline import Deadline

_POLL_S = 0.05
_KILL_GRACE_S = 5.0
"""How long the kernel may take to end a killed process, seconds."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One process to run an agent in."""

    label: str
    """What to call it: the agent's name, with its place, or with a number from the second worker on."""
    agent: str
    environment: Mapping[str, str]
    """Added to the environment of this process."""
    device: str = ""
    """UUID of the GPU or slice that it cannot do without."""


def workers(
    agents: Sequence[str],
    *,
    instance: str = "",
    health_port: int = 0,
    places: Mapping[str, Sequence[Place]] | None = None,
) -> list[Worker]:
    """Return a worker for each name, or for each place of a name, so that no two share a label, instance or fixed port.

    Args:
        agents: names; one may come several times.
        instance: `runtime.instance` of this process.
        health_port: `runtime.health_port`; a fixed one is the first worker's, the others take the next ones.
        places: by agent, where its workers run; an agent without any has one worker for each time it is named.
    """
    asked: list[tuple[str, Place | None]] = [
        (agent, place) for agent in agents for place in (places or {}).get(agent) or (None,)
    ]
    planned = []
    for position, (agent, place) in enumerate(asked):
        number = [name for name, _ in asked[:position]].count(agent) + 1
        environment = {} if place is None else dict(place.environment)
        if health_port > 0:
            environment["FLEET_RUNTIME__HEALTH_PORT"] = str(health_port + position)
        if instance and number > 1:
            environment["FLEET_RUNTIME__INSTANCE"] = f"{instance}-{number}"
        if place is not None:
            planned.append(Worker(f"{agent}@{place.label}", agent, environment, place.uuid))
        else:
            planned.append(Worker(agent if number == 1 else f"{agent}.{number}", agent, environment))
    return planned


class WorkerProcess:
    """A worker that runs: `fleet run AGENT` in a session of its own, so a terminal's Ctrl-C does not reach it.

    The kernel sends it `death_signal` when this process ends, however it ends. For the kernel the parent is the
    thread that forked, so it is to be made in a thread that lives as long as the process (prctl(2)).
    """

    def __init__(
        self,
        worker: Worker,
        output: "IO[bytes] | int",
        *,
        folder: Path | None = None,
        death_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start it.

        Args:
            worker: what to run.
            output: where its log lines go: an open file, or subprocess.PIPE.
            folder: its working directory; by default that of this process.
            death_signal: SIGTERM lets it drain; SIGKILL is for workers whose servers end at the same time.
        """
        self.worker = worker
        tether = [str(Path(launch.__file__)), str(os.getpid()), str(int(death_signal)), "-", "-"]
        agent = [sys.executable, "-m", "agents.cli", "run", worker.agent]
        self._process = subprocess.Popen(  # noqa: S603  (our own program, no shell)
            [sys.executable, "-I", "-S", *tether, *agent],
            cwd=folder,
            env={**os.environ, **worker.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def output(self) -> IO[bytes] | None:
        """What it writes, where that is a pipe."""
        return self._process.stdout

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens where it has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)


def drain(processes: Iterable[WorkerProcess], timeout_s: float) -> None:
    """Ask workers to finish what they have in hand and end, all at once; kill those that have not in time.

    Broken off by a signal, it kills them at once.
    """
    left = list(processes)
    try:
        for process in left:
            process.send(signal.SIGTERM)
        left = _await_end(left, timeout_s)
    finally:
        for process in left:
            process.send(signal.SIGKILL)
        _await_end(left, _KILL_GRACE_S)


def _await_end(processes: Iterable[WorkerProcess], timeout_s: float) -> list[WorkerProcess]:
    deadline = Deadline.after(timeout_s)
    left = [process for process in processes if process.returncode is None]
    while left and not deadline.expired:
        sleep(_POLL_S)
        left = [process for process in left if process.returncode is None]
    return left
