"""`fleet models golden`: what models must answer before they serve."""

from collections.abc import Sequence

import typer
from rich.table import Table

from agents.cli.console import ERR, OUT
from agents.cli.exits import ExitCode
from agents.model_set import manifest
from agents.settings import load_settings
from models.golden import load_golden
from models.golden_making import Made, make_golden, renew_golden
from models.manifest import MANIFEST, Entry
from models.sources import resolve


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
            full = known.in_fp32(entry)
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
        kept = load_golden(entry)
        weights = resolve(entry, settings.cache, offline=settings.offline)
        with ERR.status(f"asking {entry.name}"):
            made = make_golden(entry, weights)
        difference = kept.difference(made.golden.answers)
        further = difference > kept.tolerance
        wrong = wrong or further
        style = "bold red" if further else None
        table.add_row(entry.name, f"{difference:.4f}", f"{kept.tolerance:g}", style=style)
    OUT.print(table)
    if wrong:
        raise typer.Exit(ExitCode.MODELS_INVALID)


def _table(made: Sequence[tuple[Entry, Made]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", no_wrap=True)
    for heading in ("tolerance", "quantised", "colours swapped", "kB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry, vector in made:
        noticed = vector.colours > vector.golden.tolerance
        table.add_row(
            entry.name,
            f"{vector.golden.tolerance:g}",
            f"{vector.quantisation:.3f}" if vector.quantisation else "·",
            f"{vector.colours:.3f}" if noticed else f"[yellow]{vector.colours:.3f}, not noticed[/]",
            f"{len(vector.golden.to_bytes()) / 1000:.0f}",
        )
    return table
