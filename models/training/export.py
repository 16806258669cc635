"""Turn a trained network into the ONNX graph that is shipped."""

import warnings
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime as ort
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn

from models.training.network import BlendDetector, load_weights

INPUT = "input"
LOGIT = "logit"
CELLS = "cells"
"""Names of the graph's input and outputs: the logit, and the logits of the map whose mean it is of."""


class _Answering(nn.Module):  # type: ignore[misc]  # without the extra, torch has no types
    """The network on normalised crops."""

    def __init__(self, network: BlendDetector) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Judge crops float32 [N, 3, S, S], normalised: logits [N, 1], logits of the map [N, S/16, S/16]."""
        logits, cells = self.network.judge(images)
        return logits[:, None], cells


def load_trained(checkpoint: Path) -> BlendDetector:
    """Return the network with the averaged weights of a checkpoint, in evaluation mode.

    Raises:
        FileNotFoundError: there is none.
    """
    network = BlendDetector()
    load_weights(network, checkpoint)
    network.eval()
    return network


def export(network: BlendDetector, size: int, path: Path) -> None:
    """Write the network's graph: fp32, any batch, batch normalisation folded into the convolutions.

    Args:
        network: trained.
        size: side of its crops, pixels.
        path: of the ONNX file.
    """
    answering = _Answering(_padded(network.cpu(), size)).eval()
    outputs = (LOGIT, CELLS)
    with TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.onnx"
        with warnings.catch_warnings():
            # The exporter that needs no further package is the older one, and says so; and what it cannot fold.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.filterwarnings("ignore", "Constant folding", UserWarning)
            torch.onnx.export(
                answering,
                (torch.zeros(1, 3, size, size),),
                raw,
                dynamo=False,
                opset_version=17,
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic_axes={name: {0: "N"} for name in (INPUT, *outputs)},
            )
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(raw, options, providers=["CPUExecutionProvider"])


class _Padded(nn.Module):  # type: ignore[misc]  # without the extra, torch has no types
    """A convolution with padding of known width, which ONNX Runtime takes into it."""

    def __init__(self, convolution: nn.Conv2d, padding: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.convolution = convolution
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve."""
        of = self.convolution
        x = nn.functional.pad(x, self.padding)
        return nn.functional.conv2d(x, of.weight, of.bias, of.stride, 0, of.dilation, of.groups)


def _padded(network: BlendDetector, size: int) -> BlendDetector:
    """The network with TensorFlow's SAME padding, which depends on the input, worked out for one size."""
    copy = deepcopy(network)
    copy.eval()
    sides: dict[str, tuple[int, int]] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, given, name=name: sides.update({name: given[0].shape[-2:]}))
        for name, module in copy.named_modules()
        if isinstance(module, Conv2dSame)
    ]
    with torch.inference_mode():
        copy.judge(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    for name, (height, width) in sides.items():
        convolution = copy.get_submodule(name)
        top, bottom = _same(height, convolution.kernel_size[0], convolution.stride[0])
        left, right = _same(width, convolution.kernel_size[1], convolution.stride[1])
        copy.set_submodule(name, _Padded(convolution, (left, right, top, bottom)))
    return copy


def _same(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's padding before and after, so that ceil(length / stride) places remain."""
    total = max(0, (-(-length // stride) - 1) * stride + kernel - length)
    return total // 2, total - total // 2
