"""Shuts a decoder process in before it sees its first stranger's byte.

Each measure that took hold is named, so that the parent can say which did not. A filter of system calls and a network
namespace belong here too.
"""

import ctypes
import os
import resource
import signal

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_DESCRIPTORS = 32  # the socket, the ring, the media and what Python opens to import a module


def confine(parent: int, address_space: int) -> list[str]:
    """Limits this process for good.

    Args:
        parent: Process id of the parent, whose death must be ours.
        address_space: Bytes of virtual memory.

    Returns:
        Names of the measures that hold.
    """
    held = []
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0:
        held.append("dies with its parent")
    if os.getppid() != parent:
        os._exit(1)  # it died before we asked
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        held.append("no new privileges")
    for name, kind, most in (
        ("memory", resource.RLIMIT_AS, address_space),
        ("no file writes", resource.RLIMIT_FSIZE, 0),
        ("descriptors", resource.RLIMIT_NOFILE, _DESCRIPTORS),
        ("no core dumps", resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
        held.append(name)
    return held


def allow_processor_time(seconds: float) -> None:
    """Lets this process use the processor for `seconds` more; then the kernel ends it (SIGXCPU)."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
