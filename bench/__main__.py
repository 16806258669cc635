"""`python -m bench`: measure the fleet on this machine."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import get_args

from rich.console import Console
from rich.status import Status

from agents.local import apache_available
from agents.local.urls import Broker
from agents.runtime.logs import configure_logging
from bench import (
    artifacts,
    clips,
    crowd,
    detectors,
    door,
    families,
    inference,
    latency,
    live,
    memory,
    opening,
    precision,
    providers,
    runtime,
    storage,
    streams,
    temporal,
    throughput,
    windows,
)
from bench.devices import NoDevice, gpu_name, gpu_providers
from bench.machine import Machine
from bench.report import Section, write_document
from bench.run import Run
from bench.servers import BROKERS, Servers, running_servers
from models.inference.provider_options import CPU

PARTS: Mapping[str, Callable[[Run], Section]] = {
    "latency": latency.measure,
    "throughput": throughput.measure,
    "clips": clips.measure,
    "memory": memory.measure,
    "runtime": runtime.measure,
    "storage": storage.measure,
    "live": live.measure,
    "door": door.measure,
    "streams": streams.measure,
    "windows": windows.measure,
    "crowd": crowd.measure,
    "detectors": detectors.measure,
    "families": families.measure,
    "precision": precision.measure,
    "opening": opening.measure,
    "inference": inference.measure,
    "artifacts": artifacts.measure,
    "temporal": temporal.measure,
    "providers": providers.measure,
}
OF_STREAMS = ("live", "door", "streams", "windows", "crowd")
"""Parts about live streams, which have a document of their own."""
SERVED = ("latency", "throughput", "memory", "runtime", "storage", *OF_STREAMS)
"""Parts that need servers."""
ON_GPU = ("families", "precision", "opening")
"""Parts that can be measured on a GPU."""
NOT_BY_DEFAULT = ("providers", *OF_STREAMS)
"""A trial of what the fleet does not run, and what `--streams` measures."""
_LOG_WIDTH = 140
"""Of tables that go to a log, characters."""
DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
GPU_DOCUMENT = DOCUMENT.with_name("benchmarks-gpu.md")
STREAMS_DOCUMENT = DOCUMENT.with_name("benchmarks-live.md")


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    usual = [part for part in PARTS if part not in NOT_BY_DEFAULT]
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="part",
        help=f"{', '.join(PARTS)}; by default all but {', '.join(NOT_BY_DEFAULT)}, of --gpu {', '.join(ON_GPU)}",
    )
    parser.add_argument("--quick", action="store_true", help="little of everything: whether it works, under a minute")
    parser.add_argument("--write", action="store_true", help="rewrite the document with this run's tables and plots")
    parser.add_argument(
        "--document", type=Path, help=f"which; by default {DOCUMENT.name}, of --gpu {GPU_DOCUMENT.name}"
    )
    parser.add_argument("--broker", choices=get_args(Broker), default="embedded", help="which broker to measure on")
    parser.add_argument("--gpu", action="store_true", help="measure inference on this machine's GPU")
    parser.add_argument("--streams", action="store_true", help=f"measure live streams: {', '.join(OF_STREAMS)}")
    asked = parser.parse_args()
    parts = asked.parts or (list(ON_GPU) if asked.gpu else list(OF_STREAMS) if asked.streams else usual)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if asked.gpu and (other := [part for part in parts if part not in ON_GPU]):
        parser.error(f"{other[0]} is not measured on a GPU; there are {', '.join(ON_GPU)}")
    if asked.broker == "apache" and (reason := apache_available()) is not None:
        parser.error(f"--broker apache: {reason}")
    try:
        measured_on = gpu_providers() if asked.gpu else (CPU,)
    except NoDevice as error:
        parser.exit(1, f"{error}\n")
    configure_logging("ERROR", "text")
    console = Console(width=None if sys.stdout.isatty() else _LOG_WIDTH)
    began = perf_counter()
    sections = _measure(parts, asked.broker, measured_on, console, quick=asked.quick)
    took = f"{perf_counter() - began:.0f} s"
    if asked.write:
        usual_path = GPU_DOCUMENT if asked.gpu else STREAMS_DOCUMENT if asked.streams else DOCUMENT
        path = asked.document or usual_path
        command = " ".join(["python -m bench", *sys.argv[1:]])
        date = f"{datetime.now(UTC):%Y-%m-%d}, in {took}"
        machine = Machine.here(BROKERS[asked.broker], gpu_name() if asked.gpu else None)
        write_document(path, sections, machine, command, date)
        console.print(f"wrote {path}")
    console.print(f"took {took}", style="dim")


def _measure(
    parts: list[str], broker: Broker, measured_on: tuple[str, ...], console: Console, *, quick: bool
) -> list[Section]:
    sections = []
    with (
        console.status("starting") as status,
        tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder,
        _servers(parts, broker, Path(folder)) as servers,
    ):
        run = Run(Path(folder), quick, _teller(status, console), measured_on, servers)
        for part in parts:
            section = PARTS[part](run)
            console.rule(section.title, align="left")
            for table in section.tables:
                table.show(console)
            sections.append(section)
    return sections


def _servers(parts: list[str], broker: Broker, folder: Path) -> AbstractContextManager[Servers | None]:
    """Servers where a part needs them."""
    return running_servers(broker, folder) if set(parts) & set(SERVED) else nullcontext()


def _teller(status: Status, console: Console) -> Callable[[str], None]:
    """Return what shows a step: a moving line on a terminal, a line each in a log."""
    if console.is_terminal:
        return status.update
    return lambda step: console.print(step, style="dim", highlight=False)


if __name__ == "__main__":
    main()
