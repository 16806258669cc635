"""What workers serve with, as tables."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from agents.control.answers import Heard
from schemas.control import ModelSwitch, WorkerModel

_ROLES = ("faces", "screen", "primary", "synthetic", "liveness")


def workers_table(workers: Sequence[Heard], now: datetime) -> Table:
    """Return a table of every worker's models, and below them what it refused."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("worker", "agent", "role", "model", "version"):
        table.add_column(heading, no_wrap=True)
    table.add_column("media", justify="right", no_wrap=True)
    table.add_column("runs on", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=1)
    for heard in workers:
        report = heard.report
        first = (Text(report.worker), Text(report.agent))
        if heard.silent:
            silent = f"silent for {(now - report.at).total_seconds():.0f} s"
            table.add_row(*first, Text(silent, "bold yellow"))
            first = (Text(), Text())
        for model in sorted(report.models, key=lambda each: _ROLES.index(each.role)):
            table.add_row(*first, *_cells(model))
            first = (Text(), Text())
        for refused in report.refused:
            names = ", ".join(refused.models) or "the manifest's own"
            reason = Text(f"asked for at {refused.at:%Y-%m-%d %H:%M:%S}: {refused.reason}", "red")
            table.add_row("", "", refused.role, Text(f"{names} refused", "bold red"), "", "", "", reason)
    return table


def _cells(model: WorkerModel) -> tuple[Text, ...]:
    if model.name is None:
        return (
            Text(model.role),
            Text(f"nothing for {model.wanted}", "bold red"),
            Text(),
            Text(f"{model.share:.0%}"),
            Text(),
            Text(model.reason, "red"),
        )
    name = Text(model.name, "bold yellow" if model.stands_in else "")
    if model.name != model.wanted:
        name.append(f" for {model.wanted}", "yellow" if model.stands_in else "dim")
    return (
        Text(model.role),
        name,
        Text(model.version),
        Text(f"{model.share:.0%}"),
        Text(model.provider),
        Text(model.reason, "yellow" if model.stands_in else "dim"),
    )


def switches_table(switches: Iterable[ModelSwitch]) -> Table:
    """Return a table of what was asked for."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("role", "of agent", "models", "canary", "asked by", "at"):
        table.add_column(heading, no_wrap=True)
    for switch in switches:
        canary = f"{', '.join(switch.canary)}, {switch.canary_share:.0%}" if switch.canary else ""
        models = ", ".join(switch.models) or "the manifest's own"
        table.add_row(switch.role, switch.agent or "all", models, canary, switch.by, f"{switch.at:%Y-%m-%d %H:%M:%S}")
    return table
