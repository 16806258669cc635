"""`fleet models locate`: how often a detector's map shows where a face is blended."""

from pathlib import Path

from rich.table import Table

from agents.cli.console import OUT
from agents.cli.exits import CommandFailed, ExitCode
from agents.cli.progress import steps
from agents.model_set import face_detector, manifest
from agents.settings import load_settings
from models.evaluation.exceptions import LayoutInvalid
from models.evaluation.locating import locate_blends
from models.graph import prepare
from models.inference.session import Session
from models.locations import Confusion, Location
from models.sources import resolve


def locate(folder: Path, model: str) -> None:
    """Judge blends, and show where their maps lie.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: a model cannot be had or does not load.
        CommandFailed: the folder holds no such blends, or the detector has no map.
    """
    settings = load_settings().models
    judge = manifest(settings).entry(model)
    weights = resolve(judge, settings.cache, offline=settings.offline)
    session = Session(judge, prepare(judge, weights, settings.cache))
    try:
        with steps() as on_step:
            found = locate_blends(folder, face_detector(settings), session, on_step)
    except LayoutInvalid as error:
        raise CommandFailed(ExitCode.USAGE, str(error)) from error
    OUT.print(_table(found))
    OUT.print(f"found where it is: {found.accuracy:.0%} of {found.total} blends, by {model}", markup=False)


def _table(found: Confusion) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("blended")
    for location in Location:
        table.add_column(location, justify="right", no_wrap=True)
    table.add_column("found", justify="right")
    for place in Location:
        recall = found.recall(place)
        if recall is not None:
            counts = (found.counts.get((place, at), 0) for at in Location)
            table.add_row(place, *(f"{count}" if count else "·" for count in counts), f"{recall:.0%}")
    return table
