"""What comes after a network: its answer turned into calibrated logits, unit embeddings or free maps."""

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper, shape_inference

from models.chain import Chain, add_chain, append_chain, shape_of
from models.exceptions import GraphInvalid
from models.face_maps import FACE_MAPS
from models.heads import load_head
from models.manifest import Entry, TokensSpec

LOGITS = "fleet/logits"
HEAT = "fleet/heat"
EMBEDDINGS = "fleet/embeddings"
# Probabilities are kept this far from 0 and 1: logits within ±13.8, and no infinity from a saturated sigmoid.
PROBABILITY_MARGIN = 1e-6
# Embeddings shorter than this are no picture's; keeps the division finite.
SMALLEST_NORM = 1e-12


def free_maps(entry: Entry, model: ModelProto) -> None:
    """Let a face detector's maps be of any number of frames of any size."""
    graph = model.graph
    maps = FACE_MAPS[entry.output.layout]
    stated = {value.name: shape_of(value) for value in graph.output}
    for name, wanted in maps.outputs.items():
        shape = stated.get(name, [])
        channel = next(at for at, side in enumerate(wanted) if isinstance(side, int))
        if len(shape) != len(wanted) or shape[channel] != wanted[channel]:
            problem = f"{maps.name} answers {dict(maps.outputs)}, the graph {stated}"
            raise GraphInvalid(entry.name, "output.layout", problem)
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list(wanted)) for name, wanted in maps.outputs.items()
    )


def fold_logits(entry: Entry, model: ModelProto) -> None:
    """Put the network's answer → calibrated logits float32 [N] after the network.

    Where the entry names a map, it becomes a second output: float32 [N, S * S] in (0, 1), row by row.
    """
    spec = entry.output
    heat = None if spec.heat is None else _heat(entry, model.graph, spec.heat)
    chain = Chain("fleet/out")
    embeds = spec.layout == "embedding"
    answer, classes = _embedding(entry, model, chain) if embeds else _answer(entry, model.graph)
    if embeds:
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
    append_chain(model.graph, chain, helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["N"]))
    if heat is not None:
        add_chain(model.graph, heat[0], helper.make_tensor_value_info(HEAT, TensorProto.FLOAT, ["N", heat[1]]))


def _heat(entry: Entry, graph: GraphProto, name: str) -> tuple[Chain, int]:
    """The nodes from the map's logits to its cells, and how many cells there are."""
    named = [value for value in graph.output if value.name == name]
    shape = shape_of(named[0])[1:] if named else []
    if len(shape) != 2 or shape[0] != shape[1] or not isinstance(shape[0], int):
        problem = f"{name} must be an output [N, S, S], the graph has {[each.name for each in graph.output]} {shape}"
        raise GraphInvalid(entry.name, "output.heat", problem)
    cells = shape[0] ** 2
    chain = Chain("fleet/heat_out")
    flat = chain.add("Reshape", [name, chain.constant(np.array([-1, cells], np.int64))])
    chain.add("Sigmoid", [flat])
    chain.end_as(HEAT)
    return chain, cells


def fold_embedding(entry: Entry, model: ModelProto) -> None:
    """Put the network's embedding → unit embeddings float32 [N, D] after the network."""
    chain = Chain("fleet/out")
    answer, width = _embedding(entry, model, chain)
    if len(width) != 1 or not isinstance(width[0], int):
        raise GraphInvalid(entry.name, "output.layout", f"an embedding is [N, D], the graph has {width}")
    _unit(chain, answer, width[0])
    chain.end_as(EMBEDDINGS)
    embeddings = helper.make_tensor_value_info(EMBEDDINGS, TensorProto.FLOAT, ["N", width[0]])
    append_chain(model.graph, chain, embeddings)


def _answer(entry: Entry, graph: GraphProto) -> tuple[str, list[int | str]]:
    """Name of the output that the entry speaks of, and its shape after the batch."""
    named = [value for value in graph.output if entry.output.name in {None, value.name}]
    if len(named) != 1:
        problem = f"say which of {[value.name for value in graph.output]}"
        raise GraphInvalid(entry.name, "output.name", problem)
    return named[0].name, shape_of(named[0])[1:]


def _embedding(entry: Entry, model: ModelProto, chain: Chain) -> tuple[str, list[int | str]]:
    """Name of the embedding and its shape after the batch: the network's answer, or made of inner tensors."""
    tokens = entry.output.tokens
    if not tokens:
        return _answer(entry, model.graph)
    shapes = _inner_shapes(model)
    widths = [_width(entry, f"output.tokens.{at}", spec.tensor, shapes) for at, spec in enumerate(tokens)]
    units = [_unit(chain, _pooled(chain, spec), width) for spec, width in zip(tokens, widths, strict=True)]
    return (chain.add("Concat", units, axis=1) if len(units) > 1 else units[0]), [sum(widths)]


def _inner_shapes(model: ModelProto) -> dict[str, list[int | str]]:
    """Shapes of what the nodes compute, as far as ONNX can infer them."""
    inferred = shape_inference.infer_shapes(model).graph
    known = {value.name: shape_of(value) for value in (*inferred.value_info, *inferred.output)}
    return {name: known.get(name, []) for node in inferred.node for name in node.output}


def _width(entry: Entry, field: str, tensor: str, shapes: dict[str, list[int | str]]) -> int:
    """D of an inner tensor [N, T, D]."""
    if tensor not in shapes:
        raise GraphInvalid(entry.name, f"{field}.tensor", f"the graph computes no {tensor}")
    shape = shapes[tensor]
    if len(shape) != 3 or not isinstance(shape[2], int):
        raise GraphInvalid(entry.name, f"{field}.tensor", f"{tensor} must be [N, T, D], is {shape}")
    return shape[2]


def _pooled(chain: Chain, spec: TokensSpec) -> str:
    """[N, T, D] → [N, D], by operators that every opset writes alike."""
    if spec.pooling == "cls":
        pooled = chain.add("Gather", [spec.tensor, chain.constant(np.array([0], np.int64))], axis=1)
    else:
        turned = chain.add("Transpose", [spec.tensor], perm=[0, 2, 1])
        pooled = chain.add("GlobalAveragePool" if spec.pooling == "mean" else "GlobalMaxPool", [turned])
    return chain.add("Flatten", [pooled], axis=1)


def _unit(chain: Chain, embedding: str, width: int) -> str:
    """`e / |e|`. The sum is a matrix product, which every opset writes alike."""
    squares = chain.add("Mul", [embedding, embedding])
    total = chain.add("MatMul", [squares, chain.constant(np.ones((width, 1), np.float32))])
    norm = chain.add("Max", [chain.add("Sqrt", [total]), chain.constant(np.float32(SMALLEST_NORM))])
    return chain.add("Div", [embedding, norm])


def _head_logit(entry: Entry, chain: Chain, embedding: str, width: list[int | str]) -> str:
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


def _class_logit(entry: Entry, chain: Chain, answer: str, classes: list[int | str]) -> str:
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


def _logit_of_probability(chain: Chain, probability: str) -> str:
    """`log(p / (1 - p))` of a probability kept off 0 and 1."""
    above = chain.add("Max", [probability, chain.constant(np.float32(PROBABILITY_MARGIN))])
    p = chain.add("Min", [above, chain.constant(np.float32(1 - PROBABILITY_MARGIN))])
    rest = chain.add("Sub", [chain.constant(np.float32(1)), p])
    return chain.add("Sub", [chain.add("Log", [p]), chain.add("Log", [rest])])
