"""Runs that do not end by themselves are ended."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import RunOptions

from models.exceptions import GraphInvalid, InferenceTimeout
from models.graph import prepare
from models.inference.session import Session
from models.inference.watchdog import Watchdog
from models.manifest import Entry
from tests.support.tiny_models import SIZE, constant, entry, save, write_brightness

CROPS = np.full((2, SIZE, SIZE, 3), 255, np.uint8)


def write_endless(path: Path) -> str:
    """Write a detector that counts for ever; return its sha256."""
    turn: onnx.GraphProto = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["sum", "one"], ["larger"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["N"]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("larger", TensorProto.FLOAT, ["N"]),
        ],
    )
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Loop", ["", "yes", "mean"], ["answer"], body=turn),
    ]
    constants = [numpy_helper.from_array(np.array(True), "yes"), constant("one", 1.0)]
    return save(path, nodes, constants, image=["N", 3, SIZE, SIZE], answer=["N"])


def opened(model: Entry, folder: Path, *, warm_up: bool = False) -> Session:
    graph = prepare(model, folder / "tiny.onnx", folder / "cache")
    return Session(model, graph, threads=1, warm_up=warm_up, limit_s=0.2)


def test_a_loop_without_end_is_ended(tmp_path: Path) -> None:
    session = opened(entry(path=tmp_path / "tiny.onnx", sha256=write_endless(tmp_path / "tiny.onnx")), tmp_path)
    for _ in range(2):
        with pytest.raises(InferenceTimeout, match=r"a batch of 4 was ended after 0\.2 s"):
            session.run(CROPS)


def test_such_a_model_does_not_start(tmp_path: Path) -> None:
    model = entry(path=tmp_path / "tiny.onnx", sha256=write_endless(tmp_path / "tiny.onnx"))
    with pytest.raises(GraphInvalid, match="the first run failed: a batch of 1 was ended"):
        opened(model, tmp_path, warm_up=True)


def test_a_run_in_time_is_let_be(tmp_path: Path) -> None:
    session = opened(entry(path=tmp_path / "tiny.onnx", sha256=write_brightness(tmp_path / "tiny.onnx")), tmp_path)
    for _ in range(50):
        np.testing.assert_allclose(session.run(CROPS), [10, 10], atol=1e-4)


class Waiting:
    """A session that runs until it is asked to end, or told that it may."""

    def __init__(self) -> None:
        self.may_end = Event()

    def run(self, outputs: list[str], feeds: object, options: RunOptions) -> list[str]:
        while not options.terminate:
            if self.may_end.wait(0.001):
                return outputs
        raise RuntimeError("terminated")


def test_only_the_run_whose_time_is_over_is_asked_to_end() -> None:
    dog, patient, hurried = Watchdog(), Waiting(), Waiting()
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(dog.run, patient, ["logit"], {}, 600.0)
        with pytest.raises(TimeoutError, match=r"was ended after 0\.01 s"):
            dog.run(hurried, ["logit"], {}, 0.01)
        patient.may_end.set()
        assert long.result(5) == ["logit"]
