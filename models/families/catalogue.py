"""Which architectures a checkpoint may be of, by the format it is in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from onnx import ModelProto

from models.exceptions import CheckpointError
from models.families import bit, deepfakebench_mesonet, efficientnet, mesonet, minifasnet, mobilenet, xception
from models.families.state import StateDict
from models.manifest import CropSpec, Family, InputSpec, OutputSpec

Build = Callable[[StateDict, int], ModelProto]

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
AROUND_ZERO = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


class Format(StrEnum):
    """Who wrote a checkpoint, which says how its tensors are named."""

    DEEPFAKEBENCH = "deepfakebench"
    MESONET_KERAS = "mesonet-keras"
    TIMM = "timm"
    MINIFASNET = "minifasnet"
    ONNX = "onnx"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network that can be built from a checkpoint.

    Attributes:
        family: of the manifest.
        build: from the tensors and the side of the input; it gives `output`'s answer.
        mark: name of a tensor by which it is recognised, among those of its format, the first that fits.
        mark_width: first dimension of that tensor, where several have one of that name.
        input: what it was trained to see.
        output: what its answer means; none where the checkpoint does not say which class is fake.
        any_side: whether it takes pictures of any side; otherwise of `input.size` only.
    """

    family: Family
    build: Build
    mark: str
    input: InputSpec
    output: OutputSpec | None
    mark_width: int | None = None
    any_side: bool = False

    def fits(self, state: StateDict) -> bool:
        """Whether a checkpoint has the tensor that marks this architecture."""
        shape = state.shape(self.mark)
        return shape is not None and (self.mark_width is None or shape[:1] == (self.mark_width,))


# `preprocessing/preprocess.py` of DeepfakeBench turns faces upright by the same five points, 0.3 of the side around.
_BENCH_INPUT = InputSpec(size=256, crop=CropSpec(kind="aligned", margin=0.3), **AROUND_ZERO)
_BENCH_OUTPUT = OutputSpec(layout="logits", fake_index=1)
# `pipeline.py` of MesoNet cuts upright faces of 2.86 times the distance of eyes and mouth: 1.04 of the template.
_MESONET_INPUT = InputSpec(size=256, crop=CropSpec(kind="aligned", margin=0.05))
_MESONET_OUTPUT = OutputSpec(layout="logit", fake_index=0)
_TIMM_INPUT = InputSpec(size=224, **IMAGENET)
_FAS_INPUT = InputSpec(size=80, colour="BGR", scale=1.0, crop=CropSpec(kind="inside", margin=1.7))
_FAS_OUTPUT = OutputSpec(layout="logit", fake_index=0)
_FAS_GATE, _FAS_WIDTH = "conv_3.model.3.se_module.fc1.weight", "conv_3.model.1.conv.conv.weight"


def _fas(build: Build, mark: str, width: int | None) -> Architecture:
    return Architecture(Family.MINIFASNET, build, mark, _FAS_INPUT, _FAS_OUTPUT, width)


ARCHITECTURES: Mapping[Format, Mapping[str, Architecture]] = MappingProxyType(
    {
        Format.DEEPFAKEBENCH: {
            "effnb4": Architecture(
                Family.EFFICIENTNET_B4,
                efficientnet.efficientnet_b4,
                "efficientnet._conv_stem.weight",
                _BENCH_INPUT,
                _BENCH_OUTPUT,
            ),
            "xception": Architecture(
                Family.XCEPTION, xception.xception, "block12.skip.weight", _BENCH_INPUT, _BENCH_OUTPUT
            ),
            "meso4Inception": Architecture(
                Family.MESONET,
                deepfakebench_mesonet.meso_inception4,
                "Incption1_conv1.weight",
                _BENCH_INPUT,
                _BENCH_OUTPUT,
            ),
            "meso4": Architecture(
                Family.MESONET, deepfakebench_mesonet.meso4, "conv4.weight", _BENCH_INPUT, _BENCH_OUTPUT
            ),
        },
        Format.MESONET_KERAS: {
            "MesoInception4": Architecture(
                Family.MESONET, mesonet.meso_inception4, "conv2d_16.kernel", _MESONET_INPUT, _MESONET_OUTPUT
            ),
            "Meso4": Architecture(Family.MESONET, mesonet.meso4, "conv2d_4.kernel", _MESONET_INPUT, _MESONET_OUTPUT),
        },
        Format.TIMM: {
            "mobilenetv3_large_100": Architecture(
                Family.MOBILENET,
                mobilenet.mobilenet_v3_large,
                "blocks.6.0.conv.weight",
                _TIMM_INPUT,
                None,
                any_side=True,
            ),
            "mobilenetv2_100": Architecture(
                Family.MOBILENET, mobilenet.mobilenet_v2, "blocks.6.0.conv_pwl.weight", _TIMM_INPUT, None, any_side=True
            ),
            "resnetv2_50x1_bit": Architecture(
                Family.BIT,
                bit.resnetv2_50x1,
                "stem.conv.weight",
                InputSpec(size=224, **AROUND_ZERO),
                None,
                any_side=True,
            ),
        },
        Format.MINIFASNET: {
            "MiniFASNetV1SE": Architecture(
                Family.MINIFASNET, minifasnet.minifasnet_v1_se, _FAS_GATE, _FAS_INPUT, _FAS_OUTPUT
            ),
            "MiniFASNetV1": _fas(minifasnet.minifasnet_v1, _FAS_WIDTH, 26),
            "MiniFASNetV2": _fas(minifasnet.minifasnet_v2, _FAS_WIDTH, 13),
        },
    }
)


def recognised(state: StateDict, source: Format) -> str:
    """Name of the architecture that a checkpoint is of.

    Raises:
        CheckpointError: of none that the format has.
    """
    for name, architecture in ARCHITECTURES[source].items():
        if architecture.fits(state):
            return name
    marks = ", ".join(f"{name} ({each.mark})" for name, each in ARCHITECTURES[source].items())
    raise CheckpointError(state.name, "architecture", f"has no tensor that marks one of {source}: {marks}")
