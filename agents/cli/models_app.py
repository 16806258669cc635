"""`fleet models …`: every command with its options and its help. The work is done in a module of its own name."""

# ruff: noqa: PLC0415
# A command imports its module when it is called: `fleet --help` answers at once.

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

models_app = typer.Typer(
    help="List, fetch, import, train, fit and measure the models of the manifest.", no_args_is_help=True
)


class TrainedRole(StrEnum):
    """The `models.manifest.Role` of a detector that is trained here."""

    SCREEN = "screen"
    PRIMARY = "primary"


class Training(StrEnum):
    """A recipe of `models.training.recipe.RECIPES`."""

    WARM_UP = "warm-up"
    PRIMARY = "primary"
    SCREEN = "screen"


class ImportFormat(StrEnum):
    """`models.families.catalogue.Format`, without importing it."""

    DEEPFAKEBENCH = "deepfakebench"
    MESONET_KERAS = "mesonet-keras"
    TIMM = "timm"
    MINIFASNET = "minifasnet"
    ONNX = "onnx"


class ImportedRole(StrEnum):
    """The `models.manifest.Role` of a detector that is imported."""

    SCREEN = "screen"
    PRIMARY = "primary"
    SYNTHETIC = "synthetic"
    LIVENESS = "liveness"


class Crop(StrEnum):
    """The kind of a `models.manifest.CropSpec`."""

    SQUARE = "square"
    ALIGNED = "aligned"
    INSIDE = "inside"


class Layout(StrEnum):
    """The layout of a `models.manifest.OutputSpec` of one or several scores."""

    LOGIT = "logit"
    SIGMOID = "sigmoid"
    LOGITS = "logits"
    SOFTMAX = "softmax"


class BlendKind(StrEnum):
    """How faces are blended, by name of `agents.cli.blend.DRAWS`."""

    TRAINING = "training"
    PUBLISHED = "published"


class Colour(StrEnum):
    """Order of the channels."""

    RGB = "RGB"
    BGR = "BGR"


Triple = tuple[float, float, float]


@models_app.command("list")
def list_models() -> None:
    """Show the models of the manifest and whether their weights are there. Fetches nothing.

    Example: [cyan]fleet models list[/]
    """
    from agents.cli.models import list_all

    list_all()


@models_app.command("pull")
def pull_models() -> None:
    """Fetch the weights that are not in the cache yet, and check them.

    Example: [cyan]fleet models pull[/]
    """
    from agents.cli.models import pull

    pull()


@models_app.command("verify")
def verify_models() -> None:
    """Hash the weights in the cache; exit with 5 if one is missing or another than the manifest names.

    Example: [cyan]fleet models verify[/]
    """
    from agents.cli.models import verify

    verify()


@models_app.command("golden")
def make_golden_vectors(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="Entries of the manifest.", show_default="all")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: exit with 5 if one answers otherwise on this machine.")
    ] = False,
) -> None:
    """Write what models answer to fixed pictures on a CPU in fp32: what they must repeat before they serve.

    Example: [cyan]fleet models golden blend_primary[/]
    """
    from agents.cli.golden import check as hold_against, golden

    (hold_against if check else golden)(names or [])


@models_app.command("import")
def import_checkpoint(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The checkpoint.", show_default=False)],
    source: Annotated[ImportFormat, typer.Option("--format", help="Who wrote it.", show_default=False)],
    into: Annotated[Path, typer.Option(file_okay=False, help="Folder of graph and manifest.", show_default=False)],
    architecture: Annotated[
        str | None,
        typer.Option(help="Of the format, see docs/import.md; of onnx a family.", show_default="recognised"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the entry.", show_default="made of the file's")] = None,
    role: Annotated[
        ImportedRole | None,
        typer.Option(help="What it is asked.", show_default="liveness for minifasnet, else primary"),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of the weights.", show_default="the format's")] = None,
    origin: Annotated[
        str | None, typer.Option(help="Paper or page that they come from.", show_default="the format's")
    ] = None,
    version: Annotated[str, typer.Option(help="Of the entry.")] = "1",
    size: Annotated[int | None, typer.Option(help="Side of its crops.", show_default="the format's")] = None,
    colour: Annotated[Colour | None, typer.Option(help="It sees.", show_default="the format's")] = None,
    scale: Annotated[
        float | None, typer.Option(help="Of pixels 0-255, before mean and std.", show_default="the format's")
    ] = None,
    mean: Annotated[Triple | None, typer.Option(help="Of each channel.", show_default="the format's")] = None,
    std: Annotated[Triple | None, typer.Option(help="Of each channel.", show_default="the format's")] = None,
    crop: Annotated[Crop | None, typer.Option(help="Kind of crop.", show_default="the format's")] = None,
    margin: Annotated[float | None, typer.Option(help="Around the face.", show_default="the format's")] = None,
    layout: Annotated[Layout | None, typer.Option(help="What it answers.", show_default="the format's")] = None,
    fake_index: Annotated[
        int | None,
        typer.Option(
            help="Class that means fake; of one score 1 where it grows with fake, else 0.", show_default="the format's"
        ),
    ] = None,
) -> None:
    """Turn a public checkpoint into a graph and an entry of a manifest that extends the fleet's own.

    Example: [cyan]fleet models import Meso4_DF.h5 --format mesonet-keras --into imported[/]
    """
    from agents.cli.import_model import import_model
    from models.importing import Facts

    facts = Facts(
        licence=licence,
        origin=origin,
        version=version,
        size=size,
        colour=None if colour is None else colour.value,
        scale=scale,
        mean=mean,
        std=std,
        crop=None if crop is None else crop.value,
        margin=margin,
        layout=None if layout is None else layout.value,
        fake_index=fake_index,
    )
    import_model(file, source.value, architecture, name, None if role is None else role.value, into, facts)


@models_app.command("fit-head")
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


@models_app.command("train")
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


@models_app.command("measure-faces")
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


@models_app.command("export")
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


@models_app.command("blend")
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


@models_app.command("locate")
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


@models_app.command("fit-fusion")
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


@models_app.command("scores")
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


@models_app.command("cascade")
def measure_cascade(
    scores: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Of `scores`.", show_default=False)],
) -> None:
    """Show how much asking the primary only where the screen is suspicious saves, and what it loses.

    Example: [cyan]fleet models cascade scores.npz[/]
    """
    from agents.cli.cascade import cascade

    cascade(scores)


@models_app.command("evaluate")
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


@models_app.command("card")
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
) -> None:
    """Write a model's card from an evaluation, its training curves and its notes (docs/evaluation.md).

    Example: [cyan]fleet models card blend_primary --from evaluation/report.json[/]
    """
    from agents.cli.card import card

    card(name, report, curves, cards)
