"""Shuts a decoder process in before it sees its first stranger's byte.

Each measure that took hold is named, so that the parent can say which did not. A filter of system calls and a network
namespace belong here too.
"""

import ctypes
import os
import resource
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_DESCRIPTORS = 32  # the socket, the ring, the media and what Python opens to import a module
_DEVICE_DESCRIPTORS = 256  # and with a GPU its device nodes, several for each context


def confine(parent: int, address_space: int, *, device: bool = False) -> list[str]:
    """Limits this process for good.

    With a GPU, memory is limited as RLIMIT_DATA in place of RLIMIT_AS. CUDA reserves addresses for all memory of
    machine and GPU at once, which costs nothing
    (https://docs.nvidia.com/cuda/cuda-c-programming-guide/#unified-virtual-address-space); RLIMIT_DATA counts what is
    private and writable (getrlimit(2), since Linux 4.7). Nothing else is given up but some descriptors.

    Args:
        parent: Process id of the parent, whose death must be ours.
        address_space: Bytes of virtual memory; with a GPU, bytes of data beyond what it has taken already.
        device: Whether a GPU is open.

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
        ("data", resource.RLIMIT_DATA, _data_bytes() + address_space)
        if device
        else ("memory", resource.RLIMIT_AS, address_space),
        ("no file writes", resource.RLIMIT_FSIZE, 0),
        ("descriptors", resource.RLIMIT_NOFILE, _DEVICE_DESCRIPTORS if device else _DESCRIPTORS),
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


def _data_bytes() -> int:
    """What counts against RLIMIT_DATA by now: VmData in proc_pid_status(5), given in kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
