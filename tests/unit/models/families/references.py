"""The networks in plain NumPy, from their public definitions; they share nothing with the builders."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from models.families.catalogue import Format
from tests.unit.models.families.numpy_layers import (
    Array,
    Drawn,
    conv,
    group_normal,
    hard_sigmoid,
    hard_swish,
    leaky,
    max_pool,
    mean_pool,
    normal,
    relu,
    relu6,
    sigmoid,
    swish,
)

Network = Callable[[Drawn, Array], Array]


def effnb4(w: Drawn, x: Array) -> Array:
    # Repeats, kernel, stride, expansion, channels out, padding of the first block for a picture of 380 pixels.
    stages = (
        (2, 3, 1, 1, 24, (1, 1)),
        (4, 3, 2, 6, 32, (0, 1)),
        (4, 5, 2, 6, 56, (2, 2)),
        (6, 3, 2, 6, 112, (0, 1)),
        (6, 5, 1, 6, 160, (2, 2)),
        (8, 5, 2, 6, 272, (1, 2)),
        (2, 3, 1, 6, 448, (1, 1)),
    )

    def norm(key: str, width: int, x: Array) -> Array:
        return w.batch_norm(f"efficientnet.{key}", width, 1e-3)(x)

    x = swish(norm("_bn0", 48, conv(x, w("efficientnet._conv_stem.weight", 48, 3, 3, 3), stride=2)))
    inner, number = 48, 0
    for repeats, side, first_stride, expansion, outer, first_pads in stages:
        for repeat in range(repeats):
            key, taken, width = f"_blocks.{number}", x, inner * expansion
            stride, pads = (first_stride, first_pads) if repeat == 0 else (1, (side // 2, side // 2))
            if expansion != 1:
                x = conv(x, w(f"efficientnet.{key}._expand_conv.weight", width, inner, 1, 1))
                x = swish(norm(f"{key}._bn0", width, x))
            kernel = w(f"efficientnet.{key}._depthwise_conv.weight", width, 1, side, side)
            x = swish(norm(f"{key}._bn1", width, conv(x, kernel, stride=stride, pads=pads, groups=width)))
            parts = f"efficientnet.{key}._se_reduce", f"efficientnet.{key}._se_expand"
            x = x * sigmoid(_gates(w, *parts, x, inner // 4, swish))
            x = norm(f"{key}._bn2", outer, conv(x, w(f"efficientnet.{key}._project_conv.weight", outer, width, 1, 1)))
            if stride == 1 and inner == outer:
                x = x + taken
            inner, number = outer, number + 1
    x = swish(norm("_bn1", 1792, conv(x, w("efficientnet._conv_head.weight", 1792, 448, 1, 1))))
    return _linear(w, "last_layer", x.mean((2, 3)), 2)


def _gates(w: Drawn, reduce: str, expand: str, x: Array, inner: int, act: Callable[[Array], Array]) -> Array:
    width = x.shape[1]
    y = act(conv(mean_pool(x), w(f"{reduce}.weight", inner, width, 1, 1), w(f"{reduce}.bias", inner)))
    return conv(y, w(f"{expand}.weight", width, inner, 1, 1), w(f"{expand}.bias", width))


def _linear(w: Drawn, key: str, x: Array, outer: int) -> Array:
    return np.asarray(x @ w(f"{key}.weight", outer, x.shape[1]).T + w(f"{key}.bias", outer))


def xception(w: Drawn, x: Array) -> Array:
    def separable(key: str, x: Array, outer: int) -> Array:
        inner = x.shape[1]
        x = conv(x, w(f"{key}.conv1.weight", inner, 1, 3, 3), pads=1, groups=inner)
        return conv(x, w(f"{key}.pointwise.weight", outer, inner, 1, 1))

    x = relu(w.batch_norm("bn1", 32)(conv(x, w("conv1.weight", 32, 3, 3, 3), stride=2)))
    x = relu(w.batch_norm("bn2", 64)(conv(x, w("conv2.weight", 64, 32, 3, 3))))
    for number in range(1, 13):
        key, taken, inner = f"block{number}", x, x.shape[1]
        outer = {1: 128, 2: 256, 3: 728, 12: 1024}.get(number, 728)
        if number in {1, 2, 3, 12}:
            between = inner if number == 12 else outer
            first = 0 if number == 1 else 1
            x = w.batch_norm(f"{key}.rep.{first + 1}", between)(
                separable(f"{key}.rep.{first}", x if number == 1 else relu(x), between)
            )
            x = w.batch_norm(f"{key}.rep.{first + 4}", outer)(separable(f"{key}.rep.{first + 3}", relu(x), outer))
            skip = conv(taken, w(f"{key}.skip.weight", outer, inner, 1, 1), stride=2)
            x = max_pool(x, 3, 2, 1) + w.batch_norm(f"{key}.skipbn", outer)(skip)
        else:
            for at in (1, 4, 7):
                x = w.batch_norm(f"{key}.rep.{at + 1}", 728)(separable(f"{key}.rep.{at}", relu(x), 728))
            x = x + taken
    x = relu(w.batch_norm("bn3", 1536)(separable("conv3", x, 1536)))
    x = relu(w.batch_norm("bn4", 2048)(separable("conv4", x, 2048)))
    # There, and used by other detectors only.
    w("adjust_channel.0.weight", 512, 2048, 1, 1)
    w.batch_norm("adjust_channel.1", 512)
    return _linear(w, "last_linear", x.mean((2, 3)), 2)


def bench_meso4(w: Drawn, x: Array) -> Array:
    for number, (outer, side, norm, pool) in enumerate(
        ((8, 3, "bn1", 2), (8, 5, "bn1", 2), (16, 5, "bn2", 2), (16, 5, "bn2", 4)), 1
    ):
        x = relu(conv(x, w(f"conv{number}.weight", outer, x.shape[1], side, side), pads=side // 2))
        x = max_pool(w.batch_norm(norm, outer)(x), pool, pool)
    return _linear(w, "fc2", leaky(_linear(w, "fc1", x.reshape(len(x), -1), 16)), 2)


def bench_meso_inception4(w: Drawn, x: Array) -> Array:
    for number, first in ((1, 1), (2, 2)):
        inner, key = x.shape[1], f"Incption{number}"
        branches = [conv(x, w(f"{key}_conv1.weight", first, inner, 1, 1))]
        for branch, width in ((2, 4), (3, 4), (4, 2)):
            y = conv(x, w(f"{key}_conv{branch}_1.weight", width, inner, 1, 1))
            kernel = w(f"{key}_conv{branch}_2.weight", width, width, 3, 3)
            branches.append(conv(y, kernel, pads=branch - 1, dilation=branch - 1))
        joined = np.concatenate(branches, 1)
        x = max_pool(w.batch_norm(f"{key}_bn", joined.shape[1])(joined), 2, 2)
    for number, pool in ((1, 2), (2, 4)):
        x = relu(conv(x, w(f"conv{number}.weight", 16, x.shape[1], 5, 5), pads=2))
        x = max_pool(w.batch_norm("bn1", 16)(x), pool, pool)
    return _linear(w, "fc2", leaky(_linear(w, "fc1", x.reshape(len(x), -1), 16)), 2)


def _keras_conv(w: Drawn, number: int, x: Array, outer: int, side: int, dilation: int = 1) -> Array:
    kernel = w(f"conv2d_{number}.kernel", side, side, x.shape[1], outer).transpose(3, 2, 0, 1)
    return relu(conv(x, kernel, w(f"conv2d_{number}.bias", outer), pads=dilation * (side // 2), dilation=dilation))


def _keras_norm(w: Drawn, number: int, x: Array) -> Array:
    key, width = f"batch_normalization_{number}", x.shape[1]
    mean, variance = w(f"{key}.moving_mean", width), w(f"{key}.moving_variance", width)
    return normal(x, w(f"{key}.gamma", width), w(f"{key}.beta", width), mean, variance, 1e-3)


def _keras_end(w: Drawn, x: Array, convs: tuple[int, int]) -> Array:
    x = max_pool(_keras_norm(w, 3, _keras_conv(w, convs[0], x, 16, 5)), 2, 2)
    x = max_pool(_keras_norm(w, 4, _keras_conv(w, convs[1], x, 16, 5)), 4, 4)
    flat = x.transpose(0, 2, 3, 1).reshape(len(x), -1)
    hidden = leaky(flat @ w("dense_1.kernel", flat.shape[1], 16) + w("dense_1.bias", 16))
    return np.asarray(hidden @ w("dense_2.kernel", 16, 1) + w("dense_2.bias", 1))


def keras_meso4(w: Drawn, x: Array) -> Array:
    x = max_pool(_keras_norm(w, 1, _keras_conv(w, 1, x, 8, 3)), 2, 2)
    x = max_pool(_keras_norm(w, 2, _keras_conv(w, 2, x, 8, 5)), 2, 2)
    return _keras_end(w, x, (3, 4))


def keras_meso_inception4(w: Drawn, x: Array) -> Array:
    for layer, first, start in ((1, 1, 1), (2, 2, 8)):
        branches = [_keras_conv(w, start, x, first, 1)]
        for dilation, width in ((1, 4), (2, 4), (3, 2)):
            y = _keras_conv(w, start + 2 * dilation - 1, x, width, 1)
            branches.append(_keras_conv(w, start + 2 * dilation, y, width, 3, dilation))
        x = max_pool(_keras_norm(w, layer, np.concatenate(branches, 1)), 2, 2)
    return _keras_end(w, x, (15, 16))


def mobilenet_v2(w: Drawn, x: Array) -> Array:
    x = relu6(w.batch_norm("bn1", 32)(conv(x, w("conv_stem.weight", 32, 3, 3, 3), stride=2, pads=1)))
    x = conv(x, w("blocks.0.0.conv_dw.weight", 32, 1, 3, 3), pads=1, groups=32)
    x = conv(relu6(w.batch_norm("blocks.0.0.bn1", 32)(x)), w("blocks.0.0.conv_pw.weight", 16, 32, 1, 1))
    x = w.batch_norm("blocks.0.0.bn2", 16)(x)
    for stage, (outer, repeats, stride) in enumerate(
        ((24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)), 1
    ):
        for repeat in range(repeats):
            step = stride if repeat == 0 else 1
            x = _inverted(w, f"blocks.{stage}.{repeat}", x, x.shape[1] * 6, outer, 3, step, relu6, 0)
    x = relu6(w.batch_norm("bn2", 1280)(conv(x, w("conv_head.weight", 1280, 320, 1, 1))))
    return _linear(w, "classifier", x.mean((2, 3)), 2)


def mobilenet_v3_large(w: Drawn, x: Array) -> Array:
    x = hard_swish(w.batch_norm("bn1", 16)(conv(x, w("conv_stem.weight", 16, 3, 3, 3), stride=2, pads=1)))
    y = conv(x, w("blocks.0.0.conv_dw.weight", 16, 1, 3, 3), pads=1, groups=16)
    y = conv(relu(w.batch_norm("blocks.0.0.bn1", 16)(y)), w("blocks.0.0.conv_pw.weight", 16, 16, 1, 1))
    x = w.batch_norm("blocks.0.0.bn2", 16)(y) + x
    # Block, channels between, out, kernel, stride, act, channels of the gates.
    for key, width, outer, side, stride, act, gates in (
        ("1.0", 64, 24, 3, 2, relu, 0),
        ("1.1", 72, 24, 3, 1, relu, 0),
        ("2.0", 72, 40, 5, 2, relu, 24),
        ("2.1", 120, 40, 5, 1, relu, 32),
        ("2.2", 120, 40, 5, 1, relu, 32),
        ("3.0", 240, 80, 3, 2, hard_swish, 0),
        ("3.1", 200, 80, 3, 1, hard_swish, 0),
        ("3.2", 184, 80, 3, 1, hard_swish, 0),
        ("3.3", 184, 80, 3, 1, hard_swish, 0),
        ("4.0", 480, 112, 3, 1, hard_swish, 120),
        ("4.1", 672, 112, 3, 1, hard_swish, 168),
        ("5.0", 672, 160, 5, 2, hard_swish, 168),
        ("5.1", 960, 160, 5, 1, hard_swish, 240),
        ("5.2", 960, 160, 5, 1, hard_swish, 240),
    ):
        x = _inverted(w, f"blocks.{key}", x, width, outer, side, stride, act, gates)
    x = hard_swish(w.batch_norm("blocks.6.0.bn1", 960)(conv(x, w("blocks.6.0.conv.weight", 960, 160, 1, 1))))
    x = conv(mean_pool(x), w("conv_head.weight", 1280, 960, 1, 1), w("conv_head.bias", 1280))
    return _linear(w, "classifier", hard_swish(x)[:, :, 0, 0], 2)


def _inverted(
    w: Drawn,
    key: str,
    x: Array,
    width: int,
    outer: int,
    side: int,
    stride: int,
    act: Callable[[Array], Array],
    gates: int,
) -> Array:
    taken, inner = x, x.shape[1]
    x = act(w.batch_norm(f"{key}.bn1", width)(conv(x, w(f"{key}.conv_pw.weight", width, inner, 1, 1))))
    x = conv(x, w(f"{key}.conv_dw.weight", width, 1, side, side), stride=stride, pads=side // 2, groups=width)
    x = act(w.batch_norm(f"{key}.bn2", width)(x))
    if gates:
        x = x * hard_sigmoid(_gates(w, f"{key}.se.conv_reduce", f"{key}.se.conv_expand", x, gates, relu))
    x = w.batch_norm(f"{key}.bn3", outer)(conv(x, w(f"{key}.conv_pwl.weight", outer, width, 1, 1)))
    return x + taken if stride == 1 and inner == outer else x


def resnetv2_50x1_bit(w: Drawn, x: Array) -> Array:
    def standardised(key: str, *shape: int) -> Array:
        kernel = w(f"{key}.weight", *shape)
        flat = kernel.reshape(len(kernel), -1)
        flat = (flat - flat.mean(1, keepdims=True)) / np.sqrt(flat.var(1, keepdims=True) + 1e-8)
        return np.asarray(flat.reshape(kernel.shape))

    def norm(key: str, x: Array) -> Array:
        width = x.shape[1]
        return relu(group_normal(x, w(f"{key}.weight", width), w(f"{key}.bias", width)))

    x = conv(x, standardised("stem.conv", 64, 3, 7, 7), stride=2, pads=3)
    x = max_pool(x, 3, 2, 1, fill=0)
    for stage, (blocks, width, outer) in enumerate(((3, 64, 256), (4, 128, 512), (6, 256, 1024), (3, 512, 2048))):
        for number in range(blocks):
            key, inner = f"stages.{stage}.blocks.{number}", x.shape[1]
            stride = 2 if stage > 0 and number == 0 else 1
            first = norm(f"{key}.norm1", x)
            if number == 0:
                x = conv(first, standardised(f"{key}.downsample.conv", outer, inner, 1, 1), stride=stride)
            y = norm(f"{key}.norm2", conv(first, standardised(f"{key}.conv1", width, inner, 1, 1)))
            y = conv(y, standardised(f"{key}.conv2", width, width, 3, 3), stride=stride, pads=1)
            x = conv(norm(f"{key}.norm3", y), standardised(f"{key}.conv3", outer, width, 1, 1)) + x
    x = mean_pool(norm("norm", x))
    return conv(x, w("head.fc.weight", 2, 2048, 1, 1), w("head.fc.bias", 2))[:, :, 0, 0]


# The tables `keep_dict` of the published code, which list the channels along the way.
V1_KEEP = (
    "32 32 103 103 64 13 13 64 26 26 64 13 13 64 52 52 64 231 231 128 154 154 128 52 52 128 26 26 128 52 52 128 "
    "26 26 128 26 26 128 308 308 128 26 26 128 26 26 128 512 512"
)
V2_KEEP = (
    "32 32 103 103 64 13 13 64 13 13 64 13 13 64 13 13 64 231 231 128 231 231 128 52 52 128 26 26 128 77 77 128 "
    "26 26 128 26 26 128 308 308 128 26 26 128 26 26 128 512 512"
)


def _minifasnet(keep: str, *, gated: bool) -> Network:
    def network(w: Drawn, x: Array) -> Array:
        scores = _minifasnet_scores(w, x, [int(number) for number in keep.split()], gated)
        # softmax(scores)[1] as a logit.
        return np.asarray(scores[:, 1] - np.logaddexp(scores[:, 0], scores[:, 2]))[:, None]

    return network


def _minifasnet_scores(w: Drawn, x: Array, keep: list[int], gated: bool) -> Array:
    def block(key: str, x: Array, outer: int, side: int, stride: int = 1, pads: int = 0, groups: int = 1) -> Array:
        inner = x.shape[1] if groups == 1 else 1
        x = conv(x, w(f"{key}.conv.weight", outer, inner, side, side), stride=stride, pads=pads, groups=groups)
        return w.batch_norm(f"{key}.bn", outer)(x)

    def act(key: str, x: Array) -> Array:
        return np.where(x < 0, w(f"{key}.prelu.weight", x.shape[1])[:, None, None] * x, x)

    def depthwise(key: str, x: Array, widths: list[int], stride: int) -> Array:
        x = act(f"{key}.conv", block(f"{key}.conv", x, widths[0], 1))
        x = act(f"{key}.conv_dw", block(f"{key}.conv_dw", x, widths[1], 3, stride, 1, widths[1]))
        return block(f"{key}.project", x, widths[2], 1)

    def gates(key: str, x: Array) -> Array:
        width = x.shape[1]
        y = conv(mean_pool(x), w(f"{key}.fc1.weight", width // 4, width, 1, 1))
        y = conv(relu(w.batch_norm(f"{key}.bn1", width // 4)(y)), w(f"{key}.fc2.weight", width, width // 4, 1, 1))
        return sigmoid(w.batch_norm(f"{key}.bn2", width)(y))

    x = act("conv1", block("conv1", x, keep[0], 3, 2, 1))
    x = act("conv2_dw", block("conv2_dw", x, keep[1], 3, 1, 1, keep[1]))
    at = 2
    for name, blocks in (("conv_23", 0), ("conv_3", 4), ("conv_34", 0), ("conv_4", 6), ("conv_45", 0), ("conv_5", 2)):
        if blocks == 0:
            x = depthwise(name, x, keep[at : at + 3], 2)
            at += 3
        for number in range(blocks):
            key = f"{name}.model.{number}"
            y = depthwise(key, x, keep[at : at + 3], 1)
            if gated and number == blocks - 1:
                y = y * gates(f"{key}.se_module", y)
            x, at = x + y, at + 3
    x = act("conv_6_sep", block("conv_6_sep", x, keep[at], 1))
    x = block("conv_6_dw", x, 512, 5, groups=512)[:, :, 0, 0]
    x = w.batch_norm("bn", 128)(x @ w("linear.weight", 128, 512).T)
    return np.asarray(x @ w("prob.weight", 3, 128).T)


@dataclass(frozen=True)
class Reference:
    """A network, the side it is tried at, and the gain that keeps its random answers near 1."""

    source: Format
    network: Network
    side: int
    gain: float = 2.0


REFERENCES: Mapping[str, Reference] = {
    "effnb4": Reference(Format.DEEPFAKEBENCH, effnb4, 96, 1.7),
    "xception": Reference(Format.DEEPFAKEBENCH, xception, 96, 0.9),
    "meso4": Reference(Format.DEEPFAKEBENCH, bench_meso4, 64),
    "meso4Inception": Reference(Format.DEEPFAKEBENCH, bench_meso_inception4, 64),
    "Meso4": Reference(Format.MESONET_KERAS, keras_meso4, 64),
    "MesoInception4": Reference(Format.MESONET_KERAS, keras_meso_inception4, 64),
    "mobilenetv2_100": Reference(Format.TIMM, mobilenet_v2, 64),
    "mobilenetv3_large_100": Reference(Format.TIMM, mobilenet_v3_large, 64, 1.7),
    "resnetv2_50x1_bit": Reference(Format.TIMM, resnetv2_50x1_bit, 64),
    "MiniFASNetV1": Reference(Format.MINIFASNET, _minifasnet(V1_KEEP, gated=False), 80, 0.6),
    "MiniFASNetV2": Reference(Format.MINIFASNET, _minifasnet(V2_KEEP, gated=False), 80, 0.6),
    "MiniFASNetV1SE": Reference(Format.MINIFASNET, _minifasnet(V1_KEEP, gated=True), 80, 0.6),
}
