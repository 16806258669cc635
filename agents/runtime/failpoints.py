"""Named points at which a process can be made to die, to prove what a kill there costs (FreeBSD's fail(9)).

They do nothing until armed by `runtime.failpoints`; `fleet chaos` arms them.
"""

import os
import signal
from collections.abc import Mapping
from threading import Lock
from typing import Literal

FailPoint = Literal[
    "after-fetch",
    "after-inference",
    "after-redis",
    "after-postgres-commit",
    "after-produce",
    "before-offset-commit",
]
"""A message was read; its faces were judged; its effect is in Redis; its rows are in Postgres; the broker has all that
it led to; its offset is about to be stored for the next commit."""


class _Armed:
    """Counts passes down to a kill. Thread-safe."""

    def __init__(self) -> None:
        self._left: dict[FailPoint, int] = {}
        self._lock = Lock()

    def arm(self, passes: Mapping[FailPoint, int]) -> None:
        with self._lock:
            self._left = dict(passes)

    def reached(self, point: FailPoint) -> None:
        if not self._left:
            return
        with self._lock:
            left = self._left.get(point)
            if left is None:
                return
            self._left[point] = left - 1
        if left == 1:
            # As a crash or the kernel's killer for want of memory: no handler runs, nothing is flushed.
            os.kill(os.getpid(), signal.SIGKILL)


_ARMED = _Armed()


def arm(passes: Mapping[FailPoint, int]) -> None:
    """Let this process be killed (SIGKILL) when it passes a point for the so-many-th time, counted from 1."""
    _ARMED.arm(passes)


def reached(point: FailPoint) -> None:
    """Pass a point."""
    _ARMED.reached(point)
