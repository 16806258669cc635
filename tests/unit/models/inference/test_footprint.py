"""What a model takes of memory, measured by a process of its own."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import helper

from models.exceptions import InferenceError
from models.graph import prepare
from models.inference.footprint import Footprint, measure_footprint
from models.manifest import Entry
from tests.support.tiny_models import SIZE, constant, entry, save, write_brightness

MIB = 1 << 20
WEIGHTS_MIB = 48


def heavy(path: Path) -> str:
    """Write a detector that multiplies by a large matrix of ones; return its sha256."""
    width = 3 * SIZE * SIZE
    nodes = [
        helper.make_node("Flatten", ["image"], ["row"]),
        helper.make_node("MatMul", ["row", "weights"], ["wide"]),
        helper.make_node("ReduceMean", ["wide"], ["answer"], axes=[1], keepdims=0),
    ]
    weights = np.ones((width, WEIGHTS_MIB * MIB // 4 // width), np.float32)
    return save(path, nodes, [constant("weights", weights)], image=["N", 3, SIZE, SIZE], answer=["N"])


def prepared(folder: Path, **changes: object) -> tuple[Entry, Path]:
    path = folder / "m.onnx"
    model = entry(path=path, sha256=write_brightness(path), **changes)
    return model, prepare(model, path, folder / "cache")


def test_weights_are_in_the_figure_and_this_process_is_not(tmp_path: Path) -> None:
    path = tmp_path / "heavy.onnx"
    model = entry(path=path, sha256=heavy(path))
    here = np.ones(256 * MIB, np.uint8)
    measured = measure_footprint(model, prepare(model, path, tmp_path / "cache"), threads=1)
    assert here.sum() == 256 * MIB
    assert isinstance(measured, Footprint)
    assert (measured.entry, measured.provider) == ("tiny", "cpu")
    assert WEIGHTS_MIB <= measured.peak_bytes / MIB < 5 * WEIGHTS_MIB


def test_a_small_model_takes_less_than_a_large_one(tmp_path: Path) -> None:
    model, graph = prepared(tmp_path)
    measured = measure_footprint(model, graph, threads=1)
    assert isinstance(measured, Footprint)
    assert 0 < measured.peak_bytes / MIB < WEIGHTS_MIB


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_has_no_figure(tmp_path: Path) -> None:
    model, graph = prepared(tmp_path)
    with pytest.raises(InferenceError, match=r"tiny: needs\.cuda: provider: not in the installed onnxruntime"):
        measure_footprint(model, graph, provider="cuda")


def test_a_graph_that_does_not_open_is_named(tmp_path: Path) -> None:
    model, graph = prepared(tmp_path)
    graph.write_bytes(b"no graph")
    with pytest.raises(InferenceError, match=r"tiny: needs\.cpu: source: ONNX Runtime refuses"):
        measure_footprint(model, graph, threads=1)


def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    model, graph = prepared(tmp_path)
    with pytest.raises(InferenceError, match=r"not measured within 0\.01 s"):
        measure_footprint(model, graph, threads=1, limit_s=0.01)
