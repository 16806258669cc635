"""Turns on a device that several models share: whoever has used it least goes next, measured in its time."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition


class Turns:
    """Shares a device fairly between models, whatever their batches cost. For any number of threads.

    Every model that waits gets the same share of the device's time: with two of them, one whose batches take 10 ms and
    one whose take 1 ms, the latter has ten turns for each of the former. A model that was idle has no claim to the
    time that it did not use.

    Args:
        at_once: runs that may be on the device together.
        clock: seconds, monotonic.
    """

    def __init__(self, at_once: int = 1, clock: Callable[[], float] = time.perf_counter) -> None:
        if at_once < 1:
            raise ValueError("at_once must be at least 1")
        self._at_once = at_once
        self._clock = clock
        self._used: dict[str, float] = {}
        self._waiting: dict[str, deque[object]] = {}
        self._running: dict[str, int] = {}
        self._changed = Condition()

    @contextmanager
    def turn(self, model: str) -> Iterator[None]:
        """Wait for a turn; the device is the model's until the block ends."""
        me = object()
        with self._changed:
            self._join(model)
            self._waiting.setdefault(model, deque()).append(me)
            self._changed.wait_for(lambda: self._next() is me)
            self._waiting[model].popleft()
            self._running[model] = self._running.get(model, 0) + 1
            # With several at once there may be room for another one.
            self._changed.notify_all()
        started = self._clock()
        try:
            yield
        finally:
            took = self._clock() - started
            with self._changed:
                self._used[model] += took
                self._running[model] -= 1
                self._changed.notify_all()

    def used_s(self, model: str) -> float:
        """Return the device time of a model, seconds, since all were last idle together."""
        with self._changed:
            return self._used.get(model, 0.0)

    def _join(self, model: str) -> None:
        """Let a model that was idle begin where the least of the busy ones stands; with the lock held."""
        busy = [name for name in self._used if self._waiting.get(name) or self._running.get(name)]
        if model in busy:
            return
        least = min((self._used[name] for name in busy), default=0.0)
        self._used[model] = max(self._used.get(model, 0.0), least) if busy else 0.0

    def _next(self) -> object | None:
        """Whose turn it is; with the lock held."""
        if sum(self._running.values()) >= self._at_once:
            return None
        ready = [name for name, queue in self._waiting.items() if queue]
        return self._waiting[min(ready, key=lambda name: self._used[name])][0] if ready else None
