"""The layers that the architectures share, added to an ONNX graph one after the other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from models.chain import Chain
from models.families.state import StateDict, Tensor

OPSET, IR_VERSION = 17, 8
INPUT, ANSWER = "input", "answer"
# PyTorch's own, of BatchNorm2d and GroupNorm.
EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Window:
    """How a square kernel moves over its input.

    Attributes:
        stride: step in pixels.
        before: zeros at the left and at the top.
        after: zeros at the right and at the bottom.
        dilation: distance of the kernel's taps.
        groups: parts that the channels are split into; as many as channels for a depthwise convolution.
    """

    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    groups: int = 1

    @property
    def pads(self) -> list[int]:
        """In ONNX's order: top, left, bottom, right."""
        return [self.before, self.before, self.after, self.after]


PLAIN = Window()


def centred(side: int, stride: int = 1, dilation: int = 1, groups: int = 1) -> Window:
    """The window whose kernel of odd `side` is centred on each pixel: PyTorch's `padding = dilation * (side // 2)`."""
    pad = dilation * (side // 2)
    return Window(stride, pad, pad, dilation, groups)


class Layers:
    """Layers of given weights. `x` is the name of a layer's input, what is returned that of its output."""

    def __init__(self, state: StateDict, epsilon: float = EPSILON) -> None:
        self.state = state
        self.chain = Chain("layers")
        self._epsilon = epsilon

    def apply(self, op: str, *inputs: str, **attributes: float) -> str:
        """An ONNX operator without weights."""
        return self.chain.add(op, inputs, **attributes)

    def convolve(self, x: str, weights: Tensor, bias: Tensor | None, window: Window = PLAIN) -> str:
        """A convolution, weights [outer, inner / groups, K, K]."""
        constants = [self.chain.constant(each) for each in (weights, bias) if each is not None]
        moves = {"strides": [window.stride] * 2, "pads": window.pads, "dilations": [window.dilation] * 2}
        return self.chain.add("Conv", [x, *constants], group=window.groups, **moves)

    def normalise(self, x: str, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor) -> str:
        """Batch normalisation that no convolution can take in, because something stands between them."""
        constants = [self.chain.constant(each) for each in (gamma, beta, mean, variance)]
        return self.chain.add("BatchNormalization", [x, *constants], epsilon=self._epsilon)

    def multiply(self, x: str, weights: Tensor, bias: Tensor) -> str:
        """A linear layer, weights [inner, outer]."""
        return self.chain.add("Gemm", [x, self.chain.constant(weights), self.chain.constant(bias)])

    def max_pool(self, x: str, side: int, window: Window) -> str:
        """The greatest of each square; padding is never the greatest."""
        return self.chain.add("MaxPool", [x], kernel_shape=[side, side], strides=[window.stride] * 2, pads=window.pads)

    def mean_pool(self, x: str) -> str:
        """The mean of each channel, [N, C, 1, 1]."""
        return self.apply("GlobalAveragePool", x)

    def flatten(self, x: str) -> str:
        """[N, C, H, W] → [N, C·H·W]."""
        return self.apply("Flatten", x, axis=1)

    def column(self, x: str, index: int) -> str:
        """One column of [N, K], as [N, 1]."""
        return self.apply("Gather", x, self.chain.constant(np.array([index], np.int64)), axis=1)

    def clip(self, x: str, least: float, greatest: float) -> str:
        """No less and no more than that."""
        return self.apply("Clip", x, *(self.chain.constant(np.float32(end)) for end in (least, greatest)))

    def swish(self, x: str) -> str:
        """`x · sigmoid(x)`."""
        return self.apply("Mul", x, self.apply("Sigmoid", x))

    def end(self, side: int, width: int) -> ModelProto:
        """The graph: float32 [N, 3, side, side] → what the last layer gives, float32 [N, width].

        Raises:
            CheckpointError: the tensors are not this architecture's.
        """
        self.state.finish()
        self.chain.end_as(ANSWER)
        taken = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", 3, side, side])
        given = helper.make_tensor_value_info(ANSWER, TensorProto.FLOAT, ["N", width])
        graph = helper.make_graph(self.chain.nodes, "network", [taken], [given], self.chain.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


class TorchLayers(Layers):
    """Layers whose tensors have the names that PyTorch's modules give them: `key.weight`, `key.bias` and so on."""

    def conv(
        self,
        x: str,
        key: str,
        inner: int,
        outer: int,
        side: int,
        window: Window = PLAIN,
        *,
        bias: bool = False,
        norm: str | None = None,
    ) -> str:
        """A convolution; the batch normalisation `norm` that directly follows it is folded into it."""
        weights = self.state.take(f"{key}.weight", outer, inner // window.groups, side, side)
        biases = self.state.take(f"{key}.bias", outer) if bias else None
        if norm is not None:
            weights, biases = self._folded(weights, biases, norm)
        return self.convolve(x, weights, biases, window)

    def norm(self, x: str, key: str, width: int) -> str:
        """Batch normalisation that stands by itself."""
        return self.normalise(x, *self._norm(key, width))

    def linear(self, x: str, key: str, inner: int, outer: int, *, bias: bool = True, norm: str | None = None) -> str:
        """A linear layer; the batch normalisation `norm` that directly follows it is folded into it."""
        weights = self.state.take(f"{key}.weight", outer, inner)
        biases = self.state.take(f"{key}.bias", outer) if bias else np.zeros(outer, np.float32)
        if norm is not None:
            weights, biases = self._folded(weights, biases, norm)
        return self.multiply(x, np.ascontiguousarray(weights.T), biases)

    def squeeze(self, x: str, reduce: str, expand: str, width: int, inner: int, act: str, gate: str) -> str:
        """Squeeze and excitation (https://arxiv.org/abs/1709.01507): each channel times a gate made of all means.

        `act` and `gate` are ONNX operators, or `Swish`.
        """
        squeezed = self.conv(self.mean_pool(x), reduce, width, inner, 1, bias=True)
        squeezed = self.swish(squeezed) if act == "Swish" else self.apply(act, squeezed)
        expanded = self.conv(squeezed, expand, inner, width, 1, bias=True)
        # ONNX's HardSigmoid with this slope is min(max(x + 3, 0), 6) / 6, as PyTorch has it.
        opened = self.apply(gate, expanded, alpha=1 / 6) if gate == "HardSigmoid" else self.apply(gate, expanded)
        return self.apply("Mul", x, opened)

    def classes(self, key: str) -> int:
        """How many classes a classifier tells apart, by the first dimension of its weights."""
        shape = self.state.shape(key)
        return shape[0] if shape else 1

    def _norm(self, key: str, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Slope, offset, mean and variance of a batch normalisation."""
        self.state.skip(f"{key}.num_batches_tracked")
        gamma, beta, mean = (self.state.take(f"{key}.{part}", width) for part in ("weight", "bias", "running_mean"))
        return gamma, beta, mean, self.state.take_variance(f"{key}.running_var", width)

    def _folded(self, weights: Tensor, bias: Tensor | None, key: str) -> tuple[Tensor, Tensor]:
        """Weights and bias, the outer channels first, with `slope · (w·x + b - mean) + beta` taken in."""
        width = len(weights)
        gamma, beta, mean, variance = (np.asarray(part, np.float64) for part in self._norm(key, width))
        slope: NDArray[np.float64] = gamma / np.sqrt(variance + self._epsilon)
        offset = beta + (-mean if bias is None else bias - mean) * slope
        scaled = weights * slope.reshape(width, *[1] * (weights.ndim - 1))
        return scaled.astype(np.float32), offset.astype(np.float32)
