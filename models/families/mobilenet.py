"""MobileNetV2 and MobileNetV3-Large, by timm's names (`mobilenetv2_100`, `mobilenetv3_large_100`).

Sources: Sandler et al. 2018 (https://arxiv.org/abs/1801.04381); Howard et al. 2019
(https://arxiv.org/abs/1905.02244); https://github.com/huggingface/pytorch-image-models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from onnx import ModelProto

from models.families.layers import TorchLayers, centred
from models.families.state import StateDict

SIDE = 224
DIVISOR = 8


@dataclass(frozen=True, slots=True)
class Block:
    """An inverted bottleneck: `width` channels between, `outer` out, the channels weighed where `squeezed`."""

    width: int
    outer: int
    side: int = 3
    stride: int = 1
    act: str = "Relu"
    squeezed: bool = False


def _repeated(expansion: int, outer: int, repeats: int, stride: int, inner: int) -> tuple[Block, ...]:
    """A stage of MobileNetV2."""
    first = Block(inner * expansion, outer, stride=stride, act="Clip")
    return (first, *[Block(outer * expansion, outer, act="Clip")] * (repeats - 1))


# After the first block, which has no expansion.
V2_STAGES = (
    _repeated(6, 24, 2, 2, inner=16),
    _repeated(6, 32, 3, 2, inner=24),
    _repeated(6, 64, 4, 2, inner=32),
    _repeated(6, 96, 3, 1, inner=64),
    _repeated(6, 160, 3, 2, inner=96),
    _repeated(6, 320, 1, 1, inner=160),
)
V3_STAGES = (
    (Block(64, 24, 3, 2), Block(72, 24)),
    (Block(72, 40, 5, 2, squeezed=True), *[Block(120, 40, 5, squeezed=True)] * 2),
    (
        Block(240, 80, 3, 2, "HardSwish"),
        Block(200, 80, act="HardSwish"),
        *[Block(184, 80, act="HardSwish")] * 2,
    ),
    (Block(480, 112, 3, 1, "HardSwish", squeezed=True), Block(672, 112, 3, 1, "HardSwish", squeezed=True)),
    (
        Block(672, 160, 5, 2, "HardSwish", squeezed=True),
        *[Block(960, 160, 5, 1, "HardSwish", squeezed=True)] * 2,
    ),
)


def mobilenet_v2(state: StateDict, side: int = SIDE) -> ModelProto:
    """MobileNetV2: float32 RGB [N, 3, side, side], normalised → raw scores float32 [N, classes].

    Raises:
        CheckpointError: the tensors are not this architecture's.
    """
    layers = TorchLayers(state)
    x = _act(layers, layers.conv("input", "conv_stem", 3, 32, 3, centred(3, 2), norm="bn1"), "Clip")
    x = _first_block(layers, x, 32, 16, "Clip")
    x = _stages(layers, x, 16, V2_STAGES)
    x = _act(layers, layers.conv(x, "conv_head", 320, 1280, 1, norm="bn2"), "Clip")
    return _classifier(layers, layers.mean_pool(x), side)


def mobilenet_v3_large(state: StateDict, side: int = SIDE) -> ModelProto:
    """MobileNetV3-Large: float32 RGB [N, 3, side, side], normalised → raw scores float32 [N, classes].

    Raises:
        CheckpointError: the tensors are not this architecture's.
    """
    layers = TorchLayers(state)
    x = _act(layers, layers.conv("input", "conv_stem", 3, 16, 3, centred(3, 2), norm="bn1"), "HardSwish")
    x = layers.apply("Add", _first_block(layers, x, 16, 16, "Relu"), x)
    x = _stages(layers, x, 16, V3_STAGES)
    x = _act(layers, layers.conv(x, "blocks.6.0.conv", 160, 960, 1, norm="blocks.6.0.bn1"), "HardSwish")
    x = _act(layers, layers.conv(layers.mean_pool(x), "conv_head", 960, 1280, 1, bias=True), "HardSwish")
    return _classifier(layers, x, side)


def _first_block(layers: TorchLayers, x: str, inner: int, outer: int, act: str) -> str:
    """Each channel filtered by itself, then mixed."""
    key = "blocks.0.0"
    x = layers.conv(x, f"{key}.conv_dw", inner, inner, 3, centred(3, groups=inner), norm=f"{key}.bn1")
    return layers.conv(_act(layers, x, act), f"{key}.conv_pw", inner, outer, 1, norm=f"{key}.bn2")


def _stages(layers: TorchLayers, x: str, inner: int, stages: Sequence[Sequence[Block]]) -> str:
    for stage, blocks in enumerate(stages, start=1):
        for index, block in enumerate(blocks):
            x = _bottleneck(layers, x, f"blocks.{stage}.{index}", inner, block)
            inner = block.outer
    return x


def _bottleneck(layers: TorchLayers, x: str, key: str, inner: int, block: Block) -> str:
    """Expand, filter each channel, weigh the channels, project; added to the input where the shape is kept."""
    taken, width = x, block.width
    x = _act(layers, layers.conv(x, f"{key}.conv_pw", inner, width, 1, norm=f"{key}.bn1"), block.act)
    window = centred(block.side, block.stride, groups=width)
    x = layers.conv(x, f"{key}.conv_dw", width, width, block.side, window, norm=f"{key}.bn2")
    x = _act(layers, x, block.act)
    if block.squeezed:
        parts = f"{key}.se.conv_reduce", f"{key}.se.conv_expand"
        x = layers.squeeze(x, *parts, width, _squeezed(width), "Relu", "HardSigmoid")
    x = layers.conv(x, f"{key}.conv_pwl", width, block.outer, 1, norm=f"{key}.bn3")
    return layers.apply("Add", x, taken) if block.stride == 1 and inner == block.outer else x


def _squeezed(width: int) -> int:
    """A quarter of the channels, to the nearest multiple of 8 that is not more than a tenth below."""
    quarter = width / 4
    rounded = max(DIVISOR, int(quarter + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * quarter else rounded


def _act(layers: TorchLayers, x: str, act: str) -> str:
    """`Clip` is ReLU6."""
    return layers.clip(x, 0, 6) if act == "Clip" else layers.apply(act, x)


def _classifier(layers: TorchLayers, x: str, side: int) -> ModelProto:
    classes = layers.classes("classifier.weight")
    layers.linear(layers.flatten(x), "classifier", 1280, classes)
    return layers.end(side, classes)
