"""SIGINT and SIGTERM as exceptions, so that whatever was started is put away on the way out."""

import signal
import threading
from types import FrameType
from typing import Self

from agents.cli.console import note

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Terminated(BaseException):
    """SIGTERM came. Like KeyboardInterrupt no Exception, so that nothing takes it for an error."""


class PutAwayOnSignals:
    """While it is entered, the first signal is raised in the main thread, as KeyboardInterrupt or Terminated.

    A second is put off, since things are being put away; from the third on each is raised again, in case that
    hangs. Entered outside the main thread it does nothing.
    """

    def __init__(self) -> None:
        self._count = 0
        self._main = threading.current_thread() is threading.main_thread()
        self._before = [signal.getsignal(number) for number in _NUMBERS]

    def __enter__(self) -> Self:
        if self._main:
            for number in _NUMBERS:
                signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            for number, handler in zip(_NUMBERS, self._before, strict=True):
                signal.signal(number, handler)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._count += 1
        if self._count == 2:
            note("putting things away; once more to give up on that")
            return
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated
