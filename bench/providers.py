"""Every execution provider of the installed ONNX Runtime on the fleet's own graphs: speed, and whether answers hold.

For a trial of another distribution: install it in place of onnxruntime into an environment of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from agents.settings import ModelSettings
from bench.devices import NOT_MEASURED
from bench.networks import FRAME, Network, face_detector, shipped
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from models.golden import load_golden
from models.graph import prepare
from models.inference.cpus import available_cpus, has_vnni
from models.inference.installed import installed_runtimes, the_runtime
from models.inference.provider_options import CPU, PROVIDERS
from models.inference.providers import LOG_ERRORS_ONLY
from models.manifest import Entry

_ELSEWHERE = ("AzureExecutionProvider",)
"""Sends its work over the network."""
_FIRST = PROVIDERS[CPU]
_THREADS: Mapping[str, str] = {"OpenVINOExecutionProvider": "num_of_threads"}
"""The option by which a provider is told how many threads it may have, where it does not take the session's."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A provider, with one session for every batch size as the fleet has it, or one made for a single size."""

    provider: str
    fixed: bool

    @property
    def label(self) -> str:
        return self.provider.removesuffix("ExecutionProvider") + (", fixed batch" if self.fixed else "")


@dataclass(slots=True)
class _Seen:
    rates: list[float] = field(default_factory=list)
    """Images a second."""
    processor: list[float] = field(default_factory=list)
    """Seconds of processor time an image."""


_Lap = dict[_Way, _Seen]


def measure(run: Run) -> Section:
    """Measure the fleet's detectors, alternately."""
    offered = [each for each in ort.get_available_providers() if each not in _ELSEWHERE]
    # The CPU's own first: all others are held against it.
    order = sorted(offered, key=lambda provider: provider != _FIRST)
    ways = [_Way(provider, fixed) for provider in order for fixed in (False, True)]
    speed, answers, cache = [], [], ModelSettings().cache
    for network in (face_detector(cache), *shipped(cache)):
        run.tell(f"providers: {network.label}")
        graph = prepare(network.entry, network.weights, cache)
        for batch in network.entry.buckets:
            lap = _lap(network, graph, batch, ways, run)
            speed.append((network.label, f"{batch}", *_cells(lap, ways)))
        answers.append((network.label, f"{load_golden(network.entry).tolerance:g}", *_answers(network, graph, order)))
    runtime = the_runtime(installed_runtimes())
    columns = [ways[0].label, *(f"{way.label}: {what}" for way in ways[1:] for what in ("ratio", "CPU time"))]
    return Section(
        "Execution providers",
        (
            Table(
                f"Images a second by execution provider, {runtime} {version(runtime)}, {available_cpus()} threads",
                ("detector", "batch", *columns),
                tuple(speed),
                f"Ratios to {ways[0].label}, repetition by repetition, on the graphs that the fleet runs; CPU time is "
                "the first's over its own, which hardly depends on how busy the machine is. The fleet has one "
                "session for every batch size; a fixed batch lets a provider plan for one.",
            ),
            Table(
                "Do golden vectors hold? Largest difference of a logit, or of a score of faces",
                ("detector", "tolerance", *(way.label for way in ways if not way.fixed)),
                tuple(answers),
                "Beyond the tolerance a worker refuses the provider.",
            ),
        ),
    )


def _open(entry: Entry, graph: Path, way: _Way, batch: int) -> ort.InferenceSession | None:
    """Open a session as the fleet does; None where the provider's libraries do not load."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = available_cpus(), 1
    options.log_severity_level = LOG_ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if entry.full_range and not has_vnni():
        options.add_session_config_entry("session.x64quantprecision", "1")
    if way.fixed:
        for name, size in zip(("N", "H", "W"), (batch, *FRAME), strict=True):
            options.add_free_dimension_override_by_name(name, size)
    threads = _THREADS.get(way.provider)
    told = {} if threads is None else {threads: str(available_cpus())}
    session = ort.InferenceSession(graph, options, providers=[(way.provider, told)])
    return session if session.get_providers()[0] == way.provider else None


def _lap(network: Network, graph: Path, batch: int, ways: list[_Way], run: Run) -> _Lap:
    sessions = {way: _open(network.entry, graph, way, batch) for way in ways}
    images = network.images(batch)
    seen: _Lap = {way: _Seen() for way, session in sessions.items() if session is not None}
    for repetition in range(run.amount(7, 1)):
        # Rotated: whoever follows whom in one repetition does not in the next.
        turn = repetition % len(ways)
        for way in (*ways[turn:], *ways[:turn]):
            session = sessions[way]
            if session is not None:
                _note(seen[way], session, images, run.amount(0.5, 0.05))
    return seen


def _note(seen: _Seen, session: ort.InferenceSession, images: NDArray[np.uint8], seconds: float) -> None:
    feeds = {session.get_inputs()[0].name: images}
    session.run(None, feeds)
    began, processor, done = perf_counter(), process_time(), 0
    while perf_counter() - began < seconds:
        session.run(None, feeds)
        done += len(images)
    seen.rates.append(done / (perf_counter() - began))
    seen.processor.append((process_time() - processor) / done)


def _cells(lap: _Lap, ways: list[_Way]) -> list[str]:
    rates = {way: Samples(tuple(seen.rates)) for way, seen in lap.items()}
    processor = {way: Samples(tuple(seen.processor)) for way, seen in lap.items()}
    first = ways[0]
    cells = [rates[first].text()]
    for way in ways[1:]:
        if way in lap:
            cells += [rates[way].over(rates[first]).text(2), processor[first].over(processor[way]).text(2)]
        else:
            cells += [NOT_MEASURED] * 2
    return cells


def _answers(network: Network, graph: Path, providers: list[str]) -> list[str]:
    golden = load_golden(network.entry)
    cells = []
    for provider in providers:
        session = _open(network.entry, graph, _Way(provider, fixed=False), 1)
        if session is None:
            cells.append(NOT_MEASURED)
            continue
        first, output = session.get_inputs()[0].name, session.get_outputs()[0].name
        # One at a time: an encoder whose activations are quantised over the batch answers otherwise to two.
        answers = [session.run([output], {first: image[None]})[0].reshape(1, -1) for image in golden.images]
        difference = golden.difference(np.concatenate(answers))
        cells.append(f"{difference:.3f}, {'holds' if difference <= golden.tolerance else 'does not hold'}")
    return cells
