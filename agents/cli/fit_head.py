"""`fleet models fit-head`: the linear head of the synthetic-face detector, fitted and measured."""

from collections.abc import Iterable
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

import models
from agents.cli.console import ERR, OUT
from agents.cli.exits import CommandFailed, ExitCode
from agents.model_set import manifest
from agents.settings import default_cache, load_settings
from models.fit_head import ENTRY, Fit, adopt as put_into_service, fit_synthetic_head
from models.fitting.report import FitReport, Separation
from models.golden_making import renew_golden
from models.manifest import Manifest
from models.sources import resolve


def fit_head(data: Path, adopt: bool, seed: int) -> None:
    """Fit, show what was found, and with `adopt` put it into service.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: a model cannot be had or does not load.
        CommandFailed: the data or the extra `fit` is missing.
    """
    fit = _fit(data, seed)
    _show(fit.report)
    if adopt:
        folder = Path(models.__file__).parent
        put_into_service(fit, folder)
        entry = Manifest.load(folder / "manifest.yaml").entry(ENTRY)
        renew_golden(folder / "manifest.yaml", entry, resolve(entry, load_settings().models.cache))
        OUT.print(f"put into service: head, card and manifest in {folder}", markup=False, soft_wrap=True)
    else:
        OUT.print("nothing was written; --adopt puts it into service", style="dim")


def _fit(data: Path, seed: int) -> Fit:
    settings = load_settings().models
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as bars:
        tasks = {}

        def on_step(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=of)
            bars.update(tasks[step], completed=done, visible=done < of)

        try:
            return fit_synthetic_head(
                data,
                settings.cache,
                default_cache() / "embeddings",
                manifest=manifest(settings),
                seed=seed,
                on_step=on_step,
            )
        except FileNotFoundError as error:
            raise CommandFailed(ExitCode.USAGE, f"the data is not there: {error}") from error
        except ImportError as error:
            raise CommandFailed(
                ExitCode.USAGE, f"fit-head needs the extra `fit`: pip install 'deepfake-fleet[fit]' ({error})"
            ) from error


def _show(report: FitReport) -> None:
    for what, separations in (("across generators", report.across), ("held-out faces", report.held_out)):
        OUT.print(_separations(what, separations))
        OUT.print()
    points = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("threshold", "chosen for", "false positives", "true positives"):
        points.add_column(heading, justify="right", no_wrap=True)
    for point in report.operating_points:
        mark = "bold" if point.threshold == report.threshold else None
        points.add_row(
            f"{point.threshold:.4f}",
            f"{point.target_false_positives:.1%}",
            f"{point.false_positives:.1%}",
            f"{point.true_positives:.1%}",
            style=mark,
        )
    OUT.print(points)
    OUT.print(f"head {report.head_sha256[:16]}, seed {report.seed}, {report.entry}", style="dim")


def _separations(what: str, separations: Iterable[Separation]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(what)
    for heading in ("reals", "fakes", "AUC", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in separations:
        interval = f"{each.low:.3f} to {each.high:.3f}"
        table.add_row(each.name, str(each.reals), str(each.fakes), f"{each.auc:.3f}", interval)
    return table
