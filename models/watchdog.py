"""End runs that take too long: a graph with a loop that never ends must not hold a worker for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Thread
from time import monotonic
from typing import TYPE_CHECKING

from models.providers import new_run_options

if TYPE_CHECKING:
    from onnxruntime import RunOptions

DEFAULT_LIMIT_S = 60.0


class Watchdog:
    """One thread that asks runs to end when their time is over; it starts with the first one.

    ONNX Runtime looks at the request between two operators, and at each turn of a loop.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._runs: dict[int, tuple[float, RunOptions]] = {}
        self._number = 0
        self._thread: Thread | None = None

    @contextmanager
    def watching(self, limit_s: float) -> Iterator["RunOptions"]:
        """Give options for one run, which is asked to end after `limit_s` seconds."""
        options = new_run_options()
        with self._changed:
            self._number += 1
            number = self._number
            self._runs[number] = (monotonic() + limit_s, options)
            if self._thread is None:
                self._thread = Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield options
        finally:
            with self._changed:
                self._runs.pop(number, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = monotonic()
                for number, (deadline, options) in list(self._runs.items()):
                    if deadline <= now:
                        options.terminate = True
                        del self._runs[number]
                earliest = min((deadline for deadline, _ in self._runs.values()), default=None)
                self._changed.wait(None if earliest is None else max(0.0, earliest - now))


WATCHDOG = Watchdog()
"""Of this process."""
