"""Whatever `fleet run` keeps running in a process: an agent with its loop, or a service without one."""

import logging
import signal
from types import FrameType
from typing import Protocol

_log = logging.getLogger(__name__)


class Service(Protocol):
    """Runs until it is stopped or fails."""

    def run(self) -> None:
        """Run, from opening what is needed to a clean end.

        Raises:
            AgentStopped: it cannot go on.
        """

    def stop(self) -> None:
        """Let `run` drain and end. Safe to call from a signal handler or another thread, also before `run`."""


def stop_on_signals(service: Service) -> None:
    """Let SIGTERM and SIGINT drain and end a service. Only from the main thread."""

    def on_signal(number: int, _: FrameType | None) -> None:
        _log.info("%s: draining", signal.Signals(number).name)
        service.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
