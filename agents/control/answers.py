"""How workers answered a switch: pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agents.control.reports import REPORT_EVERY_S
from models.selection import Choice
from schemas.control import ModelSwitch, WorkerReport

SILENT_AFTER = timedelta(seconds=3 * REPORT_EVERY_S)
FORGOTTEN_AFTER = timedelta(minutes=10)
"""A worker that has been silent for so long is not shown any more: it was killed."""


class Answer(StrEnum):
    """What became of a switch in a worker."""

    PENDING = "pending"
    FOLLOWED = "followed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Heard:
    """A worker's last report, and whether it is silent since."""

    report: WorkerReport
    silent: bool


def latest(reports: Iterable[WorkerReport], now: datetime) -> Sequence[Heard]:
    """Return the last report of each worker that has not ended, by agent and name."""
    last: dict[str, WorkerReport] = {report.worker: report for report in reports}
    running = (report for report in last.values() if report.state == "serving" and now - report.at < FORGOTTEN_AFTER)
    heard = (Heard(report, now - report.at > SILENT_AFTER) for report in running)
    return sorted(heard, key=lambda each: (each.report.agent, each.report.worker))


def in_force(switches: Iterable[ModelSwitch]) -> Mapping[str, ModelSwitch]:
    """Return the last switch of each key."""
    return {switch.key: switch for switch in switches}


def answered(report: WorkerReport, switch: ModelSwitch, choice: Choice) -> Answer:
    """Return what a worker has made of a switch.

    Args:
        report: its last one.
        switch: one that it is meant by.
        choice: what the switch asks for.
    """
    if any(refused.role == switch.role and refused.at == switch.at for refused in report.refused):
        return Answer.REFUSED
    serving = {model.wanted: model.share for model in report.models if model.role == switch.role}
    canary = choice.share if choice.canary else 0.0
    asked = dict.fromkeys(choice.models, 1.0 - canary) | dict.fromkeys(choice.canary, canary)
    return Answer.FOLLOWED if serving == asked else Answer.PENDING
