"""What the way through the batcher costs: many threads' crops against a bare loop on the same session."""

import resource
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import perf_counter, sleep

import numpy as np
from numpy.typing import NDArray

from agents.settings import ModelSettings
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from models.graph import prepare
from models.inference.batcher import Batcher, BatchStats
from models.inference.cpus import available_cpus
from models.inference.session import Session
from models.manifest import Entry, Manifest, Role
from models.sources import resolve

_ROLES = (Role.SCREEN, Role.PRIMARY, Role.SYNTHETIC)
_PRODUCERS = 4
_AHEAD = 12
"""Submissions that a producer has under way, as the frames of a segment are."""
_FACES = (1, 1, 2, 1, 3, 1, 1, 4)
"""Crops of one submission after the other: the faces of frames."""
_DELAY_S = ModelSettings().batch_delay_ms / 1000


@dataclass(frozen=True, slots=True)
class _Loaded:
    entry: Entry
    session: Session
    crops: NDArray[np.uint8]


def measure(run: Run) -> Section:
    """Measure every detector of the manifest at full load and at low load."""
    full, low = [], []
    for entry in (each for each in Manifest.load().entries if each.role in _ROLES):
        run.tell(f"inference: {entry.name}")
        loaded = _load(entry)
        seconds = run.amount(1.5, 0.15)
        bare, ours, fills = [], [], []
        for _ in range(run.amount(7, 2)):
            bare.append(_bare_rate(loaded, seconds))
            rate, fill = _batched_rate(loaded, seconds)
            ours.append(rate)
            fills.append(fill)
        rates, base = Samples(tuple(ours)), Samples(tuple(bare))
        bucket = f"{entry.buckets[-1]}"
        full.append((entry.name, bucket, rates.text(), base.text(), rates.over(base).text(2), f"{np.mean(fills):.0%}"))
        waits = Samples(tuple(_waits(loaded, run.amount(60, 8))))
        low.append((entry.name, f"{1000 * waits.median:.2f}", f"{1000 * waits.percentile(0.95):.2f}"))
    run.tell("inference: memory over many batches")
    return Section(
        "Inference",
        (
            _memory(run.amount(20_000, 400)),
            Table(
                f"Crops a second through the batcher, {available_cpus()} cores",
                ("detector", "batch", "batcher", "bare loop", "ratio", "batch fill"),
                tuple(full),
                f"{_PRODUCERS} threads submit 1 to 4 crops at a time, {_AHEAD} submissions under way each; the bare "
                "loop runs the same session on full batches that lie ready. The batcher adds gathering, futures "
                "and the threads that want them.",
            ),
            Table(
                "Wait of one crop at low load, ms",
                ("detector", "median", "p95"),
                tuple(low),
                f"One crop at a time with nothing else to do: it waits for company for at most {1000 * _DELAY_S:g} ms, "
                "and then for the thread.",
            ),
        ),
    )


def _load(entry: Entry) -> _Loaded:
    cache = ModelSettings().cache
    session = Session(entry, prepare(entry, resolve(entry, cache), cache))
    shape = (entry.buckets[-1], session.size, session.size, 3)
    return _Loaded(entry, session, np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))


def _bare_rate(loaded: _Loaded, seconds: float) -> float:
    began, done = perf_counter(), 0
    while perf_counter() - began < seconds:
        loaded.session.answer(loaded.crops)
        done += len(loaded.crops)
    return done / (perf_counter() - began)


@contextmanager
def _batcher(loaded: _Loaded, seen: list[BatchStats]) -> Iterator[Batcher]:
    batcher = Batcher(loaded.session, max_batch=loaded.entry.buckets[-1], max_delay_s=_DELAY_S, on_batch=seen.append)
    with batcher:
        yield batcher


def _batched_rate(loaded: _Loaded, seconds: float) -> tuple[float, float]:
    """Crops a second, and how full the batches were."""
    seen: list[BatchStats] = []
    with _batcher(loaded, seen) as batcher:
        began = perf_counter()
        threads = [Thread(target=_produce, args=(batcher, loaded, began + seconds)) for _ in range(_PRODUCERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = perf_counter() - began
    crops = sum(batch.crops for batch in seen)
    return crops / took, crops / (len(seen) * loaded.entry.buckets[-1])


def _produce(batcher: Batcher, loaded: _Loaded, until: float) -> None:
    under_way: SimpleQueue[Future[NDArray[np.float32]]] = SimpleQueue()
    for faces in cycle(_FACES):
        under_way.put(batcher.submit(loaded.crops[: min(faces, len(loaded.crops))]))
        if under_way.qsize() >= _AHEAD:
            under_way.get().result()
        if perf_counter() >= until:
            break
    while not under_way.empty():
        under_way.get().result()


def _waits(loaded: _Loaded, count: int) -> Sequence[float]:
    seen: list[BatchStats] = []
    with _batcher(loaded, seen) as batcher:
        for _ in range(count):
            batcher.submit(loaded.crops[:1]).result()
            sleep(0.002)
    return [batch.wait_s for batch in seen]


def _memory(batches: int) -> Table:
    """Resident memory of this process while one detector judges batches of mixed sizes."""
    loaded = _load(next(entry for entry in Manifest.load().entries if entry.role is Role.SCREEN))
    sizes = np.random.default_rng(7).choice([1, 1, 1, 2, 3, 4, 7, 16], batches)
    marks = [round(batches * share) for share in (0.05, 0.25, 0.5, 0.75, 1.0)]
    rows = []
    with Batcher(loaded.session, max_batch=loaded.entry.buckets[-1], max_delay_s=0.0) as batcher:
        for number, size in enumerate(sizes, 1):
            batcher.submit(loaded.crops[:size]).result()
            if number in marks:
                rows.append((f"{number:,}", f"{_resident_mib():.0f}"))
    first, last = float(rows[0][1]), float(rows[-1][1])
    return Table(
        f"Resident memory over batches of 1 to 16 crops, {loaded.entry.name}",
        ("batches", "MiB"),
        tuple(rows),
        f"Of this process, with all that was loaded before. From the first mark to the last: {last - first:+.0f} MiB.",
    )


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
