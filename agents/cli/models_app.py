"""`fleet models …`: what the manifest has, and how something comes into it. Other modules do the work."""

# ruff: noqa: PLC0415
# A command imports its module when it is called: `fleet --help` answers at once.

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

models_app = typer.Typer(
    help="List, fetch, import, train, fit and measure the models of the manifest.", no_args_is_help=True
)


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


class SwitchedRole(StrEnum):
    """The `models.manifest.Role` of any model."""

    FACES = "faces"
    SCREEN = "screen"
    PRIMARY = "primary"
    SYNTHETIC = "synthetic"
    LIVENESS = "liveness"


class SteeredAgent(StrEnum):
    """An agent whose workers follow switches."""

    SEGMENTS = "segments"


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


class Colour(StrEnum):
    """Order of the channels."""

    RGB = "RGB"
    BGR = "BGR"


Triple = tuple[float, float, float]


@models_app.command("list", rich_help_panel="Serve")
def list_models() -> None:
    """Show the models of the manifest and whether their weights are there. Fetches nothing.

    Example: [cyan]fleet models list[/]
    """
    from agents.cli.models import list_all

    list_all()


@models_app.command("pull", rich_help_panel="Serve")
def pull_models() -> None:
    """Fetch the weights that are not in the cache yet, and check them.

    Example: [cyan]fleet models pull[/]
    """
    from agents.cli.models import pull

    pull()


@models_app.command("verify", rich_help_panel="Serve")
def verify_models() -> None:
    """Hash the weights in the cache; exit with 5 if one is missing or another than the manifest names.

    Example: [cyan]fleet models verify[/]
    """
    from agents.cli.models import verify

    verify()


@models_app.command("golden", rich_help_panel="Serve")
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


OnlyOption = Annotated[
    SteeredAgent | None, typer.Option("--only", help="Ask workers of this agent alone.", show_default="all")
]
WaitOption = Annotated[float, typer.Option("--wait", min=0.0, help="Wait so many seconds for the workers' answers.")]


@models_app.command("switch", rich_help_panel="Change while workers run")
def switch_models(
    asked: Annotated[str, typer.Argument(metavar="ROLE=NAME", help="The role and its new model.", show_default=False)],
    only: OnlyOption = None,
    canary: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Let it judge a share of the media, such as 10%, beside the present one."),
    ] = None,
    wait: WaitOption = 60.0,
) -> None:
    """Let workers that run serve a role with another model: loaded and checked beside the old one, then swapped.

    What was asked for stays asked for: workers that start later follow. A worker that cannot keeps its old model and
    says why; the command then exits with 5. Segments in hand end with the models that they began with.

    Example: [cyan]fleet models switch primary=blend_primary_fp32 --canary 10%[/]
    """
    from agents.cli.switch import switch

    switch(asked, None if only is None else only.value, canary, wait)


@models_app.command("reset", rich_help_panel="Change while workers run")
def reset_models(
    role: Annotated[SwitchedRole, typer.Argument(help="The role.", show_default=False)],
    only: OnlyOption = None,
    wait: WaitOption = 60.0,
) -> None:
    """Give a role back to the model that the manifest prefers.

    Example: [cyan]fleet models reset primary[/]
    """
    from agents.cli.switch import reset

    reset(role.value, None if only is None else only.value, wait)


@models_app.command("status", rich_help_panel="Change while workers run")
def show_serving(
    why: Annotated[bool, typer.Option("--why", help="Say of every model why it runs where it does.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a worker's report a line, as JSON.")] = False,
) -> None:
    """Show what every worker serves with, what it refused, and what was asked for.

    Example: [cyan]fleet models status[/]
    """
    from agents.cli.switch import status

    status(reasons=why, as_json=as_json)


@models_app.command("import", rich_help_panel="Serve")
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
