"""What it takes to open a model: time, without and with a prepared graph in the cache, and memory."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

from agents.settings import ModelSettings
from bench.devices import LABELS, NOT_MEASURED
from bench.networks import Network, families
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from models.graph import prepare
from models.inference.admission import MIB
from models.inference.footprint import Footprint, measure_footprint
from models.inference.session import Session

_Starts = Mapping[str, tuple[Samples, Samples]]
"""Seconds without and with a prepared graph, by provider."""


def measure(run: Run) -> Section:
    """Measure every family on the run's providers."""
    cache = ModelSettings().cache
    starts: list[tuple[Network, _Starts]] = []
    memory: list[tuple[Network, Mapping[str, str]]] = []
    for network in families(run.shared("networks"), cache):
        run.tell(f"opening: {network.label}")
        room = run.room(f"opening-{network.entry.name}")
        starts.append((network, {each: _starts(network, each, room, run.amount(3, 1)) for each in run.providers}))
        graph = prepare(network.entry, network.weights, room)
        memory.append((network, {provider: _peak(network, graph, provider) for provider in run.providers}))
    return Section("Opening a model", (_start_table(starts), _memory_table(memory)))


def _starts(network: Network, provider: str, room: Path, repetitions: int) -> tuple[Samples, Samples]:
    without, prepared = [], []
    for repetition in range(repetitions):
        cache = room / f"{provider}-{repetition}"
        without.append(_start(network, provider, cache))
        prepared.append(_start(network, provider, cache))
        shutil.rmtree(cache)
    return Samples(tuple(without)), Samples(tuple(prepared))


def _start(network: Network, provider: str, cache: Path) -> float:
    """Seconds until the first real crop can be scored: every bucket has run once."""
    began = perf_counter()
    Session(network.entry, prepare(network.entry, network.weights, cache), provider=provider).close()
    return perf_counter() - began


def _peak(network: Network, graph: Path, provider: str) -> str:
    measured = measure_footprint(network.entry, graph, provider=provider)
    return f"{measured.peak_bytes / MIB:,.0f}" if isinstance(measured, Footprint) else NOT_MEASURED


def _start_table(starts: list[tuple[Network, _Starts]]) -> Table:
    rows = []
    for network, by_provider in starts:
        cells = [_name(network)]
        for provider in LABELS:
            taken = by_provider.get(provider)
            if taken is None:
                cells += [NOT_MEASURED] * 2
            else:
                cells += [samples.text(2) for samples in taken]
        rows.append(tuple(cells))
    columns = [f"{label}: {what}" for label in LABELS.values() for what in ("without", "with")]
    return Table(
        "Start of a model without and with its prepared graph in the cache, s",
        ("family", *columns),
        tuple(rows),
        "From weights on the disk to a session that has answered its golden vector, where it has one, and run every "
        "batch size once. Without, preprocessing, head and calibration are folded into the network and the graph is "
        "checked and written; with it, it is hashed and read. Not in it: Python, libraries, fetching weights.",
    )


def _memory_table(memory: list[tuple[Network, Mapping[str, str]]]) -> Table:
    return Table(
        "Peak memory of a model, MiB",
        ("family", "weights", *LABELS.values()),
        tuple(
            (
                _name(network),
                f"{network.weights.stat().st_size / MIB:,.1f}",
                *(peaks.get(provider, NOT_MEASURED) for provider in LABELS),
            )
            for network, peaks in memory
        ),
        "Most that was resident in a process that opens the model and runs every batch size once, above an empty "
        "process with the same libraries (`fleet models needs`). Loading counts: the graph is read, optimised and "
        "packed before the copies go.",
    )


def _name(network: Network) -> str:
    return f"{network.label}{' *' if network.drawn else ''}"
