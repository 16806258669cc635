"""Child processes that are stopped by their number and never outlive this process."""

import os
import pwd
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

from agents.local.exceptions import ServerNotRunningError, ServerStopError
from agents.runtime.deadline import Deadline

_LAUNCH = Path(__file__).with_name("launch.py")
_LOG_TAIL_BYTES = 4_096
_INHERITED = ("PATH", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and as whom.

    Attributes:
        program: The program and its arguments; never a secret, for every user can read them.
        folder: Working directory.
        log: File that takes what the program writes to stdout and stderr; appended to.
        user: Whom to become when this process is root; None stays who we are.
        death_signal: What the kernel sends the program when this process dies, however it dies.
        environment: Added to the few variables that a server is given.
    """

    program: tuple[str, ...]
    folder: Path
    log: Path
    user: pwd.struct_passwd | None = None
    death_signal: signal.Signals = signal.SIGKILL
    environment: dict[str, str] = field(default_factory=dict)


class ServerProcess:
    """A running command in a session of its own, so a terminal's Ctrl-C does not reach it.

    The kernel counts as the parent not this process but the thread that forked (prctl(2)). So each child has
    a thread that forks it and then waits for its end: the two live equally long.

    Raises:
        OSError: The interpreter that launches the program could not be run.
    """

    def __init__(self, command: Command) -> None:
        self.command = command
        self._spawned: Future[subprocess.Popen[bytes]] = Future()
        self._ended = threading.Event()
        keeper = threading.Thread(target=self._keep, name=f"keeper of {command.program[0]}", daemon=True)
        keeper.start()
        self._process = self._spawned.result()

    @property
    def pid(self) -> int:
        """The process id; that of the program itself, not of a wrapper around it."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return not self._ended.is_set()

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.returncode if self._ended.is_set() else None

    def wait(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` seconds for the process to end; whether it has."""
        return self._ended.wait(timeout_s)

    def send(self, number: signal.Signals) -> None:
        """Send a signal.

        Raises:
            ServerNotRunningError: The process has ended.
        """
        if not self.running:
            raise ServerNotRunningError(f"{self.command.program[0]} (process {self.pid}) has ended")
        self._process.send_signal(number)

    def stop(self, number: signal.Signals, timeout_s: float) -> None:
        """Ask the process to end with `number`; kill it when it has not after `timeout_s` seconds.

        Raises:
            ServerStopError: It is still there `timeout_s` seconds after SIGKILL: the kernel holds it.
        """
        for attempt in (number, signal.SIGKILL):
            self._process.send_signal(attempt)  # does nothing once it has ended
            if self.wait(timeout_s):
                return
        raise ServerStopError(f"process {self.pid} did not end within {timeout_s} s of SIGKILL")

    def _keep(self) -> None:
        command = self.command
        user, group = ("-", "-") if command.user is None else (command.user.pw_uid, command.user.pw_gid)
        launch = [sys.executable, "-I", "-S", str(_LAUNCH)]
        tether = [str(os.getpid()), str(int(command.death_signal)), str(user), str(group)]
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        try:
            with command.log.open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                    [*launch, *tether, *command.program],
                    cwd=command.folder,
                    env={**inherited, "HOME": str(command.folder), "LC_ALL": "C", **command.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    umask=0o077,
                )
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that asked
            self._spawned.set_exception(error)
            return
        self._spawned.set_result(process)
        process.wait()
        self._ended.set()


def log_tail(log: Path, lines: int = 20) -> str:
    """Return the last `lines` lines of a log, or an empty text when there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
        written = stream.read().decode(errors="replace")
    return "\n".join(written.splitlines()[-lines:])


def children_of(pid: int) -> tuple[int, ...]:
    """Return the ids of the direct children of a process, from proc(5)."""
    children: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text()
        except OSError:
            continue  # it ended meanwhile, or its owner hides it
        parent = int(status.rpartition(")")[2].split()[1])
        if parent == pid:
            children.append(int(entry.name))
    return tuple(children)


def is_alive(pid: int) -> bool:
    """Whether a process of this id exists and is not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def await_gone(pids: tuple[int, ...], timeout_s: float) -> tuple[int, ...]:
    """Wait at most `timeout_s` seconds for processes that are not our children; return those still alive."""
    deadline = Deadline.after(timeout_s)
    alive = tuple(pid for pid in pids if is_alive(pid))
    while alive and not deadline.expired:
        sleep(0.01)
        alive = tuple(pid for pid in alive if is_alive(pid))
    return alive
