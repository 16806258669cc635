"""End runs that take too long: a graph with a loop that never ends must not hold a worker for ever."""

from collections.abc import Callable, Mapping, Sequence
from threading import Condition, Thread
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.inference.providers import new_run_options

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions

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

    def run(
        self,
        session: "InferenceSession",
        outputs: Sequence[str],
        feeds: Mapping[str, NDArray[np.uint8]],
        limit_s: float,
    ) -> list[NDArray[np.float32]]:
        """Run a session, for `limit_s` seconds at most.

        Raises:
            TimeoutError: its time was over, and it was ended.
        """
        return self.limit(lambda options: session.run(outputs, feeds, options), limit_s)

    def limit(
        self, call: "Callable[[RunOptions], list[NDArray[np.float32]]]", limit_s: float
    ) -> list[NDArray[np.float32]]:
        """Let a call run a session with the options that it is given, for `limit_s` seconds at most.

        On a GPU the request is heard before the next operator is queued: a kernel that never ends is not.

        Raises:
            TimeoutError: its time was over, and it was ended.
        """
        options = new_run_options()
        number = self._begin(options, monotonic() + limit_s)
        try:
            return call(options)
        except Exception as error:
            if options.terminate:
                raise TimeoutError(f"was ended after {limit_s:g} s") from error
            raise
        finally:
            with self._changed:
                self._runs.pop(number, None)

    def _begin(self, options: "RunOptions", deadline: float) -> int:
        with self._changed:
            self._number += 1
            self._runs[self._number] = (deadline, options)
            if self._thread is None:
                self._thread = Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()
            return self._number

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
