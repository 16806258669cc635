"""The process that puller processes are forked from: bare, its libraries loaded, and with nothing of ours in it.

A fork costs milliseconds and shares the pages of FFmpeg and OpenCV; starting an interpreter for each stream would cost
half a second and all of their memory.
"""

import contextlib
import os
import select
import socket
import sys

import av
import av.logging

from agents.media.confinement import confine
from agents.pulling.exceptions import Trouble
from agents.pulling.reader import Reader
from agents.pulling.wire import Broken, Wire

_ADDRESS_SPACE = 2 << 30
"""Virtual memory of a puller, bytes."""
_REAP_S = 1.0


def main(descriptor: int, parent: int) -> None:
    """Fork a puller for each socket that comes, and answer with its pidfd, until the parent is gone.

    Args:
        descriptor: Socket to the parent (SOCK_SEQPACKET).
        parent: Its process id.
    """
    if os.getppid() != parent:
        return
    av.logging.set_libav_level(av.logging.PANIC)
    requests = socket.socket(fileno=descriptor)
    requests.send(b"ready")
    while True:
        readable, _, _ = select.select([requests], [], [], _REAP_S)
        if readable:
            message, descriptors, _, _ = socket.recv_fds(requests, 16, 1)
            if not message:
                return
            _fork(requests, descriptors[0])
        _reap()


def _fork(requests: socket.socket, descriptor: int) -> None:
    nursery = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            requests.close()
            _pull(descriptor, nursery)
            code = 0
        finally:
            os._exit(code)
    os.close(descriptor)
    # Not reaped yet, and so surely the one that was forked.
    watched = os.pidfd_open(pid)
    socket.send_fds(requests, [pid.to_bytes(4, "big")], [watched])
    os.close(watched)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _pull(descriptor: int, nursery: int) -> None:
    os.setsid()
    confine(nursery, _ADDRESS_SPACE)
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    # What a stream makes a library print leaves this process nowhere.
    os.dup2(nowhere, sys.stderr.fileno())
    wire = Wire(socket.socket(fileno=descriptor))
    with contextlib.suppress(Broken):
        task = wire.receive_task()
        try:
            Reader(task, wire.send).run()
        except Trouble as trouble:
            wire.send_end(trouble)
        except MemoryError:
            wire.send_end(Trouble("undecodable", "the stream needs more memory than a puller is given"))
        except Broken:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a decoder raises on hostile bytes, they are undecodable
            wire.send_end(Trouble("undecodable", f"the puller failed ({type(error).__name__})"))
