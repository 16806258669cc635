"""What a card is made of: its model's part of a report, the training curves, and a few texts written by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue, ValidationError

from models.evaluation.exceptions import CardIncomplete, ReportInvalid
from models.evaluation.lineup import FACE_SIZE, SHARPNESS
from models.evaluation.report import EvaluationReport, Frozen
from models.fingerprint import preprocessing_hash
from models.manifest import Entry

TEXTS = ("What it is", "Training data", "Limits", "What it does not tell")
"""The headings of a file of notes; each is a section of the card."""


class TrainingPoint(Frozen):
    """A point of the curves: means since the one before."""

    step: int
    loss: float
    accuracy: float
    """Share of crops that were told rightly."""
    validation_auc: float | None
    seconds: float


class Curves(Frozen):
    """A training: what decided it, and how it went."""

    recipe: Mapping[str, JsonValue]
    points: tuple[TrainingPoint, ...]
    before: "Curves | None" = None
    """The training whose weights it began with; none where it began with ImageNet's."""


class CardData(Frozen):
    """All figures of a card, as written beside it to `NAME.evaluation.json`."""

    schema_version: Literal[1] = 1
    file_bytes: int
    report: EvaluationReport
    """Of this model and the baselines only."""


@dataclass(frozen=True, slots=True)
class Notes:
    """The texts of a card, by heading."""

    texts: Mapping[str, str]


def card_data(report: EvaluationReport, entry: Entry, file_bytes: int) -> CardData:
    """Return what a report says of one model.

    Args:
        report: of an evaluation with that model.
        entry: of the manifest.
        file_bytes: size of its weights.

    Raises:
        CardIncomplete: the report does not speak of it, or of another version of it.
    """
    measured = next((each for each in report.detectors if each.name == entry.name), None)
    if measured is None:
        known = ", ".join(each.name for each in report.detectors) or "no detector"
        raise CardIncomplete(f"the report measured {known}, and not {entry.name}")
    head = entry.head.sha256 if entry.head else None
    for what, was, now in (
        ("version", measured.version, entry.version),
        ("sha256", measured.sha256, entry.source.sha256),
        ("head", measured.head_sha256, head),
        ("preprocessing", measured.preprocessing_hash, preprocessing_hash(entry)),
        ("threshold", measured.threshold, entry.output.threshold),
    ):
        if was != now:
            raise CardIncomplete(
                f"{entry.name}: {what} was {was} when it was measured, and the manifest has {now}: evaluate again"
            )
    kept = {entry.name, FACE_SIZE, SHARPNESS}
    return CardData(
        file_bytes=file_bytes,
        report=report.model_copy(
            update={
                "detectors": (measured,),
                "rows": tuple(each for each in report.rows if each.name in kept),
                "results": tuple(
                    each.model_copy(update={"shape": None}) for each in report.results if each.row in kept
                ),
                "robustness": tuple(each for each in report.robustness if each.row in kept),
                "left_out": (),
            }
        ),
    )


def read_curves(path: Path) -> Curves:
    """Read the curves that a training wrote.

    Raises:
        ReportInvalid: they cannot be read.
    """
    try:
        return Curves.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ReportInvalid(f"{path} holds no training curves: {error}") from error


def read_notes(path: Path) -> Notes:
    """Read the texts of a card: Markdown with the headings of `TEXTS`, in any order, each followed by its text.

    Raises:
        CardIncomplete: there is no such file, or a text of it is missing or not known.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        wanted = ", ".join(f"`## {each}`" for each in TEXTS)
        raise CardIncomplete(f"{path} cannot be read: write it with {wanted} ({error})") from error
    texts = {}
    for part in f"\n{text}".split("\n## ")[1:]:
        heading, _, body = part.partition("\n")
        texts[heading.strip()] = body.strip()
    if unknown := sorted(set(texts) - set(TEXTS)):
        raise CardIncomplete(f"{path} has a text {unknown[0]!r}, and a card has {', '.join(TEXTS)}")
    for heading in TEXTS:
        if not texts.get(heading):
            raise CardIncomplete(f"{path} has no text under `## {heading}`")
    return Notes(texts)
