"""Turn a public checkpoint into a graph and a manifest entry that the fleet can serve."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import onnx
import yaml
from google.protobuf.message import DecodeError

from models.chain import shape_of
from models.checkpoints.reading import read_bytes, read_checkpoint, without_prefixes
from models.exceptions import CheckpointError, ImportIncomplete, ManifestError
from models.face_maps import FACE_MAPS
from models.faces import FaceDetector
from models.families.catalogue import ARCHITECTURES, Architecture, Format, recognised
from models.families.state import StateDict
from models.golden import Golden
from models.golden_making import keep_golden, make_golden, with_vector
from models.graph import prepare
from models.inference.provider_options import CPU
from models.inference.session import Session
from models.inference.watchdog import DEFAULT_LIMIT_S
from models.manifest import Entry, Family, Manifest, Role, Triple
from models.manifest_text import with_entry
from models.sources import locked, replacing

MANIFEST_NAME = "manifest.yaml"
# What a new manifest begins with: the fleet's own entries stay.
NEW_MANIFEST = "# Models that were imported, before those of the fleet.\nextends: builtin\nentries:\n"
# Where PyTorch's files of a format may keep the state dict, and what wrapping modules put before its names.
WRAPPERS: Mapping[Format, tuple[str, ...]] = MappingProxyType({Format.TIMM: ("state_dict", "model")})
PREFIXES: Mapping[Format, tuple[str, ...]] = MappingProxyType(
    {
        Format.DEEPFAKEBENCH: ("module.", "backbone."),
        Format.TIMM: ("module.",),
        Format.MINIFASNET: ("module.",),
    }
)
# The authors of these published weights of their own, under this licence.
PUBLISHED = MappingProxyType(
    {
        Format.MESONET_KERAS: ("Apache-2.0", "https://github.com/DariusAf/MesoNet"),
        Format.MINIFASNET: ("Apache-2.0", "https://github.com/minivision-ai/Silent-Face-Anti-Spoofing"),
    }
)
# `2.7_80x80_MiniFASNetV2.pth`, `4_0_0_80x80_MiniFASNetV1SE.pth`: the crop's side in face boxes comes first.
FAS_NAME = re.compile(r"(\d+(?:\.\d+)?)_.*80x80_MiniFASNet\w+\.pth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a checkpoint does not say of itself. What is left out is what its format implies."""

    licence: str | None = None
    origin: str | None = None
    version: str = "1"
    size: int | None = None
    colour: Literal["RGB", "BGR"] | None = None
    scale: float | None = None
    mean: Triple | None = None
    std: Triple | None = None
    crop: Literal["square", "aligned", "inside"] | None = None
    margin: float | None = None
    layout: Literal["logit", "sigmoid", "logits", "softmax"] | None = None
    fake_index: int | None = None


FACE_INPUTS: Mapping[Family, Mapping[str, Any]] = {
    Family.CENTERFACE: {"colour": "RGB", "scale": 1.0},
    Family.YUNET: {"colour": "BGR", "scale": 1.0},
}
"""What face detectors were trained to see."""


@dataclass(frozen=True, slots=True)
class _Network:
    """A graph as it is written, and what its format implies of how it is spoken to."""

    content: bytes
    family: Family
    input: Mapping[str, Any]
    output: Mapping[str, Any]


def import_checkpoint(
    file: Path,
    source: Format,
    *,
    architecture: str | None = None,
    name: str,
    role: Role | None = None,
    into: Path,
    facts: Facts = Facts(),
    limit_s: float = DEFAULT_LIMIT_S,
) -> Entry:
    """Write `INTO/NAME.onnx` and put its entry into `INTO/manifest.yaml`, in the place of its namesake.

    Nothing is written unless the graph loads and answers two pictures with finite logits.

    Args:
        file: the checkpoint; of format `onnx` the graph.
        source: who wrote it.
        architecture: one of `ARCHITECTURES`; recognised where it is not given. Of format `onnx` a family.
        name: of the entry.
        role: by default `liveness` for MiniFASNet, and `primary` otherwise.
        into: folder, made where it is not there.
        facts: what the checkpoint does not say.
        limit_s: how long an answer may take, seconds.

    Raises:
        CheckpointError: it cannot be read, or is not the architecture's.
        ImportIncomplete: a fact is missing that the format does not imply.
        ManifestError: a value cannot be, or the folder's manifest is unreadable.
        GraphInvalid, NonFiniteScore, InferenceTimeout: the graph does not serve.
        ExtraMissing: the package that reads such a file is not installed.
    """
    licence, origin = _published(name, source, facts)
    if source is Format.ONNX:
        network = _stored_graph(file, name, architecture, facts)
    else:
        network = _built_graph(file, source, architecture, facts)
    fields = {
        "name": name,
        "version": facts.version,
        "role": role or _usual_role(source, network.family),
        "family": network.family,
        "source": {"kind": "file", "path": f"{name}.onnx", "sha256": hashlib.sha256(network.content).hexdigest()},
        "licence": licence,
        "origin": origin,
        "input": _input_fields(network, facts),
        "output": _output_fields(name, network, facts),
    }
    golden = _try_out(fields, network.content, limit_s)
    into.mkdir(parents=True, exist_ok=True)
    return _put(fields, network.content, golden, into)


def _usual_role(source: Format, family: Family) -> Role:
    if family.value in FACE_MAPS:
        return Role.FACES
    return Role.LIVENESS if source is Format.MINIFASNET else Role.PRIMARY


def _published(name: str, source: Format, facts: Facts) -> tuple[str, str]:
    licence, origin = PUBLISHED.get(source, (None, None))
    licence, origin = facts.licence or licence, facts.origin or origin
    if licence is None or origin is None:
        problem = f"a checkpoint of {source} may be anyone's: say its licence and where it comes from"
        raise ImportIncomplete(name, "licence" if licence is None else "origin", problem)
    return licence, origin


def _built_graph(file: Path, source: Format, architecture: str | None, facts: Facts) -> _Network:
    """The graph built from a checkpoint's tensors."""
    known = ARCHITECTURES[source]
    if architecture is not None and architecture not in known:
        problem = f"{architecture} is none of {source}: {', '.join(known)}"
        raise ImportIncomplete(file.name, "architecture", problem)
    tensors = read_checkpoint(file, WRAPPERS.get(source, ()))
    state = StateDict(file.name, without_prefixes(file.name, tensors, PREFIXES.get(source, ())))
    chosen = known[architecture or recognised(state, source)]
    graph = chosen.build(state, _side(file.name, chosen, facts))
    taken = chosen.input.model_dump(exclude_defaults=True, mode="json")
    if source is Format.MINIFASNET and facts.margin is None:
        taken["crop"]["margin"] = _fas_margin(file)
    if chosen.output is None:
        classes = shape_of(graph.graph.output[0])[1]
        given: dict[str, Any] = {"layout": "logit" if classes == 1 else "logits"}
    else:
        given = {"layout": chosen.output.layout, "fake_index": chosen.output.fake_index}
    return _Network(graph.SerializeToString(deterministic=True), chosen.family, taken, given)


def _side(name: str, chosen: Architecture, facts: Facts) -> int:
    side = chosen.input.size or 0
    if facts.size not in {None, side} and not chosen.any_side:
        raise ImportIncomplete(name, "size", f"the architecture takes {side} pixels only")
    return facts.size or side


def _fas_margin(file: Path) -> float:
    """How much more than the face box a MiniFASNet sees, which only its file's name says."""
    found = FAS_NAME.fullmatch(file.name)
    if found is None:
        problem = f"{file.name} does not begin with the crop's side, as 2.7_80x80_MiniFASNetV2.pth does: say the margin"
        raise ImportIncomplete(file.name, "margin", problem)
    return round(float(found[1]) - 1, 6)


def _stored_graph(file: Path, name: str, architecture: str | None, facts: Facts) -> _Network:
    """A graph that somebody else exported; nothing in it says what it is or was trained to see."""
    if architecture not in set(Family):
        problem = f"a graph does not say its family: {', '.join(Family)}"
        raise ImportIncomplete(name, "architecture", problem)
    content = read_bytes(file)
    try:
        graph = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise CheckpointError(file.name, "file", f"is no ONNX graph: {error}") from error
    # Protocol buffers take an empty file, and some others, for a message without anything in it.
    if not graph.graph.node:
        raise CheckpointError(file.name, "file", "is no ONNX graph: it has no nodes")
    if architecture in FACE_MAPS:
        return _Network(content, Family(architecture), FACE_INPUTS[Family(architecture)], {"layout": architecture})
    if facts.layout is None:
        raise ImportIncomplete(name, "layout", "a graph does not say whether it answers scores or probabilities")
    stored = {tensor.name for tensor in graph.graph.initializer}
    shapes = [shape_of(value) for value in graph.graph.input if value.name not in stored]
    side = facts.size or (shapes[0][-1] if shapes and shapes[0] else None)
    if not isinstance(side, int):
        raise ImportIncomplete(name, "size", f"the graph takes pictures of any size ({shapes}): say which")
    return _Network(content, Family(architecture), {"size": side}, {})


def _input_fields(network: _Network, facts: Facts) -> dict[str, Any]:
    given = {"size": facts.size, "colour": facts.colour, "scale": facts.scale, "mean": facts.mean, "std": facts.std}
    crop = {"kind": facts.crop, "margin": facts.margin}
    fields = dict(network.input) | {key: value for key, value in given.items() if value is not None}
    told = dict(fields.get("crop", {})) | {key: value for key, value in crop.items() if value is not None}
    return fields | ({"crop": told} if told else {})


def _output_fields(name: str, network: _Network, facts: Facts) -> dict[str, Any]:
    given = {"layout": facts.layout, "fake_index": facts.fake_index}
    fields = dict(network.output) | {key: value for key, value in given.items() if value is not None}
    if "fake_index" not in fields and fields.get("layout") not in FACE_MAPS:
        problem = "the checkpoint does not say which class is fake; of one score: 1 where it grows with fake, else 0"
        raise ImportIncomplete(name, "fake_index", problem)
    return fields


def _try_out(fields: Mapping[str, Any], content: bytes, limit_s: float) -> Golden:
    """Fold, load and run the graph as a worker would, on a black picture and on noise; return its golden vector."""
    with TemporaryDirectory(prefix="fleet-import-") as folder:
        entry = _validated([fields], Path(folder) / MANIFEST_NAME).entries[0]
        weights = Path(folder) / "network.onnx"
        weights.write_bytes(content)
        graph = prepare(entry, weights, Path(folder))
        if entry.role is Role.FACES:
            # Opened, it has looked at a black frame.
            FaceDetector(entry, graph, provider=CPU, limit_s=limit_s).close()
            return make_golden(entry, weights, limit_s=limit_s).golden
        session = Session(entry, graph, provider=CPU, warm_up=False, limit_s=limit_s)
        noise = np.random.default_rng(1).integers(0, 256, (1, session.size, session.size, 3), np.uint8)
        session.run(np.concatenate([np.zeros_like(noise), noise]))
        return make_golden(entry, weights, limit_s=limit_s).golden


def _put(fields: Mapping[str, Any], content: bytes, golden: Golden, into: Path) -> Entry:
    """Write vector, graph and manifest, the manifest last: until then the entry before, if any, is refused by its hash.

    Nothing is written unless the manifest reads back with the entry.
    """
    path = into / MANIFEST_NAME
    entry = _validated([fields], path).entries[0]
    with locked(path):
        text = path.read_text(encoding="utf-8") if path.exists() else NEW_MANIFEST
        changed = with_entry(text, with_vector(entry, golden, into), into)
        try:
            document = yaml.safe_load(changed)
        except yaml.YAMLError as error:
            problem = f"does not indent its entries by two spaces, so none can be put in: {error}"
            raise ManifestError(str(path), "entries", problem) from error
        kept = Manifest.of(document, path).entry(entry.name)
        keep_golden(entry, golden, into)
        for file, written in ((into / f"{entry.name}.onnx", content), (path, changed.encode())):
            with replacing(file) as part:
                part.write(written)
    return kept


def _validated(entries: list[Mapping[str, Any]], path: Path) -> Manifest:
    return Manifest.of({"entries": entries}, path)
