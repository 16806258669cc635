"""Learnt weights of fusions: how several detectors of one axis become one calibrated logit."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from math import fsum
from pathlib import Path
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.exceptions import FusionError
from models.manifest import Entry, FusionSpec
from schemas.verdict import Axis

Probability = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, slots=True)
class FittedOn:
    """What weights were learnt from, and how well they did on faces whose group they were not learnt from."""

    description: str
    real: int
    """Real faces."""
    fake: int
    groups: int
    """Faces of one group (a file, a person) were never on both sides."""
    ridge: float
    seed: int
    auc: float
    auc_of_mean: float
    """Of the detectors' plain mean logit, on the same faces."""
    calibration_error: float
    calibration_error_of_mean: float


@dataclass(frozen=True, slots=True)
class FusionWeights:
    """A fusion: `logit = bias + Σ weight · logit of the detector`, whose sigmoid is a calibrated probability."""

    axis: Axis
    weights: Mapping[str, float]
    """≥ 0, by detector."""
    bias: float
    threshold: float
    """Calibrated probability from which the axis says manipulated."""
    fitted: FittedOn
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """The same for other shares of real faces above it, by rate; see `models.policy.rate_key`."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the detectors in the manifest; other ones speak another scale."""

    def logit(self, logits: Mapping[str, float]) -> float:
        """Return the fused logit of exactly these detectors' logits."""
        return self.bias + fsum(weight * logits[name] for name, weight in self.weights.items())


class _WeightsSpec(BaseModel):
    """`FusionWeights` as the file has it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    axis: Axis
    weights: Annotated[dict[str, Annotated[float, Field(ge=0)]], Field(min_length=1)]
    bias: float
    threshold: Probability
    thresholds: dict[str, Probability]
    versions: dict[str, str]
    fitted: FittedOn


_FILE: TypeAdapter[tuple[_WeightsSpec, ...]] = TypeAdapter(tuple[_WeightsSpec, ...])


@dataclass(frozen=True, slots=True)
class FusionTable:
    """All learnt fusions of a model set; empty where none was learnt."""

    fusions: tuple[FusionWeights, ...] = ()

    def find(self, axis: Axis, detectors: Iterable[str]) -> FusionWeights | None:
        """Return the fusion of exactly these detectors, if one was learnt."""
        wanted = frozenset(detectors)
        return next((each for each in self.fusions if each.axis is axis and each.weights.keys() == wanted), None)

    def to_bytes(self) -> bytes:
        """Return it as the JSON that `load_fusion` reads; equal tables have equal bytes."""
        options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
        return orjson.dumps(self.fusions, option=options)


NOTHING_LEARNT = FusionTable()


def load_fusion(spec: FusionSpec | None, entries: Iterable[Entry]) -> FusionTable:
    """Read and check the learnt fusions that a manifest names.

    Args:
        spec: of the manifest; without one nothing was learnt.
        entries: the models that may be loaded. Fusions of others are left out. Where an entry has a twin that runs
            in its place on a GPU, its fusions hold for that one, too.

    Raises:
        FusionError: the file is missing, another than the manifest names, unreadable, or was learnt for other versions.
    """
    if spec is None:
        return NOTHING_LEARNT
    try:
        content = spec.path.read_bytes()
    except OSError as error:
        raise FusionError("fusion", "path", f"{spec.path} cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != spec.sha256:
        raise FusionError("fusion", "sha256", f"{spec.path} has {digest}, the manifest says {spec.sha256}")
    known = tuple(entries)
    versions = {entry.name: entry.version for entry in known}
    table = FusionTable(tuple(_read(content, spec.path)))
    loaded = tuple(each for each in table.fusions if each.weights.keys() <= versions.keys())
    for fusion in loaded:
        for name in fusion.weights:
            if fusion.versions.get(name) != versions[name]:
                problem = f"learnt for {name} {fusion.versions.get(name)}, loaded is {versions[name]}; learn it again"
                raise FusionError("fusion", f"{fusion.axis}.versions.{name}", problem)
    twins = {entry.name: entry.on_gpu for entry in known if entry.on_gpu is not None}
    return FusionTable(tuple(each for fusion in loaded for each in _with_twins(fusion, twins)))


def _with_twins(fusion: FusionWeights, twins: Mapping[str, str]) -> Iterable[FusionWeights]:
    """The fusion, and the same with any of its detectors replaced by their twins, which are the same networks."""
    for names in product(*((name, twins[name]) if name in twins else (name,) for name in fusion.weights)):
        yield replace(fusion, weights=dict(zip(names, fusion.weights.values(), strict=True)))


def _read(content: bytes, path: Path) -> Iterable[FusionWeights]:
    try:
        specs = _FILE.validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "fusions"
        raise FusionError("fusion", where, f"in {path}: {first['msg']}") from error
    for spec in specs:
        yield FusionWeights(**{name: getattr(spec, name) for name in type(spec).model_fields})
