"""A thread that hears of switches for as long as its worker runs."""

import logging
from collections.abc import Callable, Sequence
from threading import Event as Flag, Thread

from agents.control.log import TopicLog
from agents.settings import KafkaSettings
from schemas.control import ModelSwitch
from topics.catalogue import CONTROL

_log = logging.getLogger(__name__)

_START_S = 10.0
"""How long a worker waits at its start to learn what was asked for. What comes later is followed when it comes."""
_POLL_S = 0.5
_AGAIN_S = 5.0
"""Pause before all is read anew after something unforeseen, seconds."""


def _nothing() -> None:
    pass


class SwitchFollower:
    """Reads `fleet.control` at a worker's start, and then on in a thread of its own.

    Args:
        kafka: where.
        on_switches: told of switches in order, in the thread; again from the first on after an error.
        on_turn: called about twice a second, in the thread.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        on_switches: Callable[[Sequence[ModelSwitch]], None],
        on_turn: Callable[[], None] = _nothing,
    ) -> None:
        self._kafka = kafka
        self._on_switches = on_switches
        self._on_turn = on_turn
        self._log: TopicLog[ModelSwitch] | None = None
        self._closing = Flag()
        self._thread = Thread(target=self._run, name="switches", daemon=True)

    def first(self) -> Sequence[ModelSwitch]:
        """Return what was asked for so far; to be called once, before `start`."""
        self._log = TopicLog(self._kafka, CONTROL, ModelSwitch)
        switches, whole = self._log.read_all(_START_S)
        if not whole:
            _log.warning("%s cannot be read yet: what was asked for there is followed later", CONTROL.name)
        return switches

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._turn()
            except Exception:  # noqa: BLE001  (the worker goes on, and what was missed is read anew)
                _log.exception("following %s failed; it is read anew in %g s", CONTROL.name, _AGAIN_S)
                self._let_go()
                self._closing.wait(_AGAIN_S)
        self._let_go()

    def _turn(self) -> None:
        if self._log is None:
            self._log = TopicLog(self._kafka, CONTROL, ModelSwitch)
            switches, _ = self._log.read_all(_START_S)
        else:
            switches = self._log.read(_POLL_S)
        if switches:
            self._on_switches(switches)
        self._on_turn()

    def _let_go(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            log.close()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        else:
            self._let_go()
