"""Several workers under one command: a process each, their output together, drained together."""

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import IO

import typer

from agents.cli.console import complain, note
from agents.cli.exits import ExitCode
from agents.cli.signals import Terminated
from agents.crew import Crew, GivenUp
from agents.restarts import NEVER, RestartPolicy
from agents.runtime.logs import configure_logging
from agents.settings import RuntimeSettings
from agents.supervision import Worker, WorkerProcess, drain

RESTARTING = RestartPolicy(
    final_at_first=frozenset({ExitCode.USAGE, ExitCode.SETTINGS_INVALID, ExitCode.MODELS_INVALID})
)
"""For workers that share nothing but their settings: one on a GPU that fails leaves the others alone."""

_POLL_S = 0.1
_DRAIN_MARGIN_S = 10.0
"""What an agent may take beyond its drain timeout to close, seconds."""


def supervise(
    workers: Sequence[Worker],
    runtime: RuntimeSettings,
    policy: RestartPolicy = NEVER,
    hindrance: Callable[[Worker], str] = lambda _: "",
) -> None:
    """Run workers until a signal comes or one is given up, then drain those that run.

    Args:
        workers: what to run.
        runtime: how long draining may take, and how log lines are written.
        policy: when one that ended is started again.
        hindrance: says why one cannot be started again now, or nothing.

    Raises:
        typer.Exit: one ended and was given up; its code is this command's.
    """
    configure_logging(runtime.log_level, runtime.log_format)
    terminal = _Terminal(workers, whole_lines=runtime.log_format == "json")
    crew = Crew(workers, policy, terminal.start, hindrance, monotonic)
    try:
        while (given_up := crew.look()) is None:
            sleep(_POLL_S)
    except (KeyboardInterrupt, Terminated):
        note("draining the agents")
        given_up = None
    finally:
        terminal.drain(runtime.drain_timeout_s + _DRAIN_MARGIN_S)
    if given_up is not None:
        complain(_last_words(given_up, len(workers)))
        raise typer.Exit(given_up.code if given_up.code > 0 else ExitCode.AGENT_STOPPED)


def _last_words(given_up: GivenUp, workers: int) -> str:
    often = f" ({given_up.ends} times now)" if given_up.ends > 1 else ""
    others = "; the other agents were drained" if workers > 1 else ""
    return f"{given_up.worker.label} {given_up.how}{often}{others}"


class _Terminal:
    """The processes that run, each with a thread that prints what it writes."""

    def __init__(self, workers: Sequence[Worker], *, whole_lines: bool) -> None:
        # In JSON every line stays whole: a collector reads it.
        self._width = None if whole_lines else max(len(worker.label) for worker in workers)
        self._running: list[tuple[WorkerProcess, threading.Thread]] = []

    def start(self, worker: Worker) -> WorkerProcess:
        """Start a worker."""
        self._running = [(process, printer) for process, printer in self._running if printer.is_alive()]
        prefix = b"" if self._width is None else f"{worker.label:<{self._width}} | ".encode()
        process = WorkerProcess(worker, subprocess.PIPE)
        printer = threading.Thread(target=_print_lines, args=(process.output, prefix), daemon=True)
        self._running.append((process, printer))
        printer.start()
        return process

    def drain(self, timeout_s: float) -> None:
        """Let every process finish and end, and print its last lines."""
        drain([process for process, _ in self._running], timeout_s)
        for _, printer in self._running:
            printer.join(1.0)


def _print_lines(output: IO[bytes], prefix: bytes) -> None:
    for line in output:
        sys.stderr.buffer.write(prefix + line)
        sys.stderr.buffer.flush()
