"""`fleet run`: one agent in this process, several in a supervised process each."""

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from time import sleep
from typing import IO

import typer

from agents.cli.console import complain, note
from agents.cli.exits import ExitCode
from agents.cli.signals import Terminated
from agents.settings import Settings, load_settings
from agents.supervision import WorkerProcess, drain, workers

AGENTS = ("uploads", "segments", "sink")
"""The names of `agents.assembly.AGENTS`, which loads what the agents need: a supervisor does not."""

_POLL_S = 0.1
_DRAIN_MARGIN_S = 10.0
"""What an agent may take beyond its drain timeout to close, seconds."""


def run(names: Sequence[str]) -> None:
    """Run the agents named until a signal comes.

    Raises:
        SettingsInvalid: a setting cannot be.
        AgentStopped: the one agent cannot go on.
        ModelError, Unavailable: it cannot start.
        typer.Exit: one of several ended by itself; its code is this command's.
    """
    asked = list(AGENTS) if "all" in names else list(names)
    for name in asked:
        if name not in AGENTS:
            raise typer.BadParameter(f"no agent {name!r}; there are {', '.join(AGENTS)}, and all of them: all")
    settings = load_settings()
    if len(asked) == 1:
        _run_here(asked[0], settings)
    else:
        _supervise(asked, settings)


def _run_here(name: str, settings: Settings) -> None:
    from agents.assembly import AGENTS as BUILDERS  # noqa: PLC0415  (a supervisor needs none of it)
    from agents.runtime.logs import configure_logging  # noqa: PLC0415
    from agents.runtime.metrics import Metrics  # noqa: PLC0415
    from agents.runtime.process import AgentProcess  # noqa: PLC0415

    configure_logging(settings.runtime.log_level, settings.runtime.log_format)
    metrics = Metrics()
    process = AgentProcess(BUILDERS[name](settings, metrics), settings, metrics)
    process.stop_on_signals()
    logging.getLogger("agents").info("%s: starting", name)
    process.run()
    logging.getLogger("agents").info("%s: ended", name)


def _supervise(names: Sequence[str], settings: Settings) -> None:
    runtime = settings.runtime
    planned = workers(names, instance=runtime.instance, health_port=runtime.health_port)
    width = max(len(worker.label) for worker in planned)
    processes: list[WorkerProcess] = []
    printers = []
    try:
        for worker in planned:
            process = WorkerProcess(worker, subprocess.PIPE)
            processes.append(process)
            # In JSON every line stays whole: a collector reads it.
            prefix = b"" if runtime.log_format == "json" else f"{worker.label:<{width}} | ".encode()
            printer = threading.Thread(target=_print_lines, args=(process.output, prefix), daemon=True)
            printer.start()
            printers.append(printer)
        ended = _first_to_end(processes)
    except (KeyboardInterrupt, Terminated):
        note("draining the agents")
        ended = None
    finally:
        drain(processes, runtime.drain_timeout_s + _DRAIN_MARGIN_S)
        for printer in printers:
            printer.join(1.0)
    if ended is None:
        return
    code = ended.returncode or 0
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    complain(f"{ended.worker.label} {how}; the other agents were drained")
    raise typer.Exit(code if code > 0 else ExitCode.AGENT_STOPPED)


def _first_to_end(processes: Sequence[WorkerProcess]) -> WorkerProcess:
    while True:
        for process in processes:
            if process.returncode is not None:
                return process
        sleep(_POLL_S)


def _print_lines(output: IO[bytes], prefix: bytes) -> None:
    for line in output:
        sys.stderr.buffer.write(prefix + line)
        sys.stderr.buffer.flush()
