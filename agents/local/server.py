"""What every server of the embedded stack has in common: ports, a process, and waiting for its answer."""

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from agents.local.exceptions import ServerNotRunningError, ServerStartError
from agents.local.ports import choose_ports, is_free
from agents.local.processes import Command, ServerProcess, log_tail
from agents.runtime.deadline import Deadline

_POLL_S = 0.02
# Another program may take a port between our choosing it and the server's binding it.
_PORT_TRIES = 5


class Server(ABC):
    """A server on free loopback ports, run as a child process that never outlives this one.

    Subclasses say how to run it and how to tell that it answers; everything else is here. One thread at a
    time may start, restart or kill a server; `stop` may come from another, and ends a start under way.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_timeout_s: ClassVar[float] = 30.0
    stop_timeout_s: ClassVar[float] = 10.0

    def __init__(self, folder: Path, port_count: int = 1) -> None:
        self.folder = folder
        self.log = folder / f"{self.name}.log"
        self.ports: tuple[int, ...] = ()
        self._port_count = port_count
        self._process: ServerProcess | None = None
        self._stopping = False

    @property
    def port(self) -> int:
        """The loopback port that clients connect to; the same until the server is stopped for good.

        Raises:
            ServerNotRunningError: The server was never started.
        """
        if not self.ports:
            raise ServerNotRunningError(f"{self.name} was never started, so it has no port")
        return self.ports[0]

    @property
    def pid(self) -> int:
        """The process id of the server.

        Raises:
            ServerNotRunningError: The server does not run.
        """
        if self._process is None or not self._process.running:
            raise ServerNotRunningError(f"{self.name} does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process is not None and self._process.running

    @property
    @abstractmethod
    def url(self) -> str:
        """What a client is configured with; holds the password where there is one."""

    @abstractmethod
    def _prepare(self, deadline: Deadline) -> Command:
        """Write what the server needs for its ports and return how to run it.

        Called before every start, so what is there already is left as it is.
        """

    @abstractmethod
    def _refusal(self) -> str | None:
        """Ask the server something in its own protocol; None when it answers, else why it does not yet.

        Must come back within a second or so, and must tell our server from a stranger on the same port.
        """

    def start(self) -> None:
        """Start on free ports and wait until the server answers.

        Raises:
            ServerStartError: It ended, or did not answer within `start_timeout_s` seconds.
            LocalStackError: It could not be prepared: a missing program, an unusable folder.
        """
        self._stopping = False
        deadline = Deadline.after(self.start_timeout_s)
        for left in reversed(range(_PORT_TRIES)):
            self.ports = choose_ports(self._port_count)
            try:
                self._start(deadline)
            except ServerStartError:
                port_was_taken = not all(is_free(port) for port in self.ports)
                if self._stopping or left == 0 or not port_was_taken:
                    raise
            else:
                return

    def restart(self) -> None:
        """Stop the server if it runs, start it on the same ports, and wait until it answers.

        Raises:
            ServerStartError: As for `start`.
            ServerNotRunningError: It was never started.
        """
        if not self.ports:
            raise ServerNotRunningError(f"{self.name} was never started, so it cannot be restarted")
        self.stop()
        self._stopping = False
        self._start(Deadline.after(self.start_timeout_s))

    def stop(self) -> None:
        """Ask the server to end and wait for it, killing it after `stop_timeout_s` seconds; may be repeated.

        Raises:
            ServerStopError: Its process cannot be ended.
        """
        self._stopping = True
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End the server by SIGKILL, as a crash would, and wait until it is gone.

        Raises:
            ServerNotRunningError: The server does not run.
            ServerStopError: Its process cannot be ended.
        """
        if not self.running:
            raise ServerNotRunningError(f"{self.name} does not run")
        self._end(signal.SIGKILL)

    def _start(self, deadline: Deadline) -> None:
        try:
            self._spawn(self._prepare(deadline))
            self._await_answer(deadline)
        except BaseException:
            self._end(signal.SIGKILL)
            raise

    def _spawn(self, command: Command) -> ServerProcess:
        if self._stopping:
            raise ServerStartError(self.name, "it was stopped while it started")
        self._process = ServerProcess(command)
        return self._process

    def _run(self, command: Command, deadline: Deadline) -> None:
        """Run a preparing program to its end.

        Raises:
            ServerStartError: It failed, or was not done by `deadline`.
        """
        process = self._spawn(command)
        program = Path(command.program[0]).name
        if not process.wait(deadline.remaining_s):
            self._end(signal.SIGKILL)
            raise ServerStartError(self.name, f"{program} was not done in time", log_tail(command.log))
        if process.returncode != 0:
            reason = f"{program} ended with status {process.returncode}"
            raise ServerStartError(self.name, reason, log_tail(command.log))

    def _await_answer(self, deadline: Deadline) -> None:
        process = self._process
        if process is None:
            raise ServerNotRunningError(f"{self.name} does not run")
        refusal: str | None = "it was not asked yet"
        while not deadline.expired:
            if process.wait(_POLL_S):
                reason = f"it ended with status {process.returncode}"
                raise ServerStartError(self.name, reason, log_tail(self.log))
            refusal = self._refusal()
            if refusal is None and process.running:
                return
        reason = f"it did not answer within {self.start_timeout_s:g} s ({refusal})"
        raise ServerStartError(self.name, reason, log_tail(self.log))

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.stop(number, self.stop_timeout_s)
