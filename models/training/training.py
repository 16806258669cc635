"""Train a detector of blended faces: resumable, seeded, its configuration and curves kept beside its weights."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.statistics import auc
from models.training.batches import BatchMaker
from models.training.blending import Portrait
from models.training.network import BlendDetector, load_imagenet
from models.training.recipe import OnPoint, Point, Recipe
from models.training.samples import Pair, validation_pairs

CHECKPOINT = "checkpoint.pt"
CURVES = "curves.json"


def train(
    portraits: Sequence[Portrait],
    kept: Sequence[Portrait],
    recipe: Recipe,
    folder: Path,
    *,
    start_from: Path | None = None,
    processes: int = 1,
    every: int = 50,
    validate_every: int = 250,
    compiled: bool = False,
    on_point: OnPoint,
) -> BlendDetector:
    """Train, going on where a checkpoint in `folder` ends.

    Args:
        portraits: faces to learn from.
        kept: faces for validation.
        recipe: what to do; a checkpoint of another recipe is refused.
        folder: where checkpoint and curves lie.
        start_from: weights of a trained network to begin with, instead of ImageNet's.
        processes: that draw batches.
        every: steps between two points of the curves and two checkpoints.
        validate_every: steps between two measurements on validation blends.
        compiled: whether torch compiles the network first: a minute or two, then a third faster on a CPU.
        on_point: told how it goes.

    Returns:
        The network with its averaged weights, in evaluation mode.

    Raises:
        ValueError: `folder` holds a checkpoint of another recipe.
        ImportError: the package of the backbone's weights is not installed.
    """
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = BlendDetector()
    if start_from is None:
        load_imagenet(network)
    else:
        network.load_state_dict(torch.load(start_from, map_location="cpu", weights_only=True)["averaged"])
    network.to(device, memory_format=torch.channels_last)
    averaged = BlendDetector()
    averaged.load_state_dict(network.state_dict())
    averaged.to(device).eval()
    optimiser = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps + 1, pct_start=0.15, final_div_factor=100
    )
    points: list[Point] = []
    first = _resume(folder, recipe, network, averaged, optimiser, cycle, points)
    pairs = validation_pairs(kept, recipe.size, recipe.seed, crf=32)
    maker = BatchMaker(portraits, recipe, processes)
    step_forward = torch.compile(network) if compiled else network
    network.train()
    losses: list[float] = []
    right: list[float] = []
    began = perf_counter()
    try:
        for step, batch in enumerate(maker.batches(first), first):
            images, labels, masks = (torch.from_numpy(each).to(device) for each in batch)
            logits, where = step_forward(images)
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels * 0.96 + 0.02)
            loss = loss + recipe.mask_weight * nn.functional.binary_cross_entropy_with_logits(where, masks)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            cycle.step()
            _average(averaged, network, min(recipe.ema, (step + 1) / (step + 10)))
            losses.append(float(loss.detach()))
            right.append(float(((logits.detach() > 0) == (labels > 0.5)).float().mean()))
            done = step + 1
            if done % every == 0 or done == recipe.steps:
                measured = done % validate_every == 0 or done == recipe.steps
                value = validation_auc(averaged, pairs) if measured else None
                point = Point(done, float(np.mean(losses)), float(np.mean(right)), value, perf_counter() - began)
                points.append(point)
                _save(folder, recipe, network, averaged, optimiser, cycle, points)
                on_point(point, recipe.steps)
                losses.clear()
                right.clear()
    finally:
        maker.close()
    return averaged


def validation_auc(network: BlendDetector, pairs: Sequence[Pair]) -> float:
    """AUC of a network on pairs."""
    real = judge(network, np.stack([pair.real for pair in pairs]))
    fake = judge(network, np.stack([pair.fake for pair in pairs]))
    return float(auc(real, fake))


def judge(network: BlendDetector, images: NDArray[np.uint8], at_once: int = 64) -> NDArray[np.float64]:
    """Logits float64 [N] of crops uint8 [N, S, S, 3]."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        parts = [
            network(torch.from_numpy(images[start : start + at_once]).to(device))[0].cpu().numpy()
            for start in range(0, len(images), at_once)
        ]
    return np.concatenate(parts).astype(np.float64)


def _average(averaged: BlendDetector, network: BlendDetector, kept: float) -> None:
    """Move the average towards the network; counters are taken as they are."""
    with torch.no_grad():
        for mine, theirs in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - kept)
            else:
                mine.copy_(theirs)


def _resume(
    folder: Path,
    recipe: Recipe,
    network: BlendDetector,
    averaged: BlendDetector,
    optimiser: torch.optim.Optimizer,
    cycle: torch.optim.lr_scheduler.OneCycleLR,
    points: list[Point],
) -> int:
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["recipe"] != asdict(recipe):
        raise ValueError(f"{path} is of another recipe: {state['recipe']}")
    network.load_state_dict(state["network"])
    averaged.load_state_dict(state["averaged"])
    optimiser.load_state_dict(state["optimiser"])
    cycle.load_state_dict(state["cycle"])
    points += [Point(**point) for point in state["points"]]
    return int(state["step"])


def _save(
    folder: Path,
    recipe: Recipe,
    network: BlendDetector,
    averaged: BlendDetector,
    optimiser: torch.optim.Optimizer,
    cycle: torch.optim.lr_scheduler.OneCycleLR,
    points: Sequence[Point],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "recipe": asdict(recipe),
        "network": network.state_dict(),
        "averaged": averaged.state_dict(),
        "optimiser": optimiser.state_dict(),
        "cycle": cycle.state_dict(),
        "points": [asdict(point) for point in points],
        "step": points[-1].step,
    }
    half = folder / f"{CHECKPOINT}.part"
    torch.save(state, half)
    half.replace(folder / CHECKPOINT)
    curves = {"recipe": asdict(recipe), "points": [asdict(point) for point in points]}
    (folder / CURVES).write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
