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
        mask_weight: of the map's loss beside the label's.
        ema: share of the moving average of the weights that a step keeps.
        seed: of all chance.
    """

    size: int = 192
    steps: int = 2000
    pairs: int = 16
    learning_rate: float = 8e-4
    weight_decay: float = 0.02
    mask_weight: float = 0.5
    ema: float = 0.997
    seed: int = 1

    def with_steps(self, steps: int) -> "Recipe":
        """Return the same recipe over another number of steps."""
        return replace(self, steps=steps)


RECIPES: Mapping[Role, Recipe] = {
    Role.PRIMARY: Recipe(size=192, steps=1900),
    Role.SCREEN: Recipe(size=128, steps=700, learning_rate=4e-4),
}
"""How the fleet's own detectors are trained. The screen goes on from the primary's weights (`--start-from`)."""


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
