"""`fleet models golden`: what models must answer before they serve."""

from collections.abc import Sequence

import typer
from rich.table import Table

from agents.cli.console import ERR, OUT
from agents.cli.exits import ExitCode
from agents.model_set import manifest
from agents.settings import load_settings
from models.golden import load_golden, require_golden
from models.golden_making import Made, make_golden, renew_golden
from models.manifest import MANIFEST, Entry, Manifest
from models.sources import resolve

_FULL = "_fp32"
"""What the name of a graph in fp32 ends with, beside the INT8 one of the same network."""


def golden(names: Sequence[str]) -> None:
    """Make the golden vectors of entries, and put them into the manifest in use.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: a model cannot be had, does not serve, or is of a manifest that the one in use extends.
    """
    settings = load_settings().models
    path = settings.manifest or MANIFEST
    known = manifest(settings)
    made: list[tuple[Entry, Made]] = []
    for entry in [known.entry(name) for name in names] if names else known.entries:
        with ERR.status(f"asking {entry.name}"):
            weights = resolve(entry, settings.cache, offline=settings.offline)
            full = _of_full(known, entry)
            reference = None if full is None else resolve(full, settings.cache, offline=settings.offline)
            made.append((entry, renew_golden(path, entry, weights, reference)))
    OUT.print(_table(made))


def check(names: Sequence[str]) -> None:
    """Hold entries against their golden vectors on this machine's CPU, and show how far off they are.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: a model cannot be had, does not serve, or has no golden vector.
        typer.Exit: one is further off than its tolerance.
    """
    settings = load_settings().models
    known = manifest(settings)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", no_wrap=True)
    for heading in ("off by", "tolerance"):
        table.add_column(heading, justify="right", no_wrap=True)
    wrong = False
    for entry in [known.entry(name) for name in names] if names else known.entries:
        require_golden(entry)
        kept = load_golden(entry)
        weights = resolve(entry, settings.cache, offline=settings.offline)
        with ERR.status(f"asking {entry.name}"):
            made = make_golden(entry, weights)
        if kept is not None and entry.golden is not None:
            difference = kept.difference(made.golden.answers)
            further = difference > entry.golden.tolerance
            wrong = wrong or further
            style = "bold red" if further else None
            table.add_row(entry.name, f"{difference:.4f}", f"{entry.golden.tolerance:g}", style=style)
    OUT.print(table)
    if wrong:
        raise typer.Exit(ExitCode.MODELS_INVALID)


def _of_full(known: Manifest, entry: Entry) -> Entry | None:
    """The entry in fp32 that an INT8 one was quantised from, if the manifest has it."""
    return next((each for each in known.entries if each.name == f"{entry.name}{_FULL}"), None)


def _table(made: Sequence[tuple[Entry, Made]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", no_wrap=True)
    for heading in ("tolerance", "quantised", "colours swapped", "kB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry, vector in made:
        noticed = vector.colours > vector.tolerance
        table.add_row(
            entry.name,
            f"{vector.tolerance:g}",
            f"{vector.quantisation:.3f}" if vector.quantisation else "·",
            f"{vector.colours:.3f}" if noticed else f"[yellow]{vector.colours:.3f}, not noticed[/]",
            f"{len(vector.golden.to_bytes()) / 1000:.0f}",
        )
    return table
