"""Fold preprocessing, head and calibration into a network, so that uint8 crops go in and logits come out."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.exceptions import GraphInvalid
from models.fingerprint import graph_hash
from models.heads import load_head
from models.manifest import Entry, InputSpec
from models.sources import locked, replacing

INPUT = "fleet/images"
LOGITS = "fleet/logits"
EMBEDDINGS = "fleet/embeddings"
# Probabilities are kept this far from 0 and 1: logits within ±13.8, and no infinity from a saturated sigmoid.
PROBABILITY_MARGIN = 1e-6
# Embeddings shorter than this are no picture's; keeps the division finite.
SMALLEST_NORM = 1e-12
# CenterFace's maps and their channels: heatmap, log size, offset, landmarks.
CENTERFACE_MAPS = {"537": 1, "538": 2, "539": 2, "540": 10}


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
    return _folded(entry, weights, _free_maps if entry.output.layout == "centerface" else _fold_output)


def fold_encoder(entry: Entry, weights: Path) -> ModelProto:
    """The graph that an entry's head is fitted on: uint8 RGB images [N, S, S, 3] → unit embeddings [N, D].

    Raises:
        GraphInvalid: the weights are no such network.
    """
    return _folded(entry, weights, _fold_embedding)


def _folded(entry: Entry, weights: Path, fold_answer: Callable[[Entry, ModelProto], None]) -> ModelProto:
    model = _load(entry, weights)
    _fold_input(entry, model)
    fold_answer(entry, model)
    _drop_unused(model.graph)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise GraphInvalid(entry.name, "source", f"does not pass ONNX's checker: {error}") from error
    return model


def normalisation(spec: InputSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slope and offset, float32 [3] each, with `(x * scale - mean) / std == x * slope + offset`."""
    std = np.array(spec.std)
    slope, offset = spec.scale / std, -np.array(spec.mean) / std
    return slope.astype(np.float32), offset.astype(np.float32)


@dataclass(slots=True)
class _Chain:
    """Nodes and constants to be added to a graph; `prefix` keeps their names apart from the network's."""

    prefix: str
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    def constant(self, value: NDArray[np.generic] | np.generic) -> str:
        name = f"{self.prefix}/constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        output = f"{self.prefix}/{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def end_as(self, name: str) -> None:
        self.nodes[-1].output[0] = name


def _load(entry: Entry, weights: Path) -> ModelProto:
    """Read the network. Weights outside the file are refused: their bytes are in no hash."""
    try:
        model = onnx.load(weights, load_external_data=False)
    except (DecodeError, OSError) as error:
        raise GraphInvalid(entry.name, "source", f"{weights} is not an ONNX graph: {error}") from error
    graph = model.graph
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in graph.initializer):
        raise GraphInvalid(entry.name, "source", "keeps weights outside its file, where no hash covers them")
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
    shape = _shape(network_input)
    element = network_input.type.tensor_type.elem_type
    if element != TensorProto.FLOAT or len(shape) != 4:
        problem = f"wants a network of float32 [N, 3, S, S], has {TensorProto.DataType.Name(element)} {shape}"
        raise GraphInvalid(entry.name, "input", problem)
    side = spec.enlarge_to or spec.size
    for stated, wanted in zip(shape[1:], (3, side, side), strict=True):
        if wanted is not None and isinstance(stated, int) and stated != wanted:
            problem = f"the manifest says [N, 3, {side}, {side}], the network {shape}"
            raise GraphInvalid(entry.name, "input.size", problem)

    chain = _Chain("fleet/in")
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
        if _opset(model) < 13:
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


def _free_maps(entry: Entry, model: ModelProto) -> None:
    """Let CenterFace's maps have any size."""
    graph = model.graph
    stated = {value.name: _shape(value) for value in graph.output}
    if {name: shape[1:2] for name, shape in stated.items()} != {n: [c] for n, c in CENTERFACE_MAPS.items()}:
        problem = f"CenterFace answers channels {CENTERFACE_MAPS}, the graph {stated}"
        raise GraphInvalid(entry.name, "output.layout", problem)
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, "h", "w"])
        for name, channels in CENTERFACE_MAPS.items()
    )


def _fold_output(entry: Entry, model: ModelProto) -> None:
    """Put the network's answer → calibrated logits float32 [N] after the network."""
    spec = entry.output
    answer, classes = _answer(entry, model.graph)
    chain = _Chain("fleet/out")
    if spec.layout == "embedding":
        logit = _head_logit(entry, chain, answer, classes)
    elif spec.layout in {"logits", "softmax"}:
        logit = _class_logit(entry, chain, answer, classes)
    else:
        if classes not in ([], [1]) and all(isinstance(stated, int) for stated in classes):
            problem = f"{spec.layout} is one score, the graph has {classes}"
            raise GraphInvalid(entry.name, "output.layout", problem)
        logit = _logit_of_probability(chain, answer) if spec.layout == "sigmoid" else answer
        if spec.fake_index == 0:
            logit = chain.add("Neg", [logit])
    logit = chain.add("Mul", [logit, chain.constant(np.float32(1 / spec.temperature))])
    logit = chain.add("Add", [logit, chain.constant(np.float32(spec.bias))])
    chain.add("Reshape", [logit, chain.constant(np.array([-1], np.int64))])
    chain.end_as(LOGITS)
    _append(model.graph, chain, helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["N"]))


def _fold_embedding(entry: Entry, model: ModelProto) -> None:
    """Put the network's embedding → unit embeddings float32 [N, D] after the network."""
    answer, width = _answer(entry, model.graph)
    if len(width) != 1 or not isinstance(width[0], int):
        raise GraphInvalid(entry.name, "output.layout", f"an embedding is [N, D], the graph has {width}")
    chain = _Chain("fleet/out")
    _unit(chain, answer, width[0])
    chain.end_as(EMBEDDINGS)
    embeddings = helper.make_tensor_value_info(EMBEDDINGS, TensorProto.FLOAT, ["N", width[0]])
    _append(model.graph, chain, embeddings)


def _answer(entry: Entry, graph: GraphProto) -> tuple[str, list[int | str]]:
    """Name of the output that the entry speaks of, and its shape after the batch."""
    named = [value for value in graph.output if entry.output.name in {None, value.name}]
    if len(named) != 1:
        problem = f"say which of {[value.name for value in graph.output]}"
        raise GraphInvalid(entry.name, "output.name", problem)
    return named[0].name, _shape(named[0])[1:]


def _append(graph: GraphProto, chain: _Chain, output: onnx.ValueInfoProto) -> None:
    graph.node.extend(chain.nodes)
    graph.initializer.extend(chain.constants)
    del graph.output[:]
    graph.output.append(output)


def _unit(chain: _Chain, embedding: str, width: int) -> str:
    """`e / |e|`. The sum is a matrix product, which every opset writes alike."""
    squares = chain.add("Mul", [embedding, embedding])
    total = chain.add("MatMul", [squares, chain.constant(np.ones((width, 1), np.float32))])
    norm = chain.add("Max", [chain.add("Sqrt", [total]), chain.constant(np.float32(SMALLEST_NORM))])
    return chain.add("Div", [embedding, norm])


def _head_logit(entry: Entry, chain: _Chain, embedding: str, width: list[int | str]) -> str:
    """`weight · e / |e| + bias` as [N, 1]."""
    if entry.head is None:
        raise GraphInvalid(entry.name, "head", "an embedding needs a head")
    head = load_head(entry.name, entry.head)
    if width != [head.weight.size] and all(isinstance(stated, int) for stated in width):
        problem = f"has {head.weight.size} weights for an embedding of {width}"
        raise GraphInvalid(entry.name, "head.path", problem)
    unit = _unit(chain, embedding, head.weight.size)
    score = chain.add("MatMul", [unit, chain.constant(head.weight[:, None])])
    return chain.add("Add", [score, chain.constant(np.float32(head.bias))])


def _class_logit(entry: Entry, chain: _Chain, answer: str, classes: list[int | str]) -> str:
    """Logit of the fake class against all others, [N, 1], of raw scores or of probabilities [N, K]."""
    spec = entry.output
    if len(classes) != 1 or not isinstance(classes[0], int) or classes[0] < 2:
        raise GraphInvalid(entry.name, "output.layout", f"{spec.layout} is [N, K], K ≥ 2, the graph has {classes}")
    count = classes[0]
    if spec.fake_index >= count:
        raise GraphInvalid(entry.name, "output.fake_index", f"is {spec.fake_index} of {count} classes")
    fake = chain.add("Gather", [answer, chain.constant(np.array([spec.fake_index], np.int64))], axis=1)
    if spec.layout == "softmax":
        return _logit_of_probability(chain, fake)
    # log(p / (1 - p)) = z_fake - logsumexp(z_others), with the greatest taken out of the sum.
    columns = [
        chain.add("Gather", [answer, chain.constant(np.array([index], np.int64))], axis=1)
        for index in range(count)
        if index != spec.fake_index
    ]
    if len(columns) == 1:
        return chain.add("Sub", [fake, columns[0]])
    greatest = chain.add("Max", columns)
    others = chain.add("Concat", columns, axis=1)
    powers = chain.add("Exp", [chain.add("Sub", [others, greatest])])
    total = chain.add("MatMul", [powers, chain.constant(np.ones((count - 1, 1), np.float32))])
    return chain.add("Sub", [fake, chain.add("Add", [chain.add("Log", [total]), greatest])])


def _logit_of_probability(chain: _Chain, probability: str) -> str:
    """`log(p / (1 - p))` of a probability kept off 0 and 1."""
    above = chain.add("Max", [probability, chain.constant(np.float32(PROBABILITY_MARGIN))])
    p = chain.add("Min", [above, chain.constant(np.float32(1 - PROBABILITY_MARGIN))])
    rest = chain.add("Sub", [chain.constant(np.float32(1)), p])
    return chain.add("Sub", [chain.add("Log", [p]), chain.add("Log", [rest])])


def _opset(model: ModelProto) -> int:
    return next((each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}), 0)


def _shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_value or dim.dim_param or "?" for dim in value.type.tensor_type.shape.dim]


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
