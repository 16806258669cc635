"""`fleet models import`: a public checkpoint, made a graph and an entry of a manifest."""

from pathlib import Path

from rich.table import Table

from agents.cli.console import OUT
from agents.cli.exits import CommandFailed, ExitCode
from models.exceptions import ExtraMissing, ImportIncomplete
from models.families.catalogue import Format
from models.importing import MANIFEST_NAME, Facts, import_checkpoint
from models.manifest import Entry, Role

MEANINGS = {
    0: "a score that grows with real",
    1: "a score that grows with fake",
}


def import_model(
    file: Path, source: str, architecture: str | None, name: str | None, role: str | None, into: Path, facts: Facts
) -> None:
    """Import, and show what the entry says.

    Args:
        file: the checkpoint.
        source: a `Format`.
        architecture: of the format; recognised where it is not given.
        name: of the entry; by default made of the file's.
        role: a `Role`, or what the format implies.
        into: folder of the graph and the manifest.
        facts: what the checkpoint does not say.

    Raises:
        ModelError: the checkpoint or the folder's manifest cannot be used.
        CommandFailed: an option is missing, or the extra `convert`.
    """
    try:
        entry = import_checkpoint(
            file,
            Format(source),
            architecture=architecture,
            name=name or entry_name(file),
            role=None if role is None else Role(role),
            into=into,
            facts=facts,
        )
    except ImportIncomplete as error:
        option = f"--{error.field.replace('_', '-')}"
        raise CommandFailed(ExitCode.USAGE, f"{error.entry}: {option}: {error.problem}") from error
    except ExtraMissing as error:
        raise CommandFailed(ExitCode.USAGE, str(error)) from error
    OUT.print(_table(entry))
    manifest = (into / MANIFEST_NAME).resolve()
    OUT.print(f"FLEET_MODELS__MANIFEST={manifest} puts it into service", markup=False, soft_wrap=True)


def entry_name(file: Path) -> str:
    """A name for the entry of a checkpoint: its file's, in lower case, with what a name cannot have replaced."""
    letters = (letter if letter.isascii() and letter.isalnum() else "_" for letter in file.stem.lower())
    return "".join(letters).strip("_") or "imported"


def _table(entry: Entry) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    spec, output = entry.input, entry.output
    one_score = output.layout in {"logit", "sigmoid"}
    answer = MEANINGS[output.fake_index] if one_score else f"class {output.fake_index} is fake"
    finds_faces = entry.role is Role.FACES
    crop = f"{spec.crop.kind}, margin {spec.crop.margin:g}, {spec.size} px {spec.colour}"
    for label, value in (
        ("entry", f"{entry.name} {entry.version}"),
        ("role", entry.role),
        ("family", entry.family),
        ("sees", f"frames of any size, {spec.colour}" if finds_faces else crop),
        ("pixels", f"(x · {spec.scale:.6g} - {_triple(spec.mean)}) / {_triple(spec.std)}"),
        ("answer", "faces" if finds_faces else f"{output.layout}: {answer}"),
        ("licence", entry.licence),
        ("origin", entry.origin),
        ("sha256", entry.source.sha256),
    ):
        table.add_row(label, value)
    return table


def _triple(numbers: tuple[float, float, float]) -> str:
    """Three numbers, or one where they are the same."""
    same = len(set(numbers)) == 1
    return f"{numbers[0]:g}" if same else "[" + ", ".join(f"{number:g}" for number in numbers) + "]"
