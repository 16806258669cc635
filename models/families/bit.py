"""BiT, a ResNet-v2 with group normalisation and standardised weights, by timm's names (`resnetv2_50x1_bit`).

Sources: Kolesnikov et al. 2020 (https://arxiv.org/abs/1912.11370); Qiao et al. 2019, weight standardisation
(https://arxiv.org/abs/1903.10520); https://github.com/huggingface/pytorch-image-models.
"""

import numpy as np
from onnx import ModelProto

from models.families.layers import EPSILON, PLAIN, TorchLayers, Window, centred
from models.families.state import StateDict, Tensor

SIDE = 224
GROUPS = 32
WEIGHT_EPSILON = 1e-8
# Blocks of each stage, and its channels between and out.
STAGES = ((3, 64, 256), (4, 128, 512), (6, 256, 1024), (3, 512, 2048))


def resnetv2_50x1(state: StateDict, side: int = SIDE) -> ModelProto:
    """ResNet-v2 50x1: float32 RGB [N, 3, side, side], normalised → raw scores float32 [N, classes].

    Raises:
        CheckpointError: the tensors are not this architecture's.
    """
    layers = _BitLayers(state)
    x = layers.standardised("input", "stem.conv", 3, 64, 7, centred(7, 2))
    # The greatest is sought among the zeros around, too: they are no padding of the pooling.
    x = layers.max_pool(layers.zeros_around(x), 3, Window(2))
    inner = 64
    for stage, (blocks, width, outer) in enumerate(STAGES):
        for index in range(blocks):
            stride = 2 if index == 0 and stage > 0 else 1
            x = layers.block(x, f"stages.{stage}.blocks.{index}", inner, width, outer, stride)
            inner = outer
    x = layers.mean_pool(layers.group_norm(x, "norm", inner))
    classes = layers.classes("head.fc.weight")
    layers.flatten(layers.conv(x, "head.fc", inner, classes, 1, bias=True))
    return layers.end(side, classes)


class _BitLayers(TorchLayers):
    def standardised(self, x: str, key: str, inner: int, outer: int, side: int, window: Window = PLAIN) -> str:
        """A convolution whose weights are standardised once, here, and not at every run."""
        weights = self.state.take(f"{key}.weight", outer, inner, side, side)
        return self.convolve(x, _standardised(weights), None, window)

    def zeros_around(self, x: str) -> str:
        """One pixel more on each side."""
        return self.chain.add("Pad", [x, self.chain.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))])

    def group_norm(self, x: str, key: str, width: int) -> str:
        """Group normalisation (https://arxiv.org/abs/1803.08494) and ReLU."""
        constant = self.chain.constant
        groups = self.apply("Reshape", x, constant(np.array([0, GROUPS, -1], np.int64)))
        ones, zeros = constant(np.ones(GROUPS, np.float32)), constant(np.zeros(GROUPS, np.float32))
        normal = self.apply("InstanceNormalization", groups, ones, zeros, epsilon=EPSILON)
        y = self.apply("Reshape", normal, self.apply("Shape", x))
        slope, offset = (self.state.take(f"{key}.{part}", width)[:, None, None] for part in ("weight", "bias"))
        return self.apply("Relu", self.apply("Add", self.apply("Mul", y, constant(slope)), constant(offset)))

    def block(self, x: str, key: str, inner: int, width: int, outer: int, stride: int) -> str:
        """A bottleneck that normalises first; a stage's first block has a short cut with weights."""
        taken, first = x, self.group_norm(x, f"{key}.norm1", inner)
        if inner != outer:
            taken = self.standardised(first, f"{key}.downsample.conv", inner, outer, 1, Window(stride))
        x = self.standardised(first, f"{key}.conv1", inner, width, 1)
        x = self.group_norm(x, f"{key}.norm2", width)
        x = self.group_norm(
            self.standardised(x, f"{key}.conv2", width, width, 3, centred(3, stride)), f"{key}.norm3", width
        )
        return self.apply("Add", self.standardised(x, f"{key}.conv3", width, outer, 1), taken)


def _standardised(weights: Tensor) -> Tensor:
    """`(w - μ) / sqrt(σ² + ε)` of each outer channel."""
    exact = weights.astype(np.float64)
    over = (1, 2, 3)
    mean, variance = exact.mean(over, keepdims=True), exact.var(over, keepdims=True)
    return np.asarray((exact - mean) / np.sqrt(variance + WEIGHT_EPSILON), np.float32)
