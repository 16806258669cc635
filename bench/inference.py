"""What the way through the batcher costs a single crop, and whether memory stays what it is over many batches."""

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import numpy as np
from numpy.typing import NDArray

from agents.settings import ModelSettings
from bench.pace import DELAY_S, batcher_of
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from models.graph import prepare
from models.inference.batcher import Batcher, BatchStats
from models.inference.session import Session
from models.manifest import Entry, Manifest, Role
from models.sources import resolve

_ROLES = (Role.SCREEN, Role.PRIMARY, Role.SYNTHETIC)


@dataclass(frozen=True, slots=True)
class _Loaded:
    entry: Entry
    session: Session
    crops: NDArray[np.uint8]


def measure(run: Run) -> Section:
    """Measure every detector of the manifest at low load, and one over many batches."""
    low = []
    for entry in (each for each in Manifest.load().entries if each.role in _ROLES):
        run.tell(f"inference: {entry.name}")
        waits = Samples(tuple(_waits(_load(entry), run.amount(60, 8))))
        low.append((entry.name, f"{1000 * waits.median:.2f}", f"{1000 * waits.percentile(0.95):.2f}"))
    run.tell("inference: memory over many batches")
    return Section(
        "Inference",
        (
            _memory(run.amount(20_000, 400)),
            Table(
                "Wait of one crop at low load, ms",
                ("detector", "median", "p95"),
                tuple(low),
                f"One crop at a time with nothing else to do: it waits for company for at most {1000 * DELAY_S:g} ms, "
                "and then for the thread.",
            ),
        ),
    )


def _load(entry: Entry) -> _Loaded:
    cache = ModelSettings().cache
    session = Session(entry, prepare(entry, resolve(entry, cache), cache))
    shape = (entry.buckets[-1], session.size, session.size, 3)
    return _Loaded(entry, session, np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))


def _waits(loaded: _Loaded, count: int) -> Sequence[float]:
    seen: list[BatchStats] = []
    with batcher_of(loaded.session, loaded.entry.buckets[-1], seen.append) as batcher:
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
