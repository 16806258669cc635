"""`fleet models measure-faces`: recall and speed of the face detector, written into its card."""

from pathlib import Path

import models
from agents.cli.console import OUT
from agents.cli.exits import CommandFailed, ExitCode
from agents.cli.progress import steps
from agents.model_set import manifest
from agents.settings import load_settings
from models.measure_faces import measure_faces as measure, write_face_card


def measure_faces(data: Path) -> None:
    """Measure, and write the card.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: the model cannot be had or does not load.
        CommandFailed: the data is missing.
    """
    settings = load_settings().models
    with steps() as on_step:
        try:
            report = measure(data, settings.cache, manifest=manifest(settings), on_step=on_step)
        except FileNotFoundError as error:
            raise CommandFailed(ExitCode.USAGE, f"the data is not there: {error}") from error
    folder = Path(models.__file__).parent / "cards"
    write_face_card(report, folder, manifest=manifest(settings))
    for group in report.recall:
        OUT.print(f"{group.name}: {group.found} of {group.files} files", markup=False, highlight=False)
    OUT.print(f"written: {folder / report.entry}.md", markup=False, soft_wrap=True)
