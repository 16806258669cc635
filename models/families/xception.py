"""Xception as DeepfakeBench has it.

Sources: Chollet 2017 (https://arxiv.org/abs/1610.02357); `training/networks/xception.py` of
https://github.com/SCLBD/DeepfakeBench.
"""

from itertools import pairwise

from onnx import ModelProto

from models.families.layers import TorchLayers, Window, centred
from models.families.state import StateDict

SIDE = 256
CLASSES = 2
MIDDLE = 728
# Channels in and between and out of the separable convolutions of each block, and its stride.
BLOCKS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((64, 128, 128), 2),
    ((128, 256, 256), 2),
    ((256, MIDDLE, MIDDLE), 2),
    *[((MIDDLE, MIDDLE, MIDDLE, MIDDLE), 1)] * 8,
    ((MIDDLE, MIDDLE, 1024), 2),
)


def xception(state: StateDict, side: int = SIDE) -> ModelProto:
    """Xception: float32 RGB [N, 3, 256, 256] in ±1 → raw scores of real and fake, float32 [N, 2].

    Raises:
        CheckpointError: the tensors are not this architecture's.
    """
    # A part that other detectors of DeepfakeBench use: this one has it, untrained.
    state.skip("adjust_channel.")
    layers = TorchLayers(state)
    x = layers.apply("Relu", layers.conv("input", "conv1", 3, 32, 3, Window(2), norm="bn1"))
    x = layers.apply("Relu", layers.conv(x, "conv2", 32, 64, 3, norm="bn2"))
    for number, (widths, stride) in enumerate(BLOCKS, start=1):
        x = _block(layers, x, f"block{number}", widths, stride, starts_with_relu=number > 1)
    x = layers.apply("Relu", _separable(layers, x, "conv3", 1024, 1536, "bn3"))
    x = layers.apply("Relu", _separable(layers, x, "conv4", 1536, 2048, "bn4"))
    # With dropout in its configuration the last layer is the second of a sequence.
    last = "last_linear.1" if "last_linear.1.weight" in state else "last_linear"
    layers.linear(layers.flatten(layers.mean_pool(x)), last, 2048, CLASSES)
    return layers.end(side, CLASSES)


def _separable(layers: TorchLayers, x: str, key: str, inner: int, outer: int, norm: str) -> str:
    """Each channel filtered by itself, then mixed."""
    x = layers.conv(x, f"{key}.conv1", inner, inner, 3, centred(3, groups=inner))
    return layers.conv(x, f"{key}.pointwise", inner, outer, 1, norm=norm)


def _block(
    layers: TorchLayers, x: str, key: str, widths: tuple[int, ...], stride: int, *, starts_with_relu: bool
) -> str:
    """Separable convolutions beside a short cut. `rep.N` counts ReLUs, convolutions and normalisations."""
    taken, at = x, 0
    for inner, outer in pairwise(widths):
        if at > 0 or starts_with_relu:
            x = layers.apply("Relu", x)
            at += 1
        x = _separable(layers, x, f"{key}.rep.{at}", inner, outer, f"{key}.rep.{at + 1}")
        at += 2
    if stride == 1:
        return layers.apply("Add", x, taken)
    x = layers.max_pool(x, 3, centred(3, stride))
    short_cut = layers.conv(taken, f"{key}.skip", widths[0], widths[-1], 1, Window(stride), norm=f"{key}.skipbn")
    return layers.apply("Add", x, short_cut)
