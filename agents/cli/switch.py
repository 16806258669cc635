"""`fleet models switch`, `reset` and `status`: other models for workers that run."""

import getpass
import socket
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TypeVar

import typer

from agents.cli.console import ERR, OUT, complain, note
from agents.cli.exits import ExitCode
from agents.control.answers import Answer, Heard, answered, in_force, latest
from agents.control.log import TopicLog
from agents.control.switches import choice_of
from agents.model_set import manifest
from agents.publishing import publish
from agents.report.serving import switches_table, workers_view
from agents.report.wording import counted
from agents.runtime.deadline import Deadline
from agents.runtime.exceptions import Unavailable
from agents.settings import KafkaSettings, Settings, load_settings
from models.manifest import Role
from models.selection import Choice, Selection
from schemas.control import ModelSwitch, WorkerReport
from topics.catalogue import CONTROL, WORKERS

_READ_S = 10.0
"""How long the broker may take to give what a topic holds, seconds."""
_PUBLISH_S = 10.0
_POLL_S = 0.2

E = TypeVar("E", ModelSwitch, WorkerReport)


def switch(asked: str, only: str | None, canary: str | None, wait_s: float) -> None:
    """Ask workers to serve a role with other models, and wait for their answers.

    Args:
        asked: `ROLE=NAME`; of liveness several names, with commas between them.
        only: workers of this agent alone.
        canary: share of the media, such as `10%` or `0.1`; the rest is judged as before.
        wait_s: for answers, seconds; 0 waits for none.

    Raises:
        typer.BadParameter: it is no such thing.
        SettingsInvalid: a setting cannot be.
        ManifestError: the manifest in use has no such entry for that role.
        Unavailable: the broker is away.
        typer.Exit: a worker refused, or has not answered in time.
    """
    role, names = _parsed(asked)
    canary_share = None if canary is None else _share(canary)
    settings = load_settings()
    earlier = in_force(_switches(settings.kafka))
    key = role.value if only is None else f"{role.value}@{only}"
    # A canary stands beside what serves now; without one everything changes.
    stands = max((earlier[each] for each in {key, role.value} & earlier.keys()), key=lambda each: each.at, default=None)
    models = names if canary_share is None else () if stands is None else stands.models
    event = ModelSwitch.model_validate(
        {
            "role": role.value,
            "models": models,
            "canary": () if canary_share is None else names,
            "canary_share": canary_share or 0.0,
            "agent": only,
            "by": _who(),
            "at": datetime.now(UTC),
        }
    )
    _ask(settings, event, wait_s)


def reset(role: str, only: str | None, wait_s: float) -> None:
    """Give a role back to the models that each worker's manifest prefers, and wait for the answers.

    Raises:
        SettingsInvalid: a setting cannot be.
        Unavailable: the broker is away.
        typer.Exit: a worker has not answered in time.
    """
    event = ModelSwitch.model_validate({"role": role, "agent": only, "by": _who(), "at": datetime.now(UTC)})
    _ask(load_settings(), event, wait_s)


def status(*, reasons: bool, as_json: bool) -> None:
    """Show what every worker serves with, and what was asked for.

    Args:
        reasons: why each model runs where it does.
        as_json: a worker's report a line in place of tables.

    Raises:
        SettingsInvalid: a setting cannot be.
        Unavailable: the broker is away.
    """
    kafka = load_settings().kafka
    now = datetime.now(UTC)
    workers = latest(_all(kafka, TopicLog(kafka, WORKERS, WorkerReport)), now)
    if as_json:
        for heard in workers:
            OUT.file.write(heard.report.model_dump_json() + "\n")
        return
    asked = list(in_force(_switches(kafka)).values())
    if workers:
        OUT.print(workers_view(workers, now, reasons=reasons))
    else:
        note("no worker says that it serves")
    if asked:
        OUT.print()
        OUT.print(switches_table(asked))


def _parsed(asked: str) -> tuple[Role, tuple[str, ...]]:
    role, equals, names = asked.partition("=")
    known = ", ".join(Role)
    if role not in set(Role) or not equals:
        raise typer.BadParameter(f"{asked!r} is not ROLE=NAME, with one of the roles {known}")
    listed = tuple(name.strip() for name in names.split(","))
    if not all(listed):
        raise typer.BadParameter(
            f"{asked!r} names no model; `fleet models reset {role}` goes back to the manifest's own"
        )
    return Role(role), listed


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise typer.BadParameter(f"--canary {text}: a share of the media lies between 0 and 100%, such as 10%")
    return share


def _who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _switches(kafka: KafkaSettings) -> Sequence[ModelSwitch]:
    return _all(kafka, TopicLog(kafka, CONTROL, ModelSwitch))


def _all(kafka: KafkaSettings, log: TopicLog[E]) -> Sequence[E]:
    try:
        events, whole = log.read_all(_READ_S)
    finally:
        log.close()
    if not whole:
        raise Unavailable("kafka", f"{kafka.bootstrap_servers} does not give the topic; `fleet topics create` makes it")
    return events


def _ask(settings: Settings, event: ModelSwitch, wait_s: float) -> None:
    preferred = Selection.preferred(manifest(settings.models), tuple(Role))
    choice = choice_of(event, preferred)
    # A misspelt name is told here, and not by every worker.
    preferred.switched(Role(event.role), choice)
    with closing(TopicLog(settings.kafka, WORKERS, WorkerReport)) as log:
        reports = list(log.read_all(_READ_S)[0])
        publish(settings.kafka, CONTROL, [event], _PUBLISH_S)
        deadline = Deadline.after(wait_s)
        with ERR.status("waiting for the workers' answers") as shown:
            while waiting := _waiting(reports, event, choice):
                shown.update(f"waiting for {', '.join(waiting)}")
                if deadline.expired:
                    break
                reports += log.read(min(_POLL_S, deadline.remaining_s))
    now = datetime.now(UTC)
    meant = [heard for heard in latest(reports, now) if _is_meant(heard, event)]
    if not meant:
        note("no worker that is meant says that it serves; those that start later follow")
        return
    OUT.print(workers_view(meant, now))
    refused = [heard for heard in meant if answered(heard.report, event, choice) is Answer.REFUSED]
    if refused:
        complain(f"{counted(len(refused), 'worker')} of {len(meant)} refused; the old models stay there")
        raise typer.Exit(ExitCode.MODELS_INVALID)
    if waiting and wait_s > 0:
        complain(
            f"no answer within {wait_s:g} s from {', '.join(waiting)}; `fleet models status` shows it when it comes"
        )
        raise typer.Exit(ExitCode.TIMED_OUT)


def _is_meant(heard: Heard, event: ModelSwitch) -> bool:
    report = heard.report
    return event.agent in {None, report.agent} and any(model.role == event.role for model in report.models)


def _waiting(reports: Sequence[WorkerReport], event: ModelSwitch, choice: Choice) -> Sequence[str]:
    """The workers that are meant, are not silent, and have not answered."""
    return [
        heard.report.worker
        for heard in latest(reports, datetime.now(UTC))
        if not heard.silent and _is_meant(heard, event) and answered(heard.report, event, choice) is Answer.PENDING
    ]
