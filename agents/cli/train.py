"""`fleet models train`: a detector of altered faces, trained on photographs of real faces."""

from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from agents.cli.console import ERR, OUT
from agents.cli.exits import CommandFailed, ExitCode
from agents.model_set import face_detector
from agents.settings import load_settings
from models.training.portraits import read_portraits, split
from models.training.recipe import RECIPES, Point, Recipe

VALIDATION_SHARE = 0.08
"""Of the files, for measuring while training; never learnt from."""


def train(
    name: str,
    data: Path,
    folder: Path,
    start_from: Path | None,
    steps: int | None,
    stop_at: int | None,
    processes: int,
    compiled: bool,
) -> None:
    """Train, going on where the checkpoint in `folder` ends, and show the curves.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: the face detector cannot be had.
        CommandFailed: the data or the extra `train` is missing, or the folder holds another training.
    """
    recipe = RECIPES[name]
    if steps is not None:
        recipe = recipe.with_steps(steps)
    try:
        from models.training.training import train as run  # noqa: PLC0415 - only the extra `train` has torch
    except ImportError as error:
        raise CommandFailed(
            ExitCode.USAGE, f"train needs the extra `train`: pip install 'deepfake-fleet[train]' ({error})"
        ) from error
    settings = load_settings().models
    detector = face_detector(settings)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    points: list[Point] = []
    with Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as bars:
        tasks = {}

        def on_step(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=of)
            bars.update(tasks[step], completed=done, visible=done < of)

        def on_point(point: Point, of: int) -> None:
            points.append(point)
            if "training" not in tasks:
                tasks["training"] = bars.add_task("training", total=of)
            bars.update(tasks["training"], completed=point.step, description=f"training · loss {point.loss:.3f}")
            if not ERR.is_terminal or point.validation_auc is not None:
                ERR.print(_line(point, of), markup=False, highlight=False)

        try:
            learnt, kept = split(read_portraits(folders(data), detector, on_step), VALIDATION_SHARE, recipe.seed)
            run(
                learnt,
                kept,
                recipe,
                folder,
                start_from=start_from,
                stop_at=stop_at,
                processes=processes,
                compiled=compiled,
                on_point=on_point,
            )
        except FileNotFoundError as error:
            raise CommandFailed(ExitCode.USAGE, f"the data is not there: {error}") from error
        except ValueError as error:
            raise CommandFailed(ExitCode.USAGE, str(error)) from error
    OUT.print(_summary(recipe, len(learnt), len(kept), points))
    OUT.print(f"checkpoint and curves in {folder}", markup=False, soft_wrap=True)


def folders(data: Path) -> list[Path]:
    """Return the folders of photographs: `data` itself, or the folders in it."""
    within = sorted(path for path in data.iterdir() if path.is_dir())
    return within or [data]


def _line(point: Point, of: int) -> str:
    """A point in words, for terminals and logs."""
    measured = "" if point.validation_auc is None else f" · validation AUC {point.validation_auc:.3f}"
    return f"step {point.step} of {of} · loss {point.loss:.3f} · right {point.accuracy:.1%}{measured}"


def _summary(recipe: Recipe, learnt: int, kept: int, points: list[Point]) -> Table:
    title = f"{recipe.size} px · {recipe.steps} steps of {recipe.pairs} pairs · {learnt} faces, {kept} kept apart"
    table = Table(title=title, title_justify="left")
    for column in ("step", "loss", "right", "validation AUC"):
        table.add_column(column, justify="right")
    for point in points:
        if point.validation_auc is not None:
            table.add_row(str(point.step), f"{point.loss:.3f}", f"{point.accuracy:.1%}", f"{point.validation_auc:.3f}")
    return table
