"""`fleet models scores` and `fleet models cascade`: logits of labelled media, and what the cascade saves and loses."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from agents.cli.console import ERR, OUT
from agents.cli.exits import CommandFailed, ExitCode
from agents.cli.progress import steps
from agents.model_set import chosen, manifest
from agents.settings import load_settings
from models.detectors import DetectorSet, LoadOptions
from models.evaluation.cascade import Below, CascadePoint, measure_cascade
from models.evaluation.exceptions import LayoutInvalid
from models.evaluation.face_logits import load_logits, logits_of
from models.evaluation.layout import read_layout
from models.fusion_weights import load_fusion
from models.manifest import Role
from models.policy import DEFAULT_POLICY
from schemas.verdict import Axis

SUSPICIONS = tuple(round(0.05 * step, 2) for step in range(15))
BOUNDS = (0.2, 0.3, 0.4, 0.5)
"""Where `authentic_below` of a policy may lie."""


def scores(source: Path, subsets: Sequence[str], models: Sequence[str], out: Path, frames: int) -> None:
    """Judge labelled media and write the logits.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: a model cannot be had, does not load, or failed.
        CommandFailed: the media are not laid out by label.
    """
    settings = load_settings().models
    known = manifest(settings)
    names = list(models) or [entry.name for entry in chosen(settings)]
    try:
        layout = read_layout(source, subsets)
    except LayoutInvalid as error:
        raise CommandFailed(ExitCode.USAGE, str(error)) from error
    with ERR.status("loading the models"):
        loaded = DetectorSet.load(known, LoadOptions(cache=settings.cache, offline=settings.offline), names=names)
    with loaded, steps() as on_step:
        found = logits_of(layout, loaded.faces, loaded.detectors, frames, on_step)
    found.save(out)
    fakes = int(found.fake.sum())
    said = f"written: {out}, {len(found.fake) - fakes} real and {fakes} fake faces, by {', '.join(found.names)}"
    OUT.print(said, markup=False, soft_wrap=True)


def cascade(path: Path) -> None:
    """Show what the cascade saves and loses, by suspicion, and which shares of media score low.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: the manifest cannot be used.
        CommandFailed: the file has not the logits of screen and primary.
    """
    known = manifest(load_settings().models)
    entries = {role: known.by_role(role) for role in (Role.SCREEN, Role.PRIMARY)}
    if not all(entries.values()):
        raise CommandFailed(ExitCode.MODELS_INVALID, "a cascade wants a screen and a primary in the manifest")
    screen, primary = entries[Role.SCREEN][0], entries[Role.PRIMARY][0]
    table = load_fusion(known.fusion, known.entries)
    weights = DEFAULT_POLICY.role_weights
    learnt = table.find(Axis.MANIPULATION, (screen.name, primary.name))
    learnt_alone = table.find(Axis.MANIPULATION, (screen.name,))

    def fuse(fast: float, fine: float) -> float:
        if learnt is not None:
            return learnt.logit({screen.name: fast, primary.name: fine})
        of_screen, of_primary = weights[Role.SCREEN], weights[Role.PRIMARY]
        return (of_screen * fast + of_primary * fine) / (of_screen + of_primary)

    def alone(fast: float) -> float:
        return fast if learnt_alone is None else learnt_alone.logit({screen.name: fast})

    try:
        measured = measure_cascade(
            load_logits(path),
            screen.name,
            primary.name,
            fuse=fuse,
            alone=alone,
            suspicions=SUSPICIONS,
            bounds=BOUNDS,
        )
    except (KeyError, ValueError, OSError) as error:
        raise CommandFailed(ExitCode.USAGE, f"{path}: {error}") from error
    OUT.print(_points(measured.points, screen.output.suspicion))
    OUT.print()
    OUT.print(_below(measured.below))


def _points(points: Sequence[CascadePoint], in_force: float) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("suspicion", "primary asked", "of reals", "AUC", "loss"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for point in points:
        mark = "bold" if np.isclose(point.suspicion, in_force) else None
        shown.add_row(
            f"{point.suspicion:.2f}",
            f"{point.asked:.0%}",
            f"{point.asked_of_real:.0%}",
            f"{point.auc:.3f}",
            f"{point.loss:+.3f}",
            style=mark,
        )
    return shown


def _below(counted: Sequence[Below]) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("fused score below", "of reals", "of fakes"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for each in counted:
        shown.add_row(f"{each.probability:.2f}", f"{each.real:.0%}", f"{each.fake:.0%}")
    return shown
