"""What a graph may not bring with it: bytes that no hash covers, and operators that nobody here has."""

from collections.abc import Iterable, Iterator

from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from models.exceptions import GraphInvalid

_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}
"""Domains whose operators ONNX Runtime has built in."""


def refuse_foreign(entry: str, model: ModelProto) -> None:
    """Make sure that a graph, its subgraphs and its functions are all that it needs.

    Raises:
        GraphInvalid: weights lie outside its file, in whatever folder, or it has an operator that nobody knows.
    """
    parts = [model.graph, *_within(model.graph.node)]
    for function in model.functions:
        parts += _within(function.node)
    own = {(function.domain, function.name) for function in model.functions}
    for part in parts:
        if isinstance(part, NodeProto) and part.domain not in _DOMAINS and (part.domain, part.op_type) not in own:
            problem = f"has the operator {part.domain}.{part.op_type}, which is not ONNX Runtime's: none is loaded"
            raise GraphInvalid(entry, "source", problem)
        for tensor in _tensors(part):
            if tensor.data_location == TensorProto.EXTERNAL:
                where = next((each.value for each in tensor.external_data if each.key == "location"), "nowhere")
                problem = f"keeps weights outside its file, in {where}, where no hash covers them"
                raise GraphInvalid(entry, "source", problem)


def _within(nodes: Iterable[NodeProto]) -> Iterator[NodeProto | GraphProto]:
    """The nodes, the graphs of their loops and branches, and what is in those."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield graph
                yield from _within(graph.node)


def _tensors(part: NodeProto | GraphProto) -> Iterator[TensorProto]:
    """The tensors of a graph itself, or of a node's attributes."""
    if isinstance(part, GraphProto):
        yield from part.initializer
        for sparse in part.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        return
    for attribute in part.attribute:
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
