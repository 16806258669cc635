"""`fleet models …`: what models tell, measured. The work is done in a module of each command's name."""

# ruff: noqa: PLC0415
# A command imports its module when it is called: `fleet --help` answers at once.

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

measuring_app = typer.Typer()


class BlendKind(StrEnum):
    """How faces are blended, by name of `agents.cli.blend.DRAWS`."""

    TRAINING = "training"
    PUBLISHED = "published"


@measuring_app.command("evaluate", rich_help_panel="Measure")
def evaluate_models(
    media: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|CSV", exists=True, help="Media by label: real/ and fake/, or a CSV.", show_default=False
        ),
    ],
    subset: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=REAL:FAKE", help="A subset of DIR by its folders; repeatable.", show_default=False),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A detector of the manifest; repeatable.", show_default="those that the settings load"),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of report and pictures.", file_okay=False)] = Path("evaluation"),
    frames: Annotated[int, typer.Option(min=1, help="Of each video, evenly spread.")] = 24,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Files of each label of a subset.", show_default="all")
    ] = None,
    one_resolution: Annotated[
        int, typer.Option(min=0, help="Side that all faces are brought to, pixels; 0 judges them as found.")
    ] = 112,
    native: Annotated[bool, typer.Option("--native", help="Judge faces as found, too.")] = False,
    analyses: Annotated[
        bool, typer.Option("--analyses/--no-analyses", help="Measure artifact and temporal analyses, too.")
    ] = True,
    robustness_files: Annotated[
        int, typer.Option(min=0, help="Files of each label in the robustness curves; 0 for none.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of halves and intervals.")] = 1,
    rounds: Annotated[int, typer.Option(min=10, help="Of the bootstrap.")] = 1000,
) -> None:
    """Measure detectors and analyses on labelled media, beside the size of the face alone (docs/evaluation.md).

    Example: [cyan]fleet models evaluate ../shared/data/video --output clips[/]
    """
    from agents.cli.evaluate import EvaluateOptions, evaluate
    from models.evaluation.scoring import Plan

    plan = Plan(
        one_resolution=one_resolution or None,
        native=native,
        frames=frames,
        limit=limit,
        robustness_files=robustness_files,
        seed=seed,
        rounds=rounds,
    )
    evaluate(media, EvaluateOptions(plan, subset or (), model or (), output, analyses))


@measuring_app.command("card", rich_help_panel="Measure")
def write_card(
    name: Annotated[str, typer.Argument(help="A detector of the manifest.", show_default=False)],
    report: Annotated[
        Path,
        typer.Option("--from", exists=True, dir_okay=False, help="report.json of an evaluation.", show_default=False),
    ],
    curves: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Of its training.", show_default="NAME.curves.json of the cards"
        ),
    ] = None,
    cards: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of the cards.", show_default="the fleet's")
    ] = None,
    figures_only: Annotated[
        bool, typer.Option("--figures-only", help="Write NAME.evaluation.json and no card: of a network in fp32.")
    ] = False,
) -> None:
    """Write a model's card from an evaluation, its training curves and its notes (docs/evaluation.md).

    Example: [cyan]fleet models card blend_primary --from evaluation/report.json[/]
    """
    from agents.cli.card import card

    card(name, report, curves, cards, figures_only=figures_only)


@measuring_app.command("blend", rich_help_panel="Measure")
def write_blends(
    photographs: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Folder of real faces.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="Where real/ and fake/ go.", show_default=False)],
    kind: Annotated[
        BlendKind, typer.Option(help="As training blends, or as published (whole faces, plainer).")
    ] = BlendKind.TRAINING,
    crf: Annotated[
        int | None, typer.Option(min=0, max=51, help="Of the H.264 that all go through.", show_default="none")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the blends.")] = 7,
) -> None:
    """Blend real faces into themselves, to evaluate detectors on faces that they have not seen.

    Example: [cyan]fleet models blend ../shared/data/faces/val/real --out blends --crf 32[/]
    """
    from agents.cli.blend import blend

    blend(photographs, out, kind.value, crf, seed)


@measuring_app.command("locate", rich_help_panel="Measure")
def locate_blends(
    blends: Annotated[
        Path,
        typer.Argument(
            exists=True, file_okay=False, show_default=False, help="The folder fake/ that `fleet models blend` wrote."
        ),
    ],
    model: Annotated[str, typer.Option(help="A detector with a heat map.")] = "blend_primary",
) -> None:
    """Show how often a detector's heat map lies where a face is blended.

    Example: [cyan]fleet models locate blends/fake[/]
    """
    from agents.cli.locate import locate

    locate(blends, model)


@measuring_app.command("scores", rich_help_panel="Measure")
def write_scores(
    media: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|CSV", exists=True, help="Media by label: real/ and fake/, or a CSV.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The .npz to write.")] = Path("scores.npz"),
    subset: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=REAL:FAKE", help="A subset of DIR by its folders; repeatable.", show_default=False),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A detector of the manifest; repeatable.", show_default="those that the settings load"),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Of each video, evenly spread.")] = 24,
) -> None:
    """Write what detectors say of labelled faces: what `fit-fusion` learns from and `cascade` measures.

    Example: [cyan]fleet models scores blends --model blend_screen --model blend_primary[/]
    """
    from agents.cli.cascade import scores

    scores(media, subset or (), model or (), out, frames)


@measuring_app.command("cascade", rich_help_panel="Measure")
def measure_cascade(
    scores: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Of `scores`.", show_default=False)],
) -> None:
    """Show how much asking the primary only where the screen is suspicious saves, and what it loses.

    Example: [cyan]fleet models cascade scores.npz[/]
    """
    from agents.cli.cascade import cascade

    cascade(scores)


@measuring_app.command("measure-faces", rich_help_panel="Measure")
def measure_faces(
    data: Annotated[
        Path,
        typer.Option(exists=True, file_okay=False, help="Folder with the faces to find.", show_default=False),
    ],
) -> None:
    """Measure recall and speed of the face detector, and write its model card.

    Example: [cyan]fleet models measure-faces --data ../shared/data[/]
    """
    from agents.cli.measure_faces import measure_faces as measure

    measure(data)
