"""MiniFASNet of Silent-Face-Anti-Spoofing: whether a face is live, or a print or a screen.

Source of layers and widths: `src/model_lib/MiniFASNet.py` of
https://github.com/minivision-ai/Silent-Face-Anti-Spoofing.
"""

from onnx import ModelProto

from models.families.layers import PLAIN, TorchLayers, Window, centred
from models.families.state import StateDict

SIDE = 80
CLASSES = 3
LIVE = 1
EMBEDDING = 128
LAST = 512

# Channels between, of the blocks of each stage in turn; the numbers of pruned networks.
V1_WIDTHS = ((103,), (13, 26, 13, 52), (231,), (154, 52, 26, 52, 26, 26), (308,), (26, 26))
V2_WIDTHS = ((103,), (13, 13, 13, 13), (231,), (231, 52, 26, 77, 26, 26), (308,), (26, 26))
# Name of each stage, its channels out, and by how much the squeezed channels of its last block are fewer: 0 for a
# stage of one block, which halves the size and has neither short cut nor squeeze.
STAGES = (
    ("conv_23", 64, 0),
    ("conv_3", 64, 4),
    ("conv_34", 128, 0),
    ("conv_4", 128, 4),
    ("conv_45", 128, 0),
    ("conv_5", 128, 4),
)


def minifasnet_v1(state: StateDict, side: int = SIDE) -> ModelProto:
    """MiniFASNetV1, see `minifasnet`."""
    return minifasnet(state, V1_WIDTHS, side, squeezed=False)


def minifasnet_v2(state: StateDict, side: int = SIDE) -> ModelProto:
    """MiniFASNetV2, see `minifasnet`."""
    return minifasnet(state, V2_WIDTHS, side, squeezed=False)


def minifasnet_v1_se(state: StateDict, side: int = SIDE) -> ModelProto:
    """MiniFASNetV1SE, see `minifasnet`."""
    return minifasnet(state, V1_WIDTHS, side, squeezed=True)


def minifasnet(state: StateDict, widths: tuple[tuple[int, ...], ...], side: int, *, squeezed: bool) -> ModelProto:
    """A MiniFASNet: float32 BGR [N, 3, 80, 80] in 0-255 → logit of "live" against the other two, float32 [N, 1].

    The published networks answer three raw scores, of which the second is "live".

    Raises:
        CheckpointError: the tensors are not this architecture's.
    """
    layers = _FasLayers(state)
    x = layers.conv_act("input", "conv1", 3, 32, 3, centred(3, 2))
    x = layers.conv_act(x, "conv2_dw", 32, 32, 3, centred(3, groups=32))
    inner = 32
    for (key, outer, reduction), stage in zip(STAGES, widths, strict=True):
        for index, width in enumerate(stage):
            if reduction == 0:
                x = layers.block(x, key, inner, width, outer, 2)
            else:
                squeeze = reduction if squeezed and index == len(stage) - 1 else 0
                y = layers.block(x, f"{key}.model.{index}", inner, width, outer, 1, squeeze)
                x = layers.apply("Add", x, y)
            inner = outer
    x = layers.conv_act(x, "conv_6_sep", inner, LAST, 1)
    # One kernel over all that is left.
    x = layers.conv(x, "conv_6_dw.conv", LAST, LAST, (side + 15) // 16, Window(groups=LAST), norm="conv_6_dw.bn")
    x = layers.linear(layers.flatten(x), "linear", LAST, EMBEDDING, bias=False, norm="bn")
    layers.one_of_three(layers.linear(x, "prob", EMBEDDING, CLASSES, bias=False), LIVE)
    return layers.end(side, 1)


class _FasLayers(TorchLayers):
    def conv_act(self, x: str, key: str, inner: int, outer: int, side: int, window: Window = PLAIN) -> str:
        """Convolution, normalisation, and a ReLU whose slope below 0 is learnt for each channel."""
        x = self.conv(x, f"{key}.conv", inner, outer, side, window, norm=f"{key}.bn")
        slope = self.state.take(f"{key}.prelu.weight", outer)[:, None, None]
        return self.apply("PRelu", x, self.chain.constant(slope))

    def block(self, x: str, key: str, inner: int, width: int, outer: int, stride: int, squeeze: int = 0) -> str:
        """Expand, filter each channel, project; `squeeze` parts the width of the gates, where it is above 0."""
        x = self.conv_act(x, f"{key}.conv", inner, width, 1)
        x = self.conv_act(x, f"{key}.conv_dw", width, width, 3, centred(3, stride, groups=width))
        x = self.conv(x, f"{key}.project.conv", width, outer, 1, norm=f"{key}.project.bn")
        if not squeeze:
            return x
        gates, key = self.mean_pool(x), f"{key}.se_module"
        gates = self.conv(gates, f"{key}.fc1", outer, outer // squeeze, 1, norm=f"{key}.bn1")
        gates = self.conv(self.apply("Relu", gates), f"{key}.fc2", outer // squeeze, outer, 1, norm=f"{key}.bn2")
        return self.apply("Mul", x, self.apply("Sigmoid", gates))

    def one_of_three(self, scores: str, index: int) -> str:
        """The logit of one class of three: `z_i - log(exp z_j + exp z_k)`, where no power can overflow."""
        one, *others = (self.column(scores, at) for at in (index, *({0, 1, 2} - {index})))
        greatest, least = self.apply("Max", *others), self.apply("Min", *others)
        rest = self.apply("Softplus", self.apply("Sub", least, greatest))
        return self.apply("Sub", one, self.apply("Add", greatest, rest))
