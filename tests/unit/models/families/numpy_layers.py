"""Layers in plain NumPy, tap by tap, and weights that are drawn when a network asks for them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pads = int | tuple[int, int]


class Drawn:
    """A state dict that grows as a reference network asks for its tensors; the same key gives the same tensor."""

    def __init__(self, seed: int, gain: float = 2.0) -> None:
        self.tensors: dict[str, NDArray[np.generic]] = {}
        self._random = np.random.default_rng(seed)
        self._gain = gain

    def __call__(self, key: str, *shape: int) -> Array:
        if key not in self.tensors:
            self.tensors[key] = self._draw(key.rpartition(".")[2], shape)
        return np.asarray(self.tensors[key], np.float64)

    def batch_norm(self, key: str, width: int, epsilon: float = 1e-5) -> Callable[[Array], Array]:
        self.tensors[f"{key}.num_batches_tracked"] = np.array(7)
        gamma, beta = self(f"{key}.weight", width), self(f"{key}.bias", width)
        mean, variance = self(f"{key}.running_mean", width), self(f"{key}.running_var", width)
        return lambda x: normal(x, gamma, beta, mean, variance, epsilon)

    def _draw(self, part: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        if part == "kernel":
            drawn = self._random.normal(0, np.sqrt(self._gain / np.prod(shape[:-1])), shape)
        elif len(shape) > 1:
            drawn = self._random.normal(0, np.sqrt(self._gain / np.prod(shape[1:])), shape)
        elif part in {"weight", "gamma", "running_var", "moving_variance"}:
            drawn = self._random.uniform(0.5, 1.5, shape)
        else:
            drawn = self._random.normal(0, 0.1, shape)
        return drawn.astype(np.float32)


def conv(
    x: Array,
    weights: Array,
    bias: Array | None = None,
    *,
    stride: int = 1,
    pads: Pads = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Array:
    """[N, C, H, W] with weights [outer, C / groups, K, K], groups 1 or C."""
    before, after = (pads, pads) if isinstance(pads, int) else pads
    x = np.pad(x, ((0, 0), (0, 0), (before, after), (before, after)))
    side = weights.shape[2]
    reach = (side - 1) * dilation
    rows = (x.shape[2] - reach - 1) // stride + 1
    columns = (x.shape[3] - reach - 1) // stride + 1
    y = np.zeros((len(x), len(weights), rows, columns))
    for i in range(side):
        for j in range(side):
            shifted = x[:, :, i * dilation :: stride, j * dilation :: stride]
            tap = shifted[:, :, :rows, :columns]
            if groups == 1:
                y += np.einsum("oc,nchw->nohw", weights[:, :, i, j], tap, optimize=True)
            else:
                y += weights[:, 0, i, j][:, None, None] * tap
    return y if bias is None else y + bias[:, None, None]


def normal(x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float) -> Array:
    """Batch normalisation of [N, C, H, W] or [N, C]."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    gamma, beta, mean, variance = (part.reshape(shape) for part in (gamma, beta, mean, variance))
    return np.asarray((x - mean) / np.sqrt(variance + epsilon) * gamma + beta)


def group_normal(x: Array, gamma: Array, beta: Array, groups: int = 32, epsilon: float = 1e-5) -> Array:
    parts = x.reshape(len(x), groups, -1)
    parts = (parts - parts.mean(2, keepdims=True)) / np.sqrt(parts.var(2, keepdims=True) + epsilon)
    return np.asarray(parts.reshape(x.shape) * gamma[:, None, None] + beta[:, None, None])


def max_pool(x: Array, side: int, stride: int, pad: int = 0, fill: float = -np.inf) -> Array:
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), (2, 3))
    return np.asarray(windows[:, :, ::stride, ::stride].max((4, 5)))


def mean_pool(x: Array) -> Array:
    return np.asarray(x.mean((2, 3), keepdims=True))


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def relu6(x: Array) -> Array:
    return np.clip(x, 0, 6)


def leaky(x: Array) -> Array:
    return np.where(x < 0, 0.1 * x, x)


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def hard_sigmoid(x: Array) -> Array:
    return np.clip(x + 3, 0, 6) / 6


def swish(x: Array) -> Array:
    return x * sigmoid(x)


def hard_swish(x: Array) -> Array:
    return x * hard_sigmoid(x)
