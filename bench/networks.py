"""The networks that are measured: those that the fleet ships, and one of every other family with drawn weights."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.families.catalogue import ARCHITECTURES, Format
from models.families.state import StateDict, Tensor
from models.manifest import Entry, FileSource, Manifest, OutputSpec, Role
from models.sources import resolve

SEED = 3
"""Of drawn weights."""
_GAIN = 1.0
"""Variance of a drawn kernel times its fan-in: sums stay finite in the deepest of them."""
_DRAWN = (
    (Format.DEEPFAKEBENCH, "effnb4", "EfficientNet-B4"),
    (Format.DEEPFAKEBENCH, "xception", "Xception"),
    (Format.TIMM, "mobilenetv3_large_100", "MobileNetV3 large"),
    (Format.MESONET_KERAS, "Meso4", "Meso-4"),
    (Format.MESONET_KERAS, "MesoInception4", "MesoInception-4"),
    (Format.TIMM, "resnetv2_50x1_bit", "BiT ResNet-50x1"),
    (Format.MINIFASNET, "MiniFASNetV2", "MiniFASNetV2"),
)
"""An architecture of each family of which no weights are shipped, and what it is called."""
FRAME = (384, 640)
"""Height and width of what a face detector is given of a frame of 16:9, pixels."""
_DETECTORS = (Role.PRIMARY, Role.SCREEN, Role.SYNTHETIC)


@dataclass(frozen=True, slots=True)
class Network:
    """A network to measure.

    Attributes:
        label: what tables and plots call it.
        drawn: whether its weights are drawn: it says nothing about faces, and takes as long as if it did.
    """

    label: str
    entry: Entry
    weights: Path
    drawn: bool

    def images(self, count: int) -> NDArray[np.uint8]:
        """Return noise of the size that it wants, uint8 [count, H, W, 3]."""
        side = self.entry.input.size
        sides = FRAME if side is None else (side, side)
        return np.random.default_rng(1).integers(0, 256, (count, *sides, 3), dtype=np.uint8)


def families(folder: Path, cache: Path) -> tuple[Network, ...]:
    """Return one network of every family; drawn ones are written into `folder`, once."""
    return (*drawn(folder), *shipped(cache, first_of_family=True))


def shipped(cache: Path, *, first_of_family: bool = False) -> tuple[Network, ...]:
    """Return the fleet's detectors of faces, in the order of the manifest."""
    entries: list[Entry] = []
    for entry in Manifest.load().entries:
        known = first_of_family and entry.family in {each.family for each in entries}
        if entry.role in _DETECTORS and not known:
            entries.append(entry)
    return tuple(
        Network(_label(entry, first_of_family), entry, resolve(entry, cache), drawn=False) for entry in entries
    )


def face_detector(cache: Path) -> Network:
    """Return the fleet's face detector; on a CPU it is given one frame at a time."""
    entry = Manifest.load().by_role(Role.FACES)[0]
    return Network(entry.name, entry.model_copy(update={"buckets": (1,)}), resolve(entry, cache), drawn=False)


def drawn(folder: Path) -> tuple[Network, ...]:
    """Return a network of every family that has no shipped weights."""
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(_drawn(folder, source, name, label) for source, name, label in _DRAWN)


def _label(entry: Entry, as_family: bool) -> str:
    return f"{entry.family} ({entry.name})" if as_family else entry.name


def _drawn(folder: Path, source: Format, name: str, label: str) -> Network:
    architecture = ARCHITECTURES[source][name]
    path = folder / f"{name}.onnx"
    if not path.exists():
        side = architecture.input.size or 0
        path.write_bytes(architecture.build(_DrawnTensors(name), side).SerializeToString(deterministic=True))
    entry = Entry(
        name=name.lower(),
        version="1",
        role=Role.PRIMARY,
        family=architecture.family,
        source=FileSource(kind="file", path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest()),
        licence="Apache-2.0",
        origin="bench/networks.py",
        input=architecture.input,
        # timm's checkpoints say nothing of their classes: one score.
        output=architecture.output or OutputSpec(layout="logit"),
    )
    return Network(label, entry, path, drawn=True)


class _DrawnTensors(StateDict):
    """A checkpoint that has every tensor it is asked for, drawn from a fixed seed."""

    def __init__(self, name: str) -> None:
        super().__init__(name, {})
        self._random = np.random.default_rng(SEED)

    def take(self, key: str, *shape: int) -> Tensor:
        """Draw the tensor of that name."""
        if len(shape) > 1:
            # Keras keeps the outer channels last, PyTorch first.
            inner = shape[:-1] if key.endswith("kernel") else shape[1:]
            return self._random.normal(0, np.sqrt(_GAIN / np.prod(inner)), shape).astype(np.float32)
        if key.rpartition(".")[2] in {"weight", "gamma"}:
            return self._random.uniform(0.5, 1.5, shape).astype(np.float32)
        return self._random.normal(0, 0.1, shape).astype(np.float32)

    def take_variance(self, key: str, width: int) -> Tensor:  # noqa: ARG002  (drawn alike, whatever its name)
        """Draw a variance."""
        return self._random.uniform(0.5, 1.5, width).astype(np.float32)

    def finish(self) -> None:
        """All that was asked for was there."""
