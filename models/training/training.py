"""Train a detector of blended faces: resumable, seeded, its configuration and curves kept beside its weights."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.statistics import auc
from models.training.batches import BatchMaker
from models.training.blending import Portrait
from models.training.network import BlendDetector, load_imagenet, load_weights
from models.training.recipe import OnPoint, Point, Recipe
from models.training.samples import Pair, validation_pairs

CHECKPOINT = "checkpoint.pt"
CURVES = "curves.json"
History = dict[str, Any]
"""Recipe, points and what went before, as JSON."""


def train(
    portraits: Sequence[Portrait],
    kept: Sequence[Portrait],
    recipe: Recipe,
    folder: Path,
    *,
    start_from: Path | None = None,
    stop_at: int | None = None,
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
        start_from: checkpoint to begin with, instead of ImageNet's weights; its history is kept with the curves.
        stop_at: step to stop at before the recipe's end; the checkpoint goes on from there.
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
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    learner = _Learner.begin(recipe, folder, start_from, device)
    pairs = validation_pairs(kept, recipe.size, recipe.seed, crf=32)
    forward = torch.compile(learner.network) if compiled else learner.network
    end = min(stop_at or recipe.steps, recipe.steps)
    losses: list[float] = []
    right: list[float] = []
    began = perf_counter()
    maker = BatchMaker(portraits, recipe, processes, end)
    try:
        for done, batch in enumerate(maker.batches(learner.step), learner.step + 1):
            # Of dropout: a training that was interrupted draws what one that was not does.
            torch.manual_seed((recipe.seed << 32) + done)
            images, labels, masks = (torch.from_numpy(each).to(device) for each in batch)
            logits, where = forward(images)
            loss = nn.functional.binary_cross_entropy_with_logits(where, masks)
            loss = loss + nn.functional.binary_cross_entropy_with_logits(logits, labels)
            learner.learn(loss)
            losses.append(float(loss.detach()))
            right.append(float(((logits.detach() > 0) == (labels > 0.5)).float().mean()))
            if done % every == 0 or done == end:
                measured = done % validate_every == 0 or done == end
                value = validation_auc(learner.averaged, pairs) if measured else None
                point = Point(done, float(np.mean(losses)), float(np.mean(right)), value, perf_counter() - began)
                learner.save(point, folder)
                on_point(point, recipe.steps)
                losses.clear()
                right.clear()
    finally:
        maker.close()
    return learner.averaged


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


@dataclass(slots=True, eq=False)
class _Learner:
    """A network while it learns: its moving average, optimiser, schedule, and how it went so far."""

    recipe: Recipe
    network: BlendDetector
    averaged: BlendDetector
    optimiser: torch.optim.Optimizer
    cycle: torch.optim.lr_scheduler.OneCycleLR
    before: History | None
    points: list[Point] = field(default_factory=list)
    step: int = 0

    @classmethod
    def begin(cls, recipe: Recipe, folder: Path, start_from: Path | None, device: torch.device) -> "_Learner":
        """Begin, or go on where the folder's checkpoint ends."""
        torch.manual_seed(recipe.seed)
        network, before = BlendDetector(), None
        if start_from is None:
            load_imagenet(network)
        else:
            begun = load_weights(network, start_from)
            before = {key: begun.get(key) for key in ("recipe", "points", "before")}
        network.to(device, memory_format=torch.channels_last)
        averaged = BlendDetector()
        averaged.load_state_dict(network.state_dict())
        averaged.to(device).eval()
        rate, decay = recipe.learning_rate, recipe.weight_decay
        optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=decay, fused=True)
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, rate, total_steps=recipe.steps + 1, pct_start=0.15, final_div_factor=100
        )
        learner = cls(recipe, network, averaged, optimiser, cycle, before)
        learner._resume(folder / CHECKPOINT)
        network.train()
        if recipe.fixed_norm:
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return learner

    def learn(self, loss: torch.Tensor) -> None:
        """Take a step down the loss."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.cycle.step()
        self._average(min(self.recipe.ema, (self.step + 1) / (self.step + 10)))
        self.step += 1

    def _average(self, kept: float) -> None:
        """Move the average towards the network; counters are taken as they are."""
        states = (self.averaged.state_dict().values(), self.network.state_dict().values())
        pairs = list(zip(*states, strict=True))
        floats = [pair for pair in pairs if pair[0].dtype.is_floating_point]
        with torch.no_grad():
            torch._foreach_lerp_([mine for mine, _ in floats], [theirs for _, theirs in floats], 1 - kept)
            for mine, theirs in pairs:
                if not mine.dtype.is_floating_point:
                    mine.copy_(theirs)

    def _resume(self, path: Path) -> None:
        if not path.exists():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise ValueError(f"{path} is of another recipe: {state['recipe']}")
        for name in ("network", "averaged", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.cycle.load_state_dict(state["cycle"])
        self.points = [Point(**point) for point in state["points"]]
        self.step = int(state["step"])
        self.before = state.get("before")

    def save(self, point: Point, folder: Path) -> None:
        """Add a point, and write checkpoint and curves."""
        self.points.append(point)
        folder.mkdir(parents=True, exist_ok=True)
        history: History = {
            "recipe": asdict(self.recipe),
            "points": [asdict(each) for each in self.points],
            "before": self.before,
        }
        state = {
            **history,
            **{name: getattr(self, name).state_dict() for name in ("network", "averaged", "optimiser", "cycle")},
            "step": self.step,
        }
        half = folder / f"{CHECKPOINT}.part"
        torch.save(state, half)
        half.replace(folder / CHECKPOINT)
        (folder / CURVES).write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8")
