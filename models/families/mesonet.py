"""Meso-4 and MesoInception-4 of the MesoNet authors' Keras weights (Afchar et al. 2018, arXiv:1809.00888).

Source of the layers: `classifiers.py` of https://github.com/DariusAf/MesoNet.
"""

from itertools import count

import numpy as np
from onnx import ModelProto

from models.families.layers import Layers, Window, centred
from models.families.state import StateDict

SIDE = 256
# Keras's own, of BatchNormalization.
EPSILON = 1e-3
LEAK = 0.1


def meso4(state: StateDict, side: int = SIDE) -> ModelProto:
    """Meso-4: float32 RGB [N, 3, 256, 256] in 0-1 → logit of "real", float32 [N, 1].

    Raises:
        CheckpointError: the tensors are not this architecture's.
    """
    keras = _KerasLayers(state)
    x = keras.halve(keras.norm(keras.conv("input", 3, 8, 3), 8))
    x = keras.halve(keras.norm(keras.conv(x, 8, 8, 5), 8))
    return keras.last_layers(x, 8, side)


def meso_inception4(state: StateDict, side: int = SIDE) -> ModelProto:
    """MesoInception-4: float32 RGB [N, 3, 256, 256] in 0-1 → logit of "real", float32 [N, 1].

    Raises:
        CheckpointError: the tensors are not this architecture's.
    """
    keras = _KerasLayers(state)
    x = keras.halve(keras.norm(keras.inception("input", 3, (1, 4, 4, 2)), 11))
    x = keras.halve(keras.norm(keras.inception(x, 11, (2, 4, 4, 2)), 12))
    return keras.last_layers(x, 12, side)


class _KerasLayers(Layers):
    """Layers in the order of their creation, which is how Keras numbers them within their kind, from 1."""

    def __init__(self, state: StateDict) -> None:
        super().__init__(state, EPSILON)
        self._convs, self._norms, self._denses = count(1), count(1), count(1)

    def conv(self, x: str, inner: int, outer: int, side: int, dilation: int = 1) -> str:
        """A convolution that keeps the size, then ReLU."""
        name = f"conv2d_{next(self._convs)}"
        kernel = self.state.take(f"{name}.kernel", side, side, inner, outer).transpose(3, 2, 0, 1)
        bias = self.state.take(f"{name}.bias", outer)
        return self.apply("Relu", self.convolve(x, np.ascontiguousarray(kernel), bias, centred(side, 1, dilation)))

    def inception(self, x: str, inner: int, widths: tuple[int, int, int, int]) -> str:
        """Four branches side by side: 1², then 3² with dilation 1, 2 and 3 behind a 1² each."""
        branches = [self.conv(x, inner, widths[0], 1)]
        for dilation, width in enumerate(widths[1:], start=1):
            branches.append(self.conv(self.conv(x, inner, width, 1), width, width, 3, dilation))
        return self.apply("Concat", *branches, axis=1)

    def norm(self, x: str, width: int) -> str:
        """Batch normalisation. It comes after the ReLU, so no convolution can take it in."""
        name = f"batch_normalization_{next(self._norms)}"
        gamma, beta, mean = (self.state.take(f"{name}.{part}", width) for part in ("gamma", "beta", "moving_mean"))
        return self.normalise(x, gamma, beta, mean, self.state.take_variance(f"{name}.moving_variance", width))

    def halve(self, x: str) -> str:
        """The greatest of each 2²."""
        return self.max_pool(x, 2, Window(2))

    def dense(self, x: str, inner: int, outer: int) -> str:
        """A linear layer."""
        name = f"dense_{next(self._denses)}"
        return self.multiply(x, self.state.take(f"{name}.kernel", inner, outer), self.state.take(f"{name}.bias", outer))

    def last_layers(self, x: str, width: int, side: int) -> ModelProto:
        """The layers that both networks end with, and the graph of all."""
        x = self.halve(self.norm(self.conv(x, width, 16, 5), 16))
        x = self.max_pool(self.norm(self.conv(x, 16, 16, 5), 16), 4, Window(4))
        # Keras flattens with the channels last.
        x = self.flatten(self.chain.add("Transpose", [x], perm=[0, 2, 3, 1]))
        cells = (side // 32) ** 2
        x = self.apply("LeakyRelu", self.dense(x, cells * 16, 16), alpha=LEAK)
        # Keras puts a sigmoid behind it, which rounds the most certain answers to 0 and 1.
        self.dense(x, 16, 1)
        return self.end(side, 1)
