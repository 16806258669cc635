"""`fleet models card`: a model card, filled from an evaluation."""

from pathlib import Path

import models
from agents.cli.console import OUT
from agents.cli.exits import CommandFailed, ExitCode
from agents.model_set import manifest
from agents.settings import load_settings
from models.evaluation.card_parts import card_data, read_curves, read_notes
from models.evaluation.cards import MARK, detector_card
from models.evaluation.exceptions import EvaluationError
from models.evaluation.report import read_report
from models.sources import resolve

CARDS = Path(models.__file__).parent / "cards"


def card(name: str, report: Path, curves: Path | None, folder: Path | None, *, figures_only: bool = False) -> None:
    """Write the card, its figures and the picture of its training.

    Args:
        name: of the manifest entry.
        report: `report.json` of an evaluation with it.
        curves: of its training; by default `NAME.curves.json` of the folder, if there is one.
        folder: of the cards; the fleet's own by default. `NAME.notes.md` in it holds the texts.
        figures_only: write `NAME.evaluation.json`, and no card: of a network that another's card speaks of.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: there is no such entry, or its weights cannot be had.
        CommandFailed: report, curves or texts cannot be used, the extra `plot` is missing, or another card is there.
    """
    settings = load_settings().models
    entry = manifest(settings).entry(name)
    folder = CARDS if folder is None else folder
    card_path, picture = folder / f"{name}.md", folder / f"{name}.training.png"
    beside = folder / f"{name}.curves.json"
    if card_path.exists() and MARK not in card_path.read_text(encoding="utf-8"):
        raise CommandFailed(ExitCode.USAGE, f"{card_path} was not written by this command; move it away first")
    figures = folder / f"{name}.evaluation.json"
    try:
        weights = resolve(entry, settings.cache, offline=settings.offline)
        data = card_data(read_report(report), entry, weights.stat().st_size)
        if figures_only:
            figures.write_text(data.model_dump_json(indent=1) + "\n", encoding="utf-8")
            OUT.print(f"written: {figures}", markup=False, soft_wrap=True)
            return
        notes = read_notes(folder / f"{name}.notes.md")
        source = curves or (beside if beside.exists() else None)
        training = None if source is None else read_curves(source)
    except EvaluationError as error:
        raise CommandFailed(ExitCode.USAGE, str(error)) from error
    if training is not None:
        try:
            from agents.report.evaluation_training import write_training  # noqa: PLC0415  (extra `plot`)
        except ModuleNotFoundError as error:
            raise CommandFailed(
                ExitCode.USAGE, f"curves need the extra `plot`: pip install 'deepfake-fleet[plot]' ({error})"
            ) from error
        write_training(training, f"{entry.name} {entry.version}", picture)
        if source != beside:
            beside.write_text(training.model_dump_json(indent=1) + "\n", encoding="utf-8")
    figures.write_text(data.model_dump_json(indent=1) + "\n", encoding="utf-8")
    drawn = picture.name if training is not None else None
    card_path.write_text(detector_card(entry, data, notes, training, drawn), encoding="utf-8")
    OUT.print(f"written: {card_path}", markup=False, soft_wrap=True)
