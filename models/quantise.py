"""INT8 graphs for CPUs: static quantisation, calibrated on real crops.

Activations are unsigned, weights signed and per channel, and weights keep to seven bits (`reduce_range`): without the
VNNI instructions of newer CPUs, sums of two products of eight bits saturate, and scores would differ between machines.
Source: ONNX Runtime, "Quantize ONNX models".
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from models.graph import normalisation
from models.manifest import InputSpec


class _Crops(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
    """Feeds crops to ONNX Runtime's calibration, one batch after the other."""

    def __init__(self, name: str, crops: NDArray[np.uint8], spec: InputSpec, at_once: int) -> None:
        slope, offset = normalisation(spec)
        ordered = crops if spec.colour == "RGB" else crops[..., ::-1]
        self._batches: Iterator[NDArray[np.float32]] = (
            np.ascontiguousarray((ordered[at : at + at_once] * slope + offset).transpose(0, 3, 1, 2), np.float32)
            for at in range(0, len(ordered), at_once)
        )
        self._name = name

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch by the input's name, or none."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def quantise(source: Path, target: Path, spec: InputSpec, crops: NDArray[np.uint8], at_once: int = 16) -> None:
    """Write the INT8 graph of an fp32 one.

    Args:
        source: ONNX graph of one input, float32 [N, 3, S, S], normalised as `spec` says.
        target: where the INT8 graph is written.
        spec: how pixels become the graph's input.
        crops: uint8 [K, S, S, 3] RGB, what activations are measured on: faces as they will be met, some hundreds.
        at_once: crops in a batch.
    """
    name = onnx.load(source, load_external_data=False).graph.input[0].name
    quantize_static(
        source,
        target,
        _Crops(name, crops, spec, at_once),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        calibrate_method=CalibrationMethod.MinMax,
    )
