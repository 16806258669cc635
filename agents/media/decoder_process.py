"""Starts a decoder process: bare, so that what it decodes finds nothing of ours."""

import os
import subprocess
import sys

from agents.media.sandbox_policy import SandboxPolicy

_BOOT = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from agents.media.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
_FOR_CUDA = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LD_LIBRARY_PATH")
"""Which GPU it decodes on, and where an operator keeps the driver's libraries."""


def spawn(descriptor: int, policy: SandboxPolicy) -> "subprocess.Popen[bytes]":
    """Starts the process: bare interpreter, no terminal, no descriptor but one, nothing of our environment.

    Only to decode on a GPU does it get the variables that say which.
    """
    inherited = _FOR_CUDA if policy.hardware == "cuda" else ()
    environment = {name: os.environ[name] for name in inherited if name in os.environ}
    command = [sys.executable, "-I", "-S", "-B", "-c", _BOOT, str(descriptor), str(os.getpid())]
    return subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
        [*command, *(path for path in sys.path if path)],
        pass_fds=[descriptor],
        env={**environment, "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
