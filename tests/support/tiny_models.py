"""Small, deterministic ONNX models, and a manifest that pairs one with the real CenterFace.

`write_manifest(folder)` gives a manifest whose detector `tiny` calls bright faces fake: its probability is 0.5 for
a crop of mean brightness 0.5, and grows with it.
"""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import yaml
from onnx import TensorProto, helper, numpy_helper

from models.golden_making import keep_golden, make_golden
from models.manifest import MANIFEST, Entry, Manifest

SIZE = 32
# Newer opsets are written by default than some machine's ONNX Runtime reads.
OPSET, IR_VERSION = 17, 8
# One turn of the loop multiplies two matrices of this side: about a tenth of a millisecond.
LOOP_SIDE = 128


def save(
    path: Path, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], **shapes: Sequence[str | int]
) -> str:
    """Write a graph with input `image` and output `answer`; return its sha256.

    `shapes`: `image` and `answer`, each a list of dimensions.
    """
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in ("image", "answer")
    }
    graph = helper.make_graph(nodes, "tiny", [values["image"]], [values["answer"]], constants)
    opsets = [helper.make_opsetid("", OPSET)]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def constant(name: str, value: object) -> onnx.TensorProto:
    """A float32 weight."""
    return numpy_helper.from_array(np.asarray(value, np.float32), name)


def write_brightness(path: Path, *, gain: float = 20.0, size: int = SIZE, latency_s: float = 0.0) -> str:
    """Write a detector with logit `gain * (mean brightness - 0.5)`, brightness 0-1; return its sha256.

    Args:
        gain: steepness.
        size: side of its input.
        latency_s: each batch, of any size, takes about so long more.
    """
    turns = 0
    if latency_s > 0:
        probe = path.with_suffix(".probe.onnx")
        _write_brightness(probe, gain, size, turns=200)
        turns = max(1, round(latency_s * 200 / _seconds(probe, size)))
        probe.unlink()
    return _write_brightness(path, gain, size, turns)


def write_mapping(path: Path, *, gain: float = 20.0, size: int = SIZE) -> str:
    """Write a detector like `write_brightness`'s with a map of brightness, [N, 4, 4] logits; return its sha256."""
    quarter = size // 4
    nodes = [
        helper.make_node("Sub", ["image", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "gain"], ["steep"]),
        helper.make_node("ReduceMean", ["steep"], ["logit"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("AveragePool", ["steep"], ["cells"], kernel_shape=[quarter] * 2, strides=[quarter] * 2),
        helper.make_node("ReduceMean", ["cells"], ["map"], axes=[1], keepdims=0),
    ]
    shapes: dict[str, list[str | int]] = {"image": ["N", 3, size, size], "logit": ["N"], "map": ["N", 4, 4]}
    image, *answers = (helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in shapes.items())
    graph = helper.make_graph(nodes, "tiny", [image], answers, [constant("middle", 0.5), constant("gain", gain)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    content = model.SerializeToString()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def write_manifest(
    folder: Path, *, role: str = "primary", threshold: float = 0.5, gain: float = 20.0, latency_s: float = 0.0
) -> Path:
    """Write `tiny.onnx` and a manifest with it and the real CenterFace; return the manifest's path."""
    sha256 = write_brightness(folder / "tiny.onnx", gain=gain, latency_s=latency_s)
    tiny = entry_fields(path="tiny.onnx", sha256=sha256, role=role, output={"layout": "logit", "threshold": threshold})
    write_entries(folder / "manifest.yaml", [fleet_faces(), tiny])
    return folder / "manifest.yaml"


def write_speechless(path: Path, *, above: float) -> str:
    """Write a detector that answers a crop with NaN where its mean brightness is above; return its sha256."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["mean", "middle"], ["centred"]),
        helper.make_node("Sub", ["limit", "mean"], ["left"]),
        helper.make_node("Log", ["left"], ["log"]),
        helper.make_node("Mul", ["log", "nothing"], ["nought"]),
        helper.make_node("Add", ["centred", "nought"], ["answer"]),
    ]
    constants = [constant("middle", 0.5), constant("limit", above), constant("nothing", 0.0)]
    return save(path, nodes, constants, image=["N", 3, SIZE, SIZE], answer=["N"])


def write_entries(path: Path, entries: list[dict[str, Any]]) -> Manifest:
    """Write a manifest, with golden vectors of the entries whose networks lie beside it; return it."""
    for fields in entries:
        if fields["source"]["kind"] == "file" and "golden" not in fields:
            alone = {name: value for name, value in fields.items() if name not in {"fallback", "on_gpu"}}
            made = Manifest.of({"entries": [alone]}, path).entries[0]
            golden = make_golden(made, path.parent / fields["source"]["path"]).golden
            fields["golden"] = keep_golden(made, golden, path.parent).model_dump(mode="json")["golden"]
    path.write_text("entries:\n" + indent(yaml.safe_dump(entries, sort_keys=False), "  "))
    return Manifest.load(path)


def fleet_faces() -> dict[str, Any]:
    """The fields of the fleet's face detector, for a manifest anywhere."""
    document = yaml.safe_load(MANIFEST.read_text())
    faces: dict[str, Any] = next(each for each in document["entries"] if each["role"] == "faces")
    faces["golden"]["path"] = str(MANIFEST.parent / faces["golden"]["path"])
    return faces


def entry_fields(*, path: str, sha256: str, **changes: object) -> dict[str, Any]:
    """The fields of a manifest entry for a file, some of them changed."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "role": "primary",
        "family": "mesonet",
        "source": {"kind": "file", "path": path, "sha256": sha256},
        "licence": "Apache-2.0",
        "origin": "tests/support/tiny_models.py",
        "input": {"size": SIZE},
        "output": {"layout": "logit"},
        "buckets": [1, 4],
    }
    return fields | changes


def entry(*, path: Path, sha256: str, **changes: object) -> Entry:
    """A manifest entry for a file, some of its fields changed."""
    return Entry.model_validate(entry_fields(path=str(path), sha256=sha256, **changes))


def _write_brightness(path: Path, gain: float, size: int, turns: int) -> str:
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["mean", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "gain"], ["logit" if turns else "answer"]),
    ]
    constants = [constant("middle", 0.5), constant("gain", gain)]
    if turns:
        nodes += _burn()
        constants += [
            numpy_helper.from_array(np.array(turns, np.int64), "turns"),
            numpy_helper.from_array(np.array(True), "go"),
            constant("square", np.eye(LOOP_SIDE)),
            constant("nothing", 0.0),
        ]
    return save(path, nodes, constants, image=["N", 3, size, size], answer=["N"])


def _burn() -> list[onnx.NodeProto]:
    """Nodes that take time and add nothing; they start from the image, or they would be folded away."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_in"], ["go_out"]),
            helper.make_node("MatMul", ["state_in", "square"], ["state_out"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_in", TensorProto.FLOAT, [LOOP_SIDE, LOOP_SIDE]),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, [LOOP_SIDE, LOOP_SIDE]),
        ],
    )
    return [
        helper.make_node("ReduceMean", ["mean"], ["one_mean"], keepdims=0),
        helper.make_node("Add", ["square", "one_mean"], ["start"]),
        helper.make_node("Loop", ["turns", "go", "start"], ["end"], body=body),
        helper.make_node("ReduceMean", ["end"], ["one_end"], keepdims=0),
        helper.make_node("Mul", ["one_end", "nothing"], ["zero"]),
        helper.make_node("Add", ["logit", "zero"], ["answer"]),
    ]


def _seconds(path: Path, size: int) -> float:
    """How long one run takes: the quickest of three."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    image = np.zeros((1, 3, size, size), np.float32)
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        session.run(None, {"image": image})
        taken.append(time.perf_counter() - started)
    return min(taken)
