"""Batches to learn from, drawn ahead of their use in other processes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.blending import Portrait
from models.training.recipe import Recipe
from models.training.samples import draw_pair, stacked

Batch = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]
"""Crops, labels and masks, as `models.training.samples.stacked` gives them."""


class BatchMaker:
    """Draws batches in other processes, ahead of their use, each by its own seed: resuming repeats none."""

    def __init__(self, portraits: Sequence[Portrait], recipe: Recipe, processes: int, end: int | None = None) -> None:
        """Draw batches up to step `end`, by default the recipe's last."""
        self._count = len(portraits)
        self._recipe = recipe
        # Spawned: threads of torch and OpenCV do not survive a fork.
        self._pool = ProcessPoolExecutor(processes, get_context("spawn"), _share, (tuple(portraits), recipe))
        self._ahead = 3 * processes
        self._end = recipe.steps if end is None else end

    def batches(self, first: int) -> Iterator[Batch]:
        """Yield the batches of steps `first` onwards, see `stacked`."""
        waiting: list[Future[Batch]] = []
        for step in range(first, self._end):
            while len(waiting) < min(self._ahead, self._end - step):
                waiting.append(self._pool.submit(_draw, step + len(waiting), self.indices(step + len(waiting))))
            yield waiting.pop(0).result()

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)

    def indices(self, step: int) -> tuple[int, ...]:
        """Return the portraits of a step: every one once an epoch, in an order of its own."""
        indices = []
        for place in range(step * self._recipe.pairs, (step + 1) * self._recipe.pairs):
            epoch, within = divmod(place, self._count)
            order = np.random.default_rng([self._recipe.seed, 7, epoch]).permutation(self._count)
            indices.append(int(order[within]))
        return tuple(indices)


_shared: tuple[tuple[Portrait, ...], Recipe] | None = None


def _share(portraits: tuple[Portrait, ...], recipe: Recipe) -> None:
    global _shared  # noqa: PLW0603 - what a worker was started with
    cv2.setNumThreads(1)
    _shared = (portraits, recipe)


def _draw(step: int, indices: tuple[int, ...]) -> Batch:
    if _shared is None:
        raise RuntimeError("the worker was started without portraits")
    portraits, recipe = _shared
    pairs = [
        draw_pair(portraits, index, recipe.size, (recipe.seed, step, place)) for place, index in enumerate(indices)
    ]
    return stacked(pairs, recipe.size // 16)
