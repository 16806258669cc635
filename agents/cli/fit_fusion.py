"""`fleet models fit-fusion`: how the detectors of an axis are fused, learnt from their logits."""

import hashlib
import zipfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from agents.cli.console import OUT
from agents.cli.exits import CommandFailed, ExitCode
from agents.model_set import manifest
from agents.settings import load_settings
from models.fit_fusion import fit_fusion as fit
from models.fusion_weights import FusionTable, FusionWeights
from models.manifest import Manifest, Role
from models.policy import AXIS_OF_ROLE
from schemas.verdict import Axis


def fit_fusion(scores: Path, out: Path, description: str, ridge: float, seed: int) -> None:
    """Learn the fusion of every set of detectors of one axis, show how well it does, and write the file.

    Args:
        scores: an `.npz` with `logits` float64 [N, D], NaN where a detector was not asked; `fake` bool [N]; `names`
            text [D], of entries of the manifest; and, if there are groups, `groups` [N].
        out: where the weights go.
        description: of the faces, for the record.
        ridge: see `models.fit_fusion.fit_fusion`.
        seed: likewise.

    Raises:
        SettingsInvalid: a setting cannot be.
        ManifestError: the manifest cannot be used, or has no entry of a name.
        CommandFailed: the scores are not readable, or too few.
    """
    known = manifest(load_settings().models)
    logits, fake, groups, names = _read(scores)
    fusions = []
    for axis, columns in _sets(names, known):
        chosen = [names[column] for column in columns]
        rows = np.isfinite(logits[:, columns]).all(1)
        try:
            found = fit(
                logits[rows][:, columns],
                fake[rows],
                groups[rows].tolist(),
                ridge=ridge,
                seed=seed,
                description=description,
            )
        except ValueError as error:
            raise CommandFailed(ExitCode.USAGE, f"{scores}: {' and '.join(chosen)}: {error}") from error
        fusions.append(
            FusionWeights(
                axis=axis,
                weights=dict(zip(chosen, map(float, found.weights), strict=True)),
                bias=found.bias,
                threshold=found.threshold,
                fitted=found.fitted,
                thresholds=found.thresholds,
                versions={name: known.entry(name).version for name in chosen},
            )
        )
    content = FusionTable(tuple(fusions)).to_bytes()
    out.write_bytes(content)
    _show(fusions)
    OUT.print("to be used, the manifest needs:", style="dim")
    OUT.print(f"fusion:\n  path: {out}\n  sha256: {hashlib.sha256(content).hexdigest()}", markup=False, soft_wrap=True)


def _read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.str_], list[str]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            logits = np.asarray(arrays["logits"], np.float64)
            fake = np.asarray(arrays["fake"], np.bool_)
            names = [str(name) for name in arrays["names"]]
            groups = np.asarray(arrays["groups"] if "groups" in arrays else np.arange(len(fake)), np.str_)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        problem = f"{path} is no .npz with `logits`, `fake` and `names`: {error}"
        raise CommandFailed(ExitCode.USAGE, problem) from error
    if logits.shape != (len(fake), len(names)) or len(groups) != len(fake):
        problem = f"{path}: logits {list(logits.shape)} do not fit {len(fake)} faces of {len(names)} detectors"
        raise CommandFailed(ExitCode.USAGE, problem)
    return logits, fake, groups, names


def _sets(names: list[str], known: Manifest) -> Iterator[tuple[Axis, list[int]]]:
    """Every set of detectors of one axis: a cascade asks the costly one about some tracks only."""
    roles = [known.entry(name).role for name in names]
    if Role.FACES in roles:
        raise CommandFailed(ExitCode.USAGE, f"{names[roles.index(Role.FACES)]} finds faces and judges none")
    for axis in Axis:
        columns = [column for column, role in enumerate(roles) if AXIS_OF_ROLE[role] is axis]
        for count in range(1, len(columns) + 1):
            for chosen in combinations(columns, count):
                yield axis, list(chosen)


def _show(fusions: list[FusionWeights]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("detectors and weights")
    for heading in ("bias", "AUC", "of the mean", "ECE", "of the mean", "threshold"):
        table.add_column(heading, justify="right", no_wrap=True)
    for fusion in fusions:
        fitted = fusion.fitted
        table.add_row(
            ", ".join(f"{name} {weight:.3f}" for name, weight in fusion.weights.items()),
            f"{fusion.bias:.3f}",
            f"{fitted.auc:.3f}",
            f"{fitted.auc_of_mean:.3f}",
            f"{fitted.calibration_error:.3f}",
            f"{fitted.calibration_error_of_mean:.3f}",
            f"{fusion.threshold:.4f}",
        )
    OUT.print(table)
