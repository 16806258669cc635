"""How fast the fleet's detectors judge crops on one core, against the bare graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from agents.settings import ModelSettings
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from models.graph import prepare
from models.inference.session import Session
from models.manifest import Entry, Manifest, Role
from models.sources import resolve

_ROLES = (Role.SCREEN, Role.PRIMARY, Role.SYNTHETIC)


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to judge a batch of crops."""

    crops: int
    run: Callable[[], object]


def measure(run: Run) -> Section:
    """Measure every detector of the manifest, on one core, alternately with its bare graph."""
    cache = ModelSettings().cache
    entries = [entry for entry in Manifest.load().entries if entry.role in _ROLES]
    ways: dict[str, tuple[_Way, _Way]] = {}
    for entry in entries:
        run.tell(f"detectors: loading {entry.name}")
        ways[entry.name] = _ways(entry, cache)
    repetitions, runs = run.amount(5, 2), run.amount(12, 1)
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ways}
    run.tell("detectors: judging crops")
    for pair in ways.values():
        for way in pair:
            way.run()
    for _ in range(repetitions):
        for name, pair in ways.items():
            for kept, way in zip(taken[name], pair, strict=True):
                kept.append(_rate(way, runs))
    rates = {name: (Samples(tuple(ours)), Samples(tuple(bare))) for name, (ours, bare) in taken.items()}
    return Section("Detectors", (_against_bare(entries, rates),))


def _ways(entry: Entry, cache: Path) -> tuple[_Way, _Way]:
    """The entry's session, and its graph as it comes, called with what that wants."""
    path = resolve(entry, cache)
    session = Session(entry, prepare(entry, path, cache), threads=1)
    count = entry.buckets[-1]
    crops = np.random.default_rng(1).integers(0, 256, (count, session.size, session.size, 3), dtype=np.uint8)
    bare, wanted = _bare(path), _normalised(entry, crops)
    return (
        _Way(count, lambda: session.run(crops)),
        _Way(count, lambda: bare.run(None, {bare.get_inputs()[0].name: wanted})),
    )


def _bare(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _normalised(entry: Entry, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Crops as the graph wants them, float32 [N, 3, S, S]; enlarged where it is larger than they are."""
    spec = entry.input
    side = spec.enlarge_to or crops.shape[1]
    nearest = np.arange(side) * crops.shape[1] // side
    large = crops[:, nearest][:, :, nearest].astype(np.float32) / 255
    scaled = (large - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def _rate(way: _Way, runs: int) -> float:
    """Crops a second of processor time."""
    began = process_time()
    for _ in range(runs):
        way.run()
    return runs * way.crops / (process_time() - began)


def _against_bare(entries: list[Entry], rates: Mapping[str, tuple[Samples, Samples]]) -> Table:
    rows = []
    for entry in entries:
        ours, bare = rates[entry.name]
        rows.append(
            (
                entry.name,
                entry.role,
                f"{entry.input.size}",
                f"{entry.buckets[-1]}",
                ours.text(0),
                bare.text(0),
                ours.over(bare).text(2),
            )
        )
    return Table(
        "Faces a second on one core",
        ("detector", "role", "px", "batch", "fleet", "bare graph", "ratio"),
        tuple(rows),
        "Processor time. `bare graph` is ONNX Runtime with the graph as it was exported, given float32 that is "
        "normalised already; the fleet's session takes uint8 crops, normalises, checks, and answers a calibrated "
        "logit and the heat map. A detector that leaves unused layers of its graph out can be above 1.",
    )
