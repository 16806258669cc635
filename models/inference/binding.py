"""Runs whose input and answers lie in buffers that were made once: one copy to the device a batch, and one back.

Source: https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html, and for CUDA graphs
https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, IOBinding, OrtValue, RunOptions

GRAPH_ID = "gpu_graph_id"
"""Run option: each bucket has shapes of its own, and so a CUDA graph of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class _Bucket:
    """The buffers of one batch size: on the host, on the device, and the device's answers."""

    host: NDArray[np.uint8]
    device: "OrtValue"
    answers: Sequence["OrtValue"]
    binding: "IOBinding"
    number: int


class BoundSession:
    """A session over fixed batch sizes. Not for several threads at once.

    Args:
        session: of one input uint8 [N, side, side, 3].
        outputs: by name, numbers for each crop; 1 stands for an answer [N].
        buckets: batch sizes.
        side: of a crop, pixels.
        device: `cuda` or `cpu`: where the buffers lie.
    """

    def __init__(
        self,
        session: "InferenceSession",
        outputs: Mapping[str, int],
        buckets: Sequence[int],
        side: int,
        device: str,
    ) -> None:
        self._session = session
        self._outputs = outputs
        self._buckets = {size: self._made(size, number, side, device) for number, size in enumerate(buckets, start=1)}

    def _made(self, size: int, number: int, side: int, device: str) -> _Bucket:
        from onnxruntime import OrtValue  # noqa: PLC0415  (`models.inference.providers` says where it is missing)

        host = np.zeros((size, side, side, 3), np.uint8)
        crops = OrtValue.ortvalue_from_shape_and_type(list(host.shape), np.uint8, device, 0)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._session.get_inputs()[0].name, crops)
        answers = []
        for name, width in self._outputs.items():
            shape = [size] if width == 1 else [size, width]
            answers.append(OrtValue.ortvalue_from_shape_and_type(shape, np.float32, device, 0))
            binding.bind_ortvalue_output(name, answers[-1])
        return _Bucket(host, crops, answers, binding, number)

    def run(self, images: NDArray[np.uint8], bucket: int, options: "RunOptions") -> list[NDArray[np.float32]]:
        """Run crops, padded to a bucket.

        Args:
            images: uint8 [K, side, side, 3], K ≤ `bucket`.
            bucket: one of the batch sizes.
            options: of the run.

        Returns:
            The answers of the whole bucket by output, each float32 [bucket] or [bucket, width]: copies.
        """
        buffers = self._buckets[bucket]
        buffers.host[: len(images)] = images
        buffers.host[len(images) :] = 0
        buffers.device.update_inplace(buffers.host)
        options.add_run_config_entry(GRAPH_ID, str(buffers.number))
        self._session.run_with_iobinding(buffers.binding, options)
        return [np.array(answer.numpy(), np.float32) for answer in buffers.answers]
