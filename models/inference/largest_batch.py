"""What to do when a device's memory is full: smaller batches, and larger ones again when they have long fitted."""

import logging
from collections.abc import Sequence

_log = logging.getLogger(__name__)

_SIGNS = ("BFCArena::AllocateRaw", "Failed to allocate memory", "out of memory", "bad_alloc", "OUT_OF_MEMORY")
"""What ONNX Runtime, CUDA and TensorRT say; none of them has a type of its own for it
(https://github.com/microsoft/onnxruntime/issues/16307)."""
PATIENCE = 200
"""Batches that must fit before a larger one is tried again; twice as many after each time that it did not fit."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether a run failed for want of memory."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _SIGNS)


class LargestBatch:
    """The largest batch that a model is given. Not for several threads at once.

    Attributes:
        largest: at present.
        failures: how often memory was out.
    """

    def __init__(self, model: str, buckets: Sequence[int]) -> None:
        self._model = model
        self._buckets = tuple(buckets)
        self._place = len(buckets) - 1
        self._fitted = 0
        self._patience = PATIENCE
        self.failures = 0

    @property
    def largest(self) -> int:
        """The largest batch to give it now."""
        return self._buckets[self._place]

    def failed(self, bucket: int) -> bool:
        """Note that a bucket found no memory; false where there is no smaller one."""
        self.failures += 1
        self._fitted = 0
        smaller = [place for place, size in enumerate(self._buckets) if size < bucket]
        if not smaller:
            return False
        if self.failures > 1:
            self._patience *= 2
        self._place = smaller[-1]
        _log.warning("%s: no memory for %d crops at once; %d from now on", self._model, bucket, self.largest)
        return True

    def fitted(self) -> None:
        """Note that a batch found its memory."""
        if self._place == len(self._buckets) - 1:
            return
        self._fitted += 1
        if self._fitted >= self._patience:
            self._fitted = 0
            self._place += 1
            _log.info("%s: trying %d crops at once again", self._model, self.largest)
