"""From a training to what is shipped: graphs, calibration, manifest entries."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from models.graph import prepare
from models.inference.session import Session
from models.manifest import FP32, CropSpec, Entry, FileSource, InputSpec, OutputSpec, Role
from models.quantise import quantise
from models.training.blending import Portrait
from models.training.calibration import Shipped, calibrated, judge_kept
from models.training.export import CELLS, LOGIT, export, load_trained
from models.training.network import MEAN, STD
from models.training.recipe import Recipe
from models.training.samples import draw_pair

MARGIN = 0.3
"""Of `models.manifest.CropSpec`: what `models.training.degradation.choose_view` varies about."""
QUANTISED_ON = 400
"""Crops that activations are measured on."""
_QUANTISING = 1002
"""Beside the seed of the recipe: no draw of the training is among these."""
LICENCE = "Apache-2.0"
ORIGIN = "https://arxiv.org/abs/2204.08376"
OnStep = Callable[[str, int, int], None]


def ship(
    role: Role,
    recipe: Recipe,
    checkpoint: Path,
    learnt: Sequence[Portrait],
    kept: Sequence[Portrait],
    folder: Path,
    cache: Path,
    version: str,
    on_step: OnStep,
) -> tuple[Shipped, ...]:
    """Write a training's graphs, INT8 first and then fp32, each calibrated on faces kept apart.

    Args:
        role: of the detector.
        recipe: of the training.
        checkpoint: of the training.
        learnt: faces that were learnt from; INT8 activations are measured on them.
        kept: faces that were not.
        folder: for the graphs.
        cache: for prepared graphs.
        version: of the entries.
        on_step: told how far it is.

    Raises:
        FileNotFoundError: no checkpoint.
    """
    full = folder / f"blend_{role}{FP32}.onnx"
    small = folder / f"blend_{role}.onnx"
    export(load_trained(checkpoint), recipe.size, full)
    seeds = (recipe.seed, _QUANTISING)
    drawn = [draw_pair(learnt, index % len(learnt), recipe.size, (*seeds, index)) for index in range(QUANTISED_ON // 2)]
    crops = np.stack([image for pair in drawn for image in (pair.real, pair.fake)])
    quantise(full, small, input_spec(recipe), crops)
    shipped = []
    for path, name, buckets in ((small, f"blend_{role}", (1, 4, 16)), (full, f"blend_{role}{FP32}", (1, 4, 16))):
        raw = Entry(
            name=name,
            version=version,
            role=role,
            family="efficientnet_lite0",
            source=FileSource(kind="file", path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest()),
            licence=LICENCE,
            origin=ORIGIN,
            input=input_spec(recipe),
            output=OutputSpec(layout="logit", name=LOGIT, heat=CELLS),
            buckets=buckets,
        )
        session = Session(raw, prepare(raw, path, cache))
        judged = judge_kept(session, kept, recipe, partial(on_step, f"calibrating {name}"))
        shipped.append(calibrated(raw, judged))
    return tuple(shipped)


def input_spec(recipe: Recipe) -> InputSpec:
    """Return what the network was trained to see."""
    return InputSpec(size=recipe.size, colour="RGB", mean=MEAN, std=STD, crop=CropSpec(kind="square", margin=MARGIN))
