"""What workers serve with, as tables."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agents.control.answers import Heard
from schemas.control import ModelSwitch, WorkerModel, WorkerReport

_ROLES = ("faces", "screen", "primary", "synthetic", "liveness")


def workers_view(workers: Sequence[Heard], now: datetime, *, reasons: bool = False) -> RenderableType:
    """Return every worker's models in a table, and below it what there is to say of them.

    Args:
        workers: by agent and name.
        now: the time.
        reasons: whether it is said of every model why it runs where it does, and not only of those that stand in.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("worker", "agent", "role", "model", "version"):
        table.add_column(heading, no_wrap=True)
    table.add_column("media", justify="right", no_wrap=True)
    table.add_column("runs on", no_wrap=True)
    notes: list[RenderableType] = []
    for heard in workers:
        report = heard.report
        first = (Text(report.worker, "bold yellow" if heard.silent else ""), Text(report.agent))
        for model in sorted(report.models, key=lambda each: _ROLES.index(each.role)):
            table.add_row(*first, *_cells(model))
            first = (Text(), Text())
        if heard.silent:
            silent = f"{report.worker}: silent for {(now - report.at).total_seconds():.0f} s"
            notes.append(Padding(Text(silent, "bold yellow"), (0, 0, 0, 2)))
        notes += [Padding(note, (0, 0, 0, 2)) for note in _notes(report, reasons=reasons)]
    return Group(table, *notes)


def _cells(model: WorkerModel) -> tuple[Text, ...]:
    role, media = Text(model.role), Text(f"{model.share:.0%}")
    if model.name is None:
        return role, Text(f"nothing for {model.wanted}", "bold red"), Text(), media, Text()
    name = Text(model.name, "bold yellow" if model.stands_in else "")
    if model.name != model.wanted:
        name.append(f" for {model.wanted}", "yellow" if model.stands_in else "dim")
    return role, name, Text(model.version), media, Text(model.provider)


def _notes(report: WorkerReport, *, reasons: bool) -> Iterable[Text]:
    for model in report.models:
        what = f"{report.worker}: {model.name or model.wanted}: "
        if model.name is None:
            yield Text(f"{what}{model.reason}", "red")
        elif model.stands_in:
            yield Text(f"{what}{model.reason}", "yellow")
        elif reasons:
            yield Text(f"{what}{model.reason}", "dim")
    for refused in report.refused:
        names = ", ".join(refused.models) or "the manifest's own"
        yield Text(f"{report.worker}: {names} refused, asked for at {refused.at:%Y-%m-%d %H:%M:%S}", "bold red").append(
            f": {refused.reason}", "not bold red"
        )


def switches_table(switches: Iterable[ModelSwitch]) -> Table:
    """Return a table of what was asked for."""
    table = Table(box=None, pad_edge=False, header_style="bold", title="asked for", title_justify="left")
    for heading in ("role", "of agent", "models", "canary", "by", "at"):
        table.add_column(heading, no_wrap=True)
    for switch in switches:
        canary = f"{', '.join(switch.canary)}, {switch.canary_share:.0%}" if switch.canary else ""
        models = ", ".join(switch.models) or "the manifest's own"
        table.add_row(switch.role, switch.agent or "all", models, canary, switch.by, f"{switch.at:%Y-%m-%d %H:%M:%S}")
    return table
