"""`fleet models export`: a training turned into graphs, calibrated, and put into service."""

import shutil
from pathlib import Path

from rich.table import Table

import models
from agents.cli.console import OUT
from agents.cli.exits import CommandFailed, ExitCode
from agents.cli.progress import steps
from agents.cli.train import VALIDATION_SHARE, folders
from agents.model_set import face_detector
from agents.settings import load_settings
from models.golden_making import keep_golden, make_golden
from models.manifest import Role
from models.manifest_text import with_entry
from models.training.portraits import read_portraits, split
from models.training.recipe import RECIPES


def export(role: str, folder: Path, data: Path, into: Path, version: str, adopt: bool) -> None:
    """Export, quantise and calibrate the training in a folder.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: the face detector cannot be had.
        CommandFailed: the training, the data or the extra `train` is missing, or it tells nothing apart.
    """
    recipe = RECIPES[Role(role)]
    try:
        from models.training.shipping import ship  # noqa: PLC0415 - only the extra `train` has torch
        from models.training.training import CHECKPOINT, CURVES  # noqa: PLC0415
    except ImportError as error:
        raise CommandFailed(
            ExitCode.USAGE, f"export needs the extra `train`: pip install 'deepfake-fleet[train]' ({error})"
        ) from error
    settings = load_settings().models
    detector = face_detector(settings)
    home = Path(models.__file__).parent
    target = home / "weights" if adopt else into
    target.mkdir(parents=True, exist_ok=True)
    with steps() as on_step:
        try:
            learnt, kept = split(read_portraits(folders(data), detector, on_step), VALIDATION_SHARE, recipe.seed)
            shipped = ship(
                Role(role), recipe, folder / CHECKPOINT, learnt, kept, target, settings.cache, version, on_step
            )
        except FileNotFoundError as error:
            raise CommandFailed(ExitCode.USAGE, f"not there: {error}") from error
        except ValueError as error:
            raise CommandFailed(ExitCode.USAGE, str(error)) from error
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("entry", no_wrap=True)
    for heading in ("MB", "temperature", "bias", *(f"{rate:.1%} of reals above" for rate in shipped[0].thresholds)):
        table.add_column(heading, justify="right", overflow="fold")
    for each in shipped:
        output, path = each.entry.output, target / f"{each.entry.name}.onnx"
        figures = (f"{output.temperature:.3f}", f"{output.bias:.3f}", *(f"{p:.4f}" for p in each.thresholds.values()))
        table.add_row(each.entry.name, f"{path.stat().st_size / 1e6:.1f}", *figures)
    OUT.print(table)
    place = home if adopt else into
    listing = place / "manifest.yaml"
    text = listing.read_text(encoding="utf-8") if listing.exists() else "entries:\n"
    full = target / f"{shipped[-1].entry.name}.onnx"
    for each in shipped:
        own = target / f"{each.entry.name}.onnx"
        made = make_golden(each.entry, own, None if own == full else full)
        text = with_entry(text, keep_golden(each.entry, made.golden, place), place)
    listing.write_text(text, encoding="utf-8")
    curves = (home / "cards" if adopt else into) / f"{shipped[0].entry.name}.curves.json"
    shutil.copyfile(folder / CURVES, curves)
    said = "put into service: graphs, manifest and curves in" if adopt else "graphs, manifest and curves are in"
    OUT.print(f"{said} {place}", markup=False, soft_wrap=True)
