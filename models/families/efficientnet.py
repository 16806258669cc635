"""EfficientNet-B4 as DeepfakeBench has it: efficientnet_pytorch 0.7.1 with a stem and a last layer of its own.

Sources: Tan and Le 2019 (https://arxiv.org/abs/1905.11946); `training/networks/efficientnetb4.py` of
https://github.com/SCLBD/DeepfakeBench; https://github.com/lukemelas/EfficientNet-PyTorch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from onnx import ModelProto

from models.families.layers import TorchLayers, Window
from models.families.state import StateDict

SIDE = 256
CLASSES = 2
# Width, depth and image of B4.
WIDTH, DEPTH = 1.4, 1.8
# The paddings are those of an image of this side, whatever the side of the image that comes in.
PADDED_FOR = 380
EPSILON = 1e-3
DIVISOR = 8
PREFIX = "efficientnet"
SQUEEZED = 0.25


@dataclass(frozen=True, slots=True)
class Block:
    """A mobile inverted bottleneck: `inner` channels in, `outer` out, `expansion` times as many between."""

    inner: int
    outer: int
    expansion: int
    side: int
    stride: int


# The stages of B0: repeats, kernel, stride, expansion, channels in and out.
STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)


def efficientnet_b4(state: StateDict, side: int = SIDE) -> ModelProto:
    """EfficientNet-B4: float32 RGB [N, 3, 256, 256] in ±1 → raw scores of real and fake, float32 [N, 2].

    Raises:
        CheckpointError: the tensors are not this architecture's.
    """
    layers = TorchLayers(state, EPSILON)
    stem, last = _channels(32), _channels(1280)
    # DeepfakeBench puts an ordinary Conv2d in place of the padded one.
    x = layers.conv("input", f"{PREFIX}._conv_stem", 3, stem, 3, Window(2), norm=f"{PREFIX}._bn0")
    x = layers.swish(x)
    size = ceil(PADDED_FOR / 2)
    for index, block in enumerate(_blocks()):
        x = _bottleneck(layers, x, f"{PREFIX}._blocks.{index}", block, size)
        size = ceil(size / block.stride)
    x = layers.conv(x, f"{PREFIX}._conv_head", _channels(320), last, 1, norm=f"{PREFIX}._bn1")
    layers.linear(layers.flatten(layers.mean_pool(layers.swish(x))), "last_layer", last, CLASSES)
    return layers.end(side, CLASSES)


def _blocks() -> Iterator[Block]:
    for repeats, side, stride, expansion, inner, outer in STAGES:
        yield Block(_channels(inner), _channels(outer), expansion, side, stride)
        for _ in range(ceil(DEPTH * repeats) - 1):
            yield Block(_channels(outer), _channels(outer), expansion, side, 1)


def _channels(count: int) -> int:
    """Channels of B0 made wider, to the nearest multiple of 8 that is not more than a tenth below."""
    wider = count * WIDTH
    rounded = max(DIVISOR, int(wider + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * wider else rounded


def _bottleneck(layers: TorchLayers, x: str, key: str, block: Block, size: int) -> str:
    """Expand, filter each channel, weigh the channels, project; added to the input where the shape is kept."""
    taken, width = x, block.inner * block.expansion
    if block.expansion != 1:
        x = layers.swish(layers.conv(x, f"{key}._expand_conv", block.inner, width, 1, norm=f"{key}._bn0"))
    window = _same(size, block.side, block.stride, width)
    x = layers.conv(x, f"{key}._depthwise_conv", width, width, block.side, window, norm=f"{key}._bn1")
    squeezed = max(1, int(block.inner * SQUEEZED))
    parts = f"{key}._se_reduce", f"{key}._se_expand"
    x = layers.squeeze(layers.swish(x), *parts, width, squeezed, "Swish", "Sigmoid")
    x = layers.conv(x, f"{key}._project_conv", width, block.outer, 1, norm=f"{key}._bn2")
    return layers.apply("Add", x, taken) if block.stride == 1 and block.inner == block.outer else x


def _same(size: int, side: int, stride: int, groups: int) -> Window:
    """TensorFlow's padding SAME for an input of that size: what is odd goes to the right and to the bottom."""
    total = max((ceil(size / stride) - 1) * stride + side - size, 0)
    return Window(stride, total // 2, total - total // 2, groups=groups)
