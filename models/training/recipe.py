"""What decides a training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from models.manifest import Role


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides a training, with the data.

    Attributes:
        size: side of the crops, pixels.
        steps: batches that are learnt from.
        pairs: faces a batch, each beside its blend.
        learning_rate: the highest of one cycle (Smith & Topin, https://arxiv.org/abs/1708.07120).
        ema: share of the moving average of the weights that a step keeps.
        fixed_norm: whether the batch norms keep the statistics that they start with. A face and its blend are in one
            batch: norms that follow the batch let the network compare the two, which no face to judge offers.
        seed: of all chance.
    """

    size: int = 192
    steps: int = 4200
    pairs: int = 16
    learning_rate: float = 8e-4
    weight_decay: float = 0.02
    ema: float = 0.999
    fixed_norm: bool = True
    seed: int = 1

    def with_steps(self, steps: int) -> "Recipe":
        """Return the same recipe over another number of steps."""
        return replace(self, steps=steps)


WARM_UP = "warm-up"
RECIPES: Mapping[str, Recipe] = {
    WARM_UP: Recipe(size=192, steps=4200, fixed_norm=False),
    Role.PRIMARY: Recipe(size=192, steps=3600, learning_rate=8e-4),
    Role.SCREEN: Recipe(size=160, steps=250, learning_rate=3e-4, ema=0.98),
}
"""How the fleet's own detectors are trained, one from the other's weights (`--start-from`): the warm-up, stopped half
way (`--stop-at 2100`), takes the backbone and its norms from ImageNet to faces; then the primary, stopped at step
1,000, from where validation no longer rises. The shipped screen has the primary's weights and its own size."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the curves: means since the last one, and AUC of the averaged weights on validation blends."""

    step: int
    loss: float
    accuracy: float
    validation_auc: float | None
    seconds: float


OnPoint = Callable[[Point, int], None]
"""Told a point and how many steps there are."""
