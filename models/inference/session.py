"""Score crops with one model: uint8 crops in, calibrated logits of "fake" out, and where in the crop it sees it."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.exceptions import (
    GraphInvalid,
    InferenceError,
    InferenceTimeout,
    NonFiniteScore,
    OutOfMemory,
    ShapeMismatch,
)
from models.golden import reproduced
from models.inference.binding import BoundSession
from models.inference.largest_batch import LargestBatch, is_out_of_memory
from models.inference.provider_options import CAPTURED, CPU, PROVIDERS, GpuUse
from models.inference.providers import AUTO, open_session
from models.inference.turns import Turns
from models.inference.watchdog import DEFAULT_LIMIT_S, WATCHDOG
from models.manifest import Entry

if TYPE_CHECKING:
    # Only `models.inference.providers` imports it, and says where it is missing.
    from onnxruntime import InferenceSession

_log = logging.getLogger(__name__)

Crops = NDArray[np.uint8]
Logits = NDArray[np.float32]
Answers = NDArray[np.float32]
"""float32 [N, 1 + S * S]: the calibrated logit, then the cells of the heat map in (0, 1); S is 0 without one."""


class Session:
    """One model on one provider, warmed up over its batch buckets.

    Not for several threads at once: a batcher owns it.

    Args:
        limit_s: how long a batch may take, seconds.
        turns: on the device, where other models share it.
        use: how a GPU is used.

    Raises:
        ProviderUnavailable, GraphInvalid, GoldenMismatch: see `open_session`; GraphInvalid also where the first run
            fails.
        WeightsMissing, HashMismatch: of the golden vector.
    """

    def __init__(
        self,
        entry: Entry,
        graph: Path,
        *,
        provider: str = AUTO,
        threads: int | None = None,
        warm_up: bool = True,
        limit_s: float = DEFAULT_LIMIT_S,
        turns: Turns | None = None,
        use: GpuUse = CAPTURED,
    ) -> None:
        if entry.input.size is None:
            raise GraphInvalid(entry.name, "input.size", "a face detector answers no logits")
        self.entry = entry
        self.size = entry.input.size
        sides = (self.size, self.size, 3)
        self._padding = {n: np.zeros((n, *sides), np.uint8) for n in entry.buckets if n > 1}
        self.limit = LargestBatch(entry.name, entry.buckets)
        self._limit_s = limit_s
        self._turns = turns or Turns()
        opened = open_session(entry, graph, provider=provider, threads=threads, use=use, accept=self._take)
        self.provider = opened.provider
        self.provider_reason = opened.reason
        if warm_up:
            self._warm_up()

    def _take(self, session: "InferenceSession") -> str:
        """Use a session, if it answers as it should; return what to say of it."""
        self._session = session
        self._input = session.get_inputs()[0].name
        outputs = session.get_outputs()
        self._outputs = [output.name for output in outputs]
        self.columns = 1 + (int(outputs[1].shape[1]) if len(outputs) > 1 else 0)
        on_gpu = session.get_providers()[0] != PROVIDERS[CPU]
        self._bound = self._binding("cuda") if on_gpu else None
        return reproduced(self.entry, lambda images: self.run(images)[:, None])

    def _binding(self, device: str) -> BoundSession:
        """The session over buffers on a device, for its batch sizes."""
        widths = dict(zip(self._outputs, (1, self.columns - 1), strict=False))
        return BoundSession(self._session, widths, self.entry.buckets, self.size, device)

    def check(self, images: Crops) -> None:
        """Make sure that these are crops for this model.

        Raises:
            ShapeMismatch: not uint8 [N, size, size, 3].
        """
        wanted = (self.size, self.size, 3)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != wanted:
            problem = f"wants uint8 [N, {self.size}, {self.size}, 3], got {images.dtype} {list(images.shape)}"
            raise ShapeMismatch(self.entry.name, "images", problem)

    def run(self, images: Crops) -> Logits:
        """Score crops.

        Args:
            images: uint8 [N, size, size, 3], RGB, N ≥ 0 of any size.

        Returns:
            float32 [N], calibrated logits of "fake": their sigmoid is the probability.

        Raises:
            ShapeMismatch, NonFiniteScore, InferenceError: see `answer`.
        """
        return self.answer(images)[:, 0]

    def answer(self, images: Crops) -> Answers:
        """Score crops, and say where.

        Args:
            images: uint8 [N, size, size, 3], RGB, N ≥ 0 of any size.

        Returns:
            float32 [N, columns], see `Answers`.

        Raises:
            ShapeMismatch: the images are not such an array.
            NonFiniteScore: the model answered NaN or infinity.
            OutOfMemory: no batch is small enough for the memory that is left. Smaller ones were tried.
            InferenceTimeout: a batch took longer than `limit_s`.
            InferenceError: the run failed.
        """
        self.check(images)
        parts: list[Answers] = []
        at = 0
        while at < len(images):
            part = images[at : at + self.limit.largest]
            try:
                parts.append(self._run_bucket(part))
            except OutOfMemory as error:
                if not self.limit.failed(self._bucket(len(part))):
                    raise
                _log.debug("%s", error)
            else:
                self.limit.fitted()
                at += len(part)
        answers = parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, self.columns), np.float32), *parts])
        if not np.isfinite(answers).all():
            which = np.flatnonzero(~np.isfinite(answers).all(1)).tolist()
            raise NonFiniteScore(self.entry.name, "output", f"no finite score for crops {which} of {len(images)}")
        return answers

    def _run_bucket(self, images: Crops) -> Answers:
        """Run at most one bucket: padded to the smallest that holds it."""
        count = len(images)
        bucket = self._bucket(count)
        try:
            with self._turns.turn(self.entry.name):
                logits, *heat = self._answers(images, bucket)
        except TimeoutError as error:
            problem = f"a batch of {bucket} {error}"
            raise InferenceTimeout(self.entry.name, "run", problem) from error
        except Exception as error:
            kind = OutOfMemory if is_out_of_memory(error) else InferenceError
            raise kind(self.entry.name, "run", f"a batch of {bucket} failed: {error}") from error
        if not isinstance(logits, np.ndarray) or logits.shape != (bucket,):
            problem = f"the graph answered {np.shape(logits)} to {bucket} crops, instead of one logit each"
            raise GraphInvalid(self.entry.name, "output.layout", problem)
        return np.column_stack([logits, *heat])[:count]

    def _answers(self, images: Crops, bucket: int) -> list[NDArray[np.float32]]:
        bound = self._bound
        if bound is not None:
            return WATCHDOG.limit(lambda options: bound.run(images, bucket, options), self._limit_s)
        count = len(images)
        if bucket != count:
            padded = self._padding[bucket]
            padded[:count] = images
            padded[count:] = 0
            images = padded
        return WATCHDOG.run(self._session, self._outputs, {self._input: images}, self._limit_s)

    def close(self) -> None:
        """Give back its memory. It must not be used any more."""
        self._bound = None
        del self._session

    def _bucket(self, count: int) -> int:
        """The smallest that holds so many crops."""
        return next(size for size in self.entry.buckets if size >= count)

    def _warm_up(self) -> None:
        """Run every bucket once: memory is taken and kernels are chosen before the first real crop."""
        for bucket in self.entry.buckets:
            try:
                self.run(np.zeros((bucket, self.size, self.size, 3), np.uint8))
            except (NonFiniteScore, OutOfMemory):
                raise
            except InferenceError as error:
                raise GraphInvalid(self.entry.name, "source", f"the first run failed: {error.problem}") from error
