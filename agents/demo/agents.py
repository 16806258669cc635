"""The demo's agents: a process each, with a log and a health endpoint."""

import json
import signal
from collections.abc import Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from agents.local.ports import LOOPBACK, choose_ports
from agents.local.processes import log_tail
from agents.runtime.exceptions import AgentStopped
from agents.supervision import Worker, WorkerProcess, drain

_HEALTH_TIMEOUT_S = 0.5
_DRAIN_S = 10.0
_ABORT_S = 1.0
"""How long agents may take to end where the demo is broken off: their work is lost with their servers anyway."""
_LOG_LINES = 8
_DOOR = "door"
"""Answers about its health where it answers live servers."""


class DemoAgents:
    """Runs agents while it is entered; afterwards they have drained, or where that was broken off, ended."""

    def __init__(
        self, names: Sequence[str], environment: Mapping[str, str], logs: Path, ports: Mapping[str, int] | None = None
    ) -> None:
        given = ports or {}
        free = iter(choose_ports(len(names) - len(given)))
        self._ports = {name: given[name] if name in given else next(free) for name in names}
        self._environment = environment
        self._logs = logs
        self._processes: dict[str, WorkerProcess] = {}

    def __enter__(self) -> Self:
        try:
            for name, port in self._ports.items():
                health = {"FLEET_RUNTIME__HEALTH_HOST": LOOPBACK, "FLEET_RUNTIME__HEALTH_PORT": str(port)}
                if name == _DOOR:
                    health = {"FLEET_DOOR__PORT": str(port)}
                worker = Worker(name, name, {**self._environment, **health})
                with self._log(name).open("wb") as log:
                    # Its servers end with this process as well: there is nothing to drain to.
                    self._processes[name] = WorkerProcess(worker, log, death_signal=signal.SIGKILL)
        except BaseException:
            drain(self._processes.values(), _ABORT_S)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        drain(self._processes.values(), _DRAIN_S if error is None else _ABORT_S)

    def states(self) -> Mapping[str, str]:
        """Return each agent's state: `starting`, `running`, `waiting for …`, `draining`, or `ended`."""
        return {name: self._state(name) for name in self._ports}

    def check(self) -> None:
        """See that every agent lives.

        Raises:
            AgentStopped: one does not; the message has the last lines of its log.
        """
        for name, process in self._processes.items():
            if process.returncode is not None:
                log = log_tail(self._log(name), _LOG_LINES)
                raise AgentStopped(f"{name} ended with status {process.returncode}; its log ends with:\n{log}")

    def _state(self, name: str) -> str:
        if self._processes[name].returncode is not None:
            return "ended"
        try:
            with closing(HTTPConnection(LOOPBACK, self._ports[name], timeout=_HEALTH_TIMEOUT_S)) as connection:
                connection.request("GET", "/health")
                report = json.loads(connection.getresponse().read())
        except (OSError, HTTPException, ValueError):
            return "starting"
        if report["away"]:
            return f"waiting for {', '.join(report['away'])}"
        # It runs, but has not been given anything to do yet.
        if report["state"] == "running" and not report["partitions"] and name != _DOOR:
            return "joining"
        return str(report["state"])

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"
