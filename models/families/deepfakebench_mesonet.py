"""Meso-4 and MesoInception-4 as DeepfakeBench has them: not the networks that the MesoNet authors trained.

Each batch normalisation serves two convolutions, convolutions have no bias, the branches of an inception have no
ReLU, and two classes come out. Source: `training/networks/mesonet.py` of https://github.com/SCLBD/DeepfakeBench.
"""

from onnx import ModelProto

from models.families.layers import TorchLayers, Window, centred
from models.families.mesonet import LEAK
from models.families.state import StateDict

SIDE = 256
CLASSES = 2


def meso4(state: StateDict, side: int = SIDE) -> ModelProto:
    """Meso-4: float32 RGB [N, 3, 256, 256] in ±1 → raw scores of real and fake, float32 [N, 2].

    Raises:
        CheckpointError: the tensors are not this architecture's.
    """
    layers = TorchLayers(state)
    x = _conv(layers, "input", "conv1", 3, 8, 3, "bn1")
    x = _conv(layers, layers.max_pool(x, 2, Window(2)), "conv2", 8, 8, 5, "bn1")
    x = _conv(layers, layers.max_pool(x, 2, Window(2)), "conv3", 8, 16, 5, "bn2")
    x = _conv(layers, layers.max_pool(x, 2, Window(2)), "conv4", 16, 16, 5, "bn2")
    return _last_layers(layers, x, side)


def meso_inception4(state: StateDict, side: int = SIDE) -> ModelProto:
    """MesoInception-4: float32 RGB [N, 3, 256, 256] in ±1 → raw scores of real and fake, float32 [N, 2].

    Raises:
        CheckpointError: the tensors are not this architecture's.
    """
    layers = TorchLayers(state)
    x = _inception(layers, "input", "Incption1", 3, (1, 4, 4, 2))
    x = _inception(layers, x, "Incption2", 11, (2, 4, 4, 2))
    x = _conv(layers, x, "conv1", 12, 16, 5, "bn1")
    x = _conv(layers, layers.max_pool(x, 2, Window(2)), "conv2", 16, 16, 5, "bn1")
    return _last_layers(layers, x, side)


def _conv(layers: TorchLayers, x: str, key: str, inner: int, outer: int, side: int, norm: str) -> str:
    """Convolution, ReLU, then the normalisation, which therefore no convolution can take in."""
    x = layers.apply("Relu", layers.conv(x, key, inner, outer, side, centred(side)))
    return layers.norm(x, norm, outer)


def _inception(layers: TorchLayers, x: str, key: str, inner: int, widths: tuple[int, int, int, int]) -> str:
    """Four branches side by side, normalised and halved; `Incption` is how the checkpoints spell it."""
    branches = [layers.conv(x, f"{key}_conv1", inner, widths[0], 1)]
    for dilation, width in enumerate(widths[1:], start=1):
        branch = layers.conv(x, f"{key}_conv{dilation + 1}_1", inner, width, 1)
        window = centred(3, 1, dilation)
        branches.append(layers.conv(branch, f"{key}_conv{dilation + 1}_2", width, width, 3, window))
    joined = layers.norm(layers.apply("Concat", *branches, axis=1), f"{key}_bn", sum(widths))
    return layers.max_pool(joined, 2, Window(2))


def _last_layers(layers: TorchLayers, x: str, side: int) -> ModelProto:
    cells = (side // 32) ** 2
    x = layers.linear(layers.flatten(layers.max_pool(x, 4, Window(4))), "fc1", cells * 16, 16)
    layers.linear(layers.apply("LeakyRelu", x, alpha=LEAK), "fc2", 16, CLASSES)
    return layers.end(side, CLASSES)
