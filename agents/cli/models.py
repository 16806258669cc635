"""`fleet models`: what the manifest has, and whether its weights are here and right."""

from dataclasses import dataclass
from pathlib import Path

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress as ProgressBars, SpinnerColumn, TextColumn
from rich.table import Table

from agents.cli.console import ERR, OUT
from agents.cli.exits import CommandFailed, ExitCode
from agents.model_set import chosen, manifest
from agents.settings import ModelSettings, load_settings
from models.exceptions import WeightsError
from models.heads import load_head
from models.manifest import Entry
from models.sources import OnProgress, Progress, cached_path, pull as pull_weights, verify as verify_weights


@dataclass(frozen=True, slots=True)
class Checked:
    """An entry's weights as they lie on this machine."""

    entry: Entry
    size: int | None
    """Bytes; none where they are missing."""
    right: bool | None
    """Whether their hash, and that of the head, are the manifest's; none where that was not looked at."""


def list_all() -> None:
    """Show every entry, without hashing.

    Raises:
        SettingsInvalid: a setting cannot be.
        ManifestError: the manifest cannot be used.
    """
    settings = load_settings().models
    OUT.print(_table([_look(entry, settings.cache) for entry in manifest(settings).entries]))


def pull() -> None:
    """Fetch what is missing and check everything.

    Raises:
        SettingsInvalid: a setting cannot be.
        CommandFailed: `models.offline` forbids it.
        ModelError: a model cannot be had, or is not the one that the manifest names.
    """
    settings = load_settings().models
    if settings.offline:
        raise CommandFailed(ExitCode.SETTINGS_INVALID, "models.offline is set: nothing is fetched")
    entries = manifest(settings).entries
    with progress_bars() as bars:
        report = reporting(bars)
        for entry in entries:
            pull_weights(entry, settings.cache, on_progress=report)
    OUT.print(_table([_check(entry, settings.cache) for entry in entries]))
    OUT.print(f"in {settings.cache}", style="dim", markup=False, soft_wrap=True)


def pull_missing(settings: ModelSettings) -> None:
    """Fetch what a worker will load and is not here, showing how far it is; offline, leave it to the loader.

    Raises:
        ModelError: a model cannot be had.
    """
    missing = [entry for entry in chosen(settings) if not cached_path(entry, settings.cache).exists()]
    if not missing or settings.offline:
        return
    with progress_bars() as bars:
        report = reporting(bars)
        for entry in missing:
            pull_weights(entry, settings.cache, on_progress=report)


def verify() -> None:
    """Hash everything.

    Raises:
        SettingsInvalid: a setting cannot be.
        ManifestError: the manifest cannot be used.
        typer.Exit: something is missing or wrong.
    """
    settings = load_settings().models
    checked = []
    for entry in manifest(settings).entries:
        with ERR.status(f"hashing {entry.name}"):
            checked.append(_check(entry, settings.cache))
    OUT.print(_table(checked))
    if not all(each.right for each in checked):
        raise typer.Exit(ExitCode.MODELS_INVALID)


def progress_bars() -> ProgressBars:
    """Return bars for downloads, on standard error; without a terminal they show nothing while they run."""
    return ProgressBars(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        console=ERR,
        transient=True,
        disable=not ERR.is_terminal,
    )


def reporting(bars: ProgressBars) -> OnProgress:
    """Return what turns the reports of a pull into bars, one for each entry."""
    tasks = {}

    def report(progress: Progress) -> None:
        if progress.entry not in tasks:
            tasks[progress.entry] = bars.add_task(f"{progress.step} {progress.entry}", total=None)
        bars.update(tasks[progress.entry], completed=progress.done, total=progress.total)

    return report


def _look(entry: Entry, cache: Path) -> Checked:
    path = cached_path(entry, cache)
    return Checked(entry, path.stat().st_size if path.is_file() else None, None)


def _check(entry: Entry, cache: Path) -> Checked:
    looked = _look(entry, cache)
    try:
        verify_weights(entry, cache)
        if entry.head is not None:
            load_head(entry.name, entry.head)
    except WeightsError:
        return Checked(entry, looked.size, right=False)
    return Checked(entry, looked.size, right=True)


def _table(checked: list[Checked]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("model", "role", "version", "licence"):
        table.add_column(heading, no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("here", no_wrap=True)
    table.add_column("checksum", no_wrap=True)
    marks = {True: "[green]right[/]", False: "[bold red]wrong[/]", None: "[dim]not looked at[/]"}
    for each in checked:
        missing = each.size is None
        table.add_row(
            each.entry.name,
            each.entry.role,
            each.entry.version,
            each.entry.licence,
            "" if each.size is None else decimal(each.size),
            "[red]no[/]" if missing else "[green]yes[/]",
            "" if missing else marks[each.right],
        )
    return table
