"""Fold preprocessing, head and calibration into a network, so that uint8 crops go in and logits come out."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from models.answers import fold_embedding, fold_logits, free_maps
from models.chain import Chain, opset, shape_of
from models.exceptions import GraphInvalid
from models.fingerprint import graph_hash
from models.foreign import refuse_foreign
from models.manifest import Entry, InputSpec, Role
from models.sources import locked, replacing

INPUT = "fleet/images"


def prepare(entry: Entry, weights: Path, cache: Path) -> Path:
    """The entry's graph with everything folded in, built once and kept in `cache` under its hash.

    A kept graph whose bytes changed since is built again.

    Raises:
        GraphInvalid: the weights are no such network.
        WeightsMissing, HashMismatch: of the head.
    """
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{entry.name}-{entry.version}-{graph_hash(entry)[:16]}.onnx"
    checksum = path.with_suffix(".sha256")
    with locked(path):
        if path.exists() and checksum.exists():
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == checksum.read_text():
                    return path
        serialised = fold(entry, weights).SerializeToString(deterministic=True)
        with replacing(path) as file:
            file.write(serialised)
        with replacing(checksum) as file:
            file.write(hashlib.sha256(serialised).hexdigest().encode())
    return path


def fold(entry: Entry, weights: Path) -> ModelProto:
    """The entry's graph: uint8 RGB images [N, S, S, 3] → float32 logits [N] of "fake", calibrated.

    A face detector keeps its outputs and takes images [N, H, W, 3] of any size.

    Raises:
        GraphInvalid: the weights are no such network.
        WeightsMissing, HashMismatch: of the head.
    """
    return _folded(entry, weights, free_maps if entry.role is Role.FACES else fold_logits)


def fold_encoder(entry: Entry, weights: Path) -> ModelProto:
    """The graph that an entry's head is fitted on: uint8 RGB images [N, S, S, 3] → unit embeddings [N, D].

    Raises:
        GraphInvalid: the weights are no such network.
    """
    return _folded(entry, weights, fold_embedding)


def _folded(entry: Entry, weights: Path, fold_answer: Callable[[Entry, ModelProto], None]) -> ModelProto:
    try:
        model = _load(entry, weights)
        _fold_input(entry, model)
        fold_answer(entry, model)
        _drop_unused(model.graph)
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise GraphInvalid(entry.name, "source", f"does not pass ONNX's checker: {error}") from error
    except UnicodeDecodeError as error:
        raise GraphInvalid(entry.name, "source", f"has a name that is no text: {error}") from error
    return model


def normalisation(spec: InputSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slope and offset, float32 [3] each, with `(x * scale - mean) / std == x * slope + offset`."""
    std = np.array(spec.std)
    slope, offset = spec.scale / std, -np.array(spec.mean) / std
    return slope.astype(np.float32), offset.astype(np.float32)


def _load(entry: Entry, weights: Path) -> ModelProto:
    """Read the network."""
    try:
        model = onnx.load(weights, load_external_data=False)
    except (DecodeError, OSError) as error:
        raise GraphInvalid(entry.name, "source", f"{weights} is not an ONNX graph: {error}") from error
    graph = model.graph
    if not graph.node:
        # Protocol buffers take an empty file, and some others, for a message without anything in it.
        raise GraphInvalid(entry.name, "source", f"{weights} is not an ONNX graph: it has no nodes")
    refuse_foreign(entry.name, model)
    # Before IR 4 every weight was listed as an input too.
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if len(inputs) != 1:
        problem = f"wants a graph of one input, has {[value.name for value in inputs]}"
        raise GraphInvalid(entry.name, "input", problem)
    del graph.input[:]
    graph.input.extend(inputs)
    return model


def _fold_input(entry: Entry, model: ModelProto) -> None:
    """Put uint8 RGB [N, S, S, 3] → float32 [N, 3, S, S], as the network wants it, before the network."""
    graph, spec = model.graph, entry.input
    network_input = graph.input[0]
    shape = shape_of(network_input)
    element = network_input.type.tensor_type.elem_type
    if element != TensorProto.FLOAT or len(shape) != 4:
        problem = f"wants a network of float32 [N, 3, S, S], has {_dtype(element)} {shape}"
        raise GraphInvalid(entry.name, "input", problem)
    side = spec.enlarge_to or spec.size
    for stated, wanted in zip(shape[1:], (3, side, side), strict=True):
        if wanted is not None and isinstance(stated, int) and stated != wanted:
            problem = f"the manifest says [N, 3, {side}, {side}], the network {shape}"
            raise GraphInvalid(entry.name, "input.size", problem)

    chain = Chain("fleet/in")
    x = chain.add("Cast", [INPUT], to=TensorProto.FLOAT)
    if spec.colour == "BGR":
        x = chain.add("Gather", [x, chain.constant(np.array([2, 1, 0], np.int64))], axis=3)
    x = chain.add("Transpose", [x], perm=[0, 3, 1, 2])
    slope, offset = normalisation(spec)
    if (slope != 1).any():
        x = chain.add("Mul", [x, chain.constant(slope[:, None, None])])
    if offset.any():
        x = chain.add("Add", [x, chain.constant(offset[:, None, None])])
    if spec.size and spec.enlarge_to:
        if opset(model) < 13:
            raise GraphInvalid(entry.name, "input.enlarge_to", "needs a graph of opset 13 or later")
        # The new side is the old one times this, cut off: it must not fall short by a rounding.
        scale = np.nextafter(np.float32(spec.enlarge_to / spec.size), np.float32(np.inf))
        scales = np.array([1, 1, scale, scale], np.float32)
        half = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        x = chain.add("Resize", [x, "", chain.constant(scales)], **half)
    chain.end_as(network_input.name)

    sides = (spec.size, spec.size) if spec.size else ("H", "W")
    nodes = [*chain.nodes, *graph.node]
    del graph.input[:], graph.node[:]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", *sides, 3]))
    graph.node.extend(nodes)
    graph.initializer.extend(chain.constants)
    # What the network said about inner shapes may hold for its own batch size only.
    del graph.value_info[:]


def _dtype(element: int) -> str:
    """ONNX's name of an element type, or its number where it has none."""
    known: dict[int, str] = {number: name for name, number in TensorProto.DataType.items()}
    return known.get(element, f"element type {element}")


def _drop_unused(graph: GraphProto) -> None:
    """Remove the nodes and weights that no output needs."""
    needed = {value.name for value in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_names_read([node]))
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(weights)


def _names_read(nodes: Iterable[NodeProto]) -> Iterator[str]:
    """All names that the nodes read, those read inside their loops and branches too."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _names_read(graph.node)
                yield from (value.name for value in graph.output)
