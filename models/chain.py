"""Nodes to be put before or after a network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper


@dataclass(slots=True)
class Chain:
    """Nodes and constants to be added to a graph; `prefix` keeps their names apart from the network's."""

    prefix: str
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    def constant(self, value: NDArray[np.generic] | np.generic) -> str:
        """Add a weight; return its name."""
        name = f"{self.prefix}/constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        output = f"{self.prefix}/{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def end_as(self, name: str) -> None:
        """Name the output of the last node."""
        self.nodes[-1].output[0] = name


def append_chain(graph: GraphProto, chain: Chain, output: ValueInfoProto) -> None:
    """Add a chain at the end of a graph, and make `output` the graph's only one."""
    del graph.output[:]
    add_chain(graph, chain, output)


def add_chain(graph: GraphProto, chain: Chain, output: ValueInfoProto) -> None:
    """Add a chain at the end of a graph, and `output` to the graph's."""
    graph.node.extend(chain.nodes)
    graph.initializer.extend(chain.constants)
    graph.output.append(output)


def opset(model: ModelProto) -> int:
    """Version of ONNX's own operators that a graph is written for."""
    return next((each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}), 0)


def shape_of(value: ValueInfoProto) -> list[int | str]:
    """Dimensions of an input or output: a number, or a name where any number goes."""
    return [dim.dim_value or dim.dim_param or "?" for dim in value.type.tensor_type.shape.dim]
