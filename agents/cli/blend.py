"""`fleet models blend`: self-blended images of photographs, to evaluate detectors on."""

from pathlib import Path

from agents.cli.console import OUT
from agents.cli.exits import CommandFailed, ExitCode
from agents.cli.progress import steps
from agents.model_set import face_detector
from agents.settings import load_settings
from models.training.blending import TRAINING
from models.training.held_out import write_blends
from models.training.portraits import read_portraits
from models.training.published import PUBLISHED

DRAWS = {"training": TRAINING, "published": PUBLISHED}


def blend(photographs: Path, folder: Path, kind: str, crf: int | None, seed: int) -> None:
    """Write blends and what they were made of; `kind` is a name of `DRAWS`.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: the face detector cannot be had.
        CommandFailed: there are no photographs, or the folder cannot be written.
    """
    settings = load_settings().models
    detector = face_detector(settings)
    try:
        with steps() as on_step:
            portraits = read_portraits([photographs], detector, on_step)
            count = write_blends(portraits, folder, draw=DRAWS[kind], crf=crf, seed=seed, on_step=on_step)
    except OSError as error:
        raise CommandFailed(ExitCode.USAGE, str(error)) from error
    OUT.print(f"written: {count} faces in {folder}/real, their blends in {folder}/fake", markup=False, soft_wrap=True)
