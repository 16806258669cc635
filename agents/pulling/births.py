"""Starting puller processes: the parent's side of the nursery."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from threading import Lock

from agents.pulling.exceptions import Trouble
from agents.pulling.wire import Broken, Task, Wire

_BOOT = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from agents.pulling.nursery import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
_START_S = 30.0
"""How long the nursery may take to load its libraries, seconds."""
_FORK_S = 5.0
_ENVIRONMENT = {"LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""All that it gets: no settings, no passwords, and no threads that a fork would lose."""


class Puller:
    """One puller process, from its birth to its end."""

    def __init__(self, pid: int, watched: int, wire: Wire) -> None:
        self.pid = pid
        self.wire = wire
        self._watched = watched
        self._ending = Lock()

    def kill(self) -> None:
        """End the process, also from another thread. Its wire then breaks."""
        with self._ending:
            if self._watched >= 0:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._watched, signal.SIGKILL)

    def close(self) -> None:
        """End the process and let go of it."""
        self.kill()
        self.wire.close()
        with self._ending:
            if self._watched >= 0:
                select.select([self._watched], [], [], _FORK_S)
                os.close(self._watched)
                self._watched = -1


class Nursery:
    """Starts pullers. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def start(self, task: Task) -> Puller:
        """Start a process for a task.

        Raises:
            Trouble: `died`, where none comes up.
        """
        ours, theirs = socket.socketpair()
        try:
            with self._lock:
                pid, watched = self._born(theirs)
        except (OSError, subprocess.SubprocessError) as error:
            ours.close()
            raise Trouble("died", f"no puller process comes up ({error})") from error
        finally:
            theirs.close()
        puller = Puller(pid, watched, Wire(ours))
        try:
            puller.wire.send_task(task)
        except Broken as error:
            puller.close()
            raise Trouble("died", "the puller process died at once") from error
        return puller

    def close(self) -> None:
        """End the nursery, and with it every puller."""
        with self._lock:
            self._end()

    def _born(self, theirs: socket.socket) -> tuple[int, int]:
        try:
            return self._ask(theirs)
        except OSError:
            # It was killed: its pullers are dead, too.
            self._end()
            return self._ask(theirs)

    def _ask(self, theirs: socket.socket) -> tuple[int, int]:
        requests = self._running()
        socket.send_fds(requests, [b"fork"], [theirs.fileno()])
        answer, descriptors, _, _ = socket.recv_fds(requests, 16, 1)
        if not answer or not descriptors:
            raise ConnectionError("the nursery is gone")
        return int.from_bytes(answer, "big"), descriptors[0]

    def _running(self) -> socket.socket:
        if self._requests is not None:
            return self._requests
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-I", "-S", "-B", "-c", _BOOT, str(theirs.fileno()), str(os.getpid())]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
                [*command, *(path for path in sys.path if path)],
                pass_fds=[theirs.fileno()],
                env=_ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._requests = ours
        ours.settimeout(_START_S)
        if not ours.recv(16):
            raise ConnectionError("the nursery does not start")
        ours.settimeout(_FORK_S)
        return ours

    def _end(self) -> None:
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        if self._process is not None:
            # Its pullers ask the kernel to die with it.
            self._process.kill()
            self._process.wait()
            self._process = None
