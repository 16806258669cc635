"""Agents as processes of their own, started as `fleet run` starts them, ready to be measured."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import sleep

from agents.local.processes import log_tail
from agents.runtime.deadline import Deadline
from tests.support.fleet import Fleet, Waiting

ALL = ("uploads", "segments", "sink")
_START_S = 90.0
"""The slowest start: models are fetched and prepared."""


@contextmanager
def assigned_agents(fleet: Fleet, names: Sequence[str] = ALL) -> Iterator[dict[str, int]]:
    """Run agents that have loaded, joined their groups and been given partitions; yield their process ids."""
    with fleet.spawned(*names) as processes:
        deadline = Deadline.after(_START_S)
        for name, process in zip(names, processes, strict=True):
            (log,) = fleet.folder.glob(f"{name}-*.log")
            while " assigned, now " not in log.read_text(errors="replace"):
                if process.poll() is not None or deadline.expired:
                    raise Waiting(f"{name} did not start; its log ends with:\n{log_tail(log)}")
                sleep(0.05)
        yield {name: process.pid for name, process in zip(names, processes, strict=True)}
