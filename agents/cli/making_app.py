"""`fleet models …`: making the fleet's own detectors. The work is done in a module of each command's name."""

# ruff: noqa: PLC0415
# A command imports its module when it is called: `fleet --help` answers at once.

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

making_app = typer.Typer()


class TrainedRole(StrEnum):
    """The `models.manifest.Role` of a detector that is trained here."""

    SCREEN = "screen"
    PRIMARY = "primary"


class Training(StrEnum):
    """A recipe of `models.training.recipe.RECIPES`."""

    WARM_UP = "warm-up"
    PRIMARY = "primary"
    SCREEN = "screen"


@making_app.command("train", rich_help_panel="Make")
def train_detector(
    training: Annotated[
        Training, typer.Argument(help="Which recipe: the warm-up, the accurate or the fast one.", show_default=False)
    ],
    data: Annotated[
        Path,
        typer.Option(exists=True, file_okay=False, help="Folder with photographs of real faces.", show_default=False),
    ],
    folder: Annotated[Path, typer.Option(help="Where checkpoint and curves are kept.", show_default=False)],
    start_from: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Checkpoint to begin with, not ImageNet's weights.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Batches to learn from, instead of the recipe's.")] = None,
    stop_at: Annotated[int | None, typer.Option(min=1, help="Step to stop at; the same command goes on.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="That draw batches.")] = 1,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the network first: slower start.")] = False,
) -> None:
    """Train a detector of altered faces on self-blended images, going on where the folder's checkpoint ends.

    The shipped ones come from three trainings, each from the one before: warm-up, primary, screen (docs/training.md).

    Example: [cyan]fleet models train warm-up --data ../shared/data/faces/train --folder warm-up --stop-at 2100[/]
    """
    from agents.cli.train import train

    train(training.value, data, folder, start_from, steps, stop_at, processes, compiled)


@making_app.command("export", rich_help_panel="Make")
def export_detector(
    role: Annotated[TrainedRole, typer.Argument(help="Which detector the training is of.", show_default=False)],
    folder: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder of the training.", show_default=False)
    ],
    data: Annotated[
        Path,
        typer.Option(exists=True, file_okay=False, help="The photographs it was trained on.", show_default=False),
    ],
    into: Annotated[Path, typer.Option(file_okay=False, help="Where graphs and manifest go.")] = Path("exported"),
    version: Annotated[str, typer.Option(help="Of the manifest entries.")] = "1",
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Put it into service: write graphs, curves and the fleet's own manifest.")
    ] = False,
) -> None:
    """Turn a training into graphs of 32 and of 8 bits, calibrated on faces kept apart.

    Example: [cyan]fleet models export primary --folder primary --data ../shared/data/faces/train --adopt[/]
    """
    from agents.cli.export import export

    export(role.value, folder, data, into, version, adopt)


@making_app.command("fit-head", rich_help_panel="Make")
def fit_head(
    data: Annotated[
        Path,
        typer.Option(exists=True, file_okay=False, help="Folder with the faces to fit on.", show_default=False),
    ],
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Put it into service: write head, model card and manifest.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of split, disturbances and intervals.")] = 1,
) -> None:
    """Fit the linear head of the synthetic-face detector and measure it on held-out faces.

    Example: [cyan]fleet models fit-head --data ../shared/data --adopt[/]
    """
    from agents.cli.fit_head import fit_head as fit

    fit(data, adopt, seed)


@making_app.command("fit-fusion", rich_help_panel="Make")
def fit_fusion(
    scores: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            show_default=False,
            help="An .npz with logits, fake, names and, if any, groups.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where the weights go.", dir_okay=False)] = Path("fusion.json"),
    description: Annotated[str, typer.Option(help="Of the faces, for the record.")] = "",
    ridge: Annotated[float, typer.Option(min=1e-6, help="Penalty on weights.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds.")] = 1,
) -> None:
    """Learn how the detectors of an axis are fused, from their logits on labelled faces.

    Example: [cyan]fleet models fit-fusion scores.npz --out models/weights/fusion.json[/]
    """
    from agents.cli.fit_fusion import fit_fusion as fit

    fit(scores, out, description, ridge, seed)


@making_app.command("needs", rich_help_panel="Make")
def measure_needs(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Entries; all by default.", show_default=False)
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the figures into the manifest in use.")] = False,
) -> None:
    """Measure how much memory models need: a worker admits a model only where so much is free.

    Each is opened in a process of its own, and runs every batch size once.

    Example: [cyan]fleet models needs blend_primary --write[/]
    """
    from agents.cli.needs import needs

    needs(names or (), write=write)
