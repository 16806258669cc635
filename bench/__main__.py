"""`python -m bench`: measure the fleet on this machine."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import get_args

from rich.console import Console
from rich.status import Status

from agents.local import apache_available
from agents.local.urls import Broker
from agents.runtime.logs import configure_logging
from bench import artifacts, detectors, inference, latency, memory, runtime, storage, temporal, throughput
from bench.machine import Machine
from bench.report import Section, document
from bench.run import Run
from bench.servers import BROKERS, running_servers

PARTS: Mapping[str, Callable[[Run], Section]] = {
    "latency": latency.measure,
    "throughput": throughput.measure,
    "memory": memory.measure,
    "runtime": runtime.measure,
    "storage": storage.measure,
    "detectors": detectors.measure,
    "inference": inference.measure,
    "artifacts": artifacts.measure,
    "temporal": temporal.measure,
}
_LOG_WIDTH = 140
"""Of tables that go to a log, characters."""
DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all of them by default")
    parser.add_argument("--quick", action="store_true", help="little of everything: whether it works, under a minute")
    parser.add_argument("--write", action="store_true", help="rewrite docs/benchmarks.md with the tables of this run")
    parser.add_argument("--broker", choices=get_args(Broker), default="embedded", help="which broker to measure on")
    asked = parser.parse_args()
    unknown = [part for part in asked.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if asked.broker == "apache" and (reason := apache_available()) is not None:
        parser.error(f"--broker apache: {reason}")
    configure_logging("ERROR", "text")
    console = Console(width=None if sys.stdout.isatty() else _LOG_WIDTH)
    began = perf_counter()
    sections = _measure(asked.parts or list(PARTS), asked.broker, console, quick=asked.quick)
    took = f"{perf_counter() - began:.0f} s"
    if asked.write:
        command = " ".join(["python -m bench", *sys.argv[1:]])
        date = f"{datetime.now(UTC):%Y-%m-%d}, in {took}"
        DOCUMENT.write_text(document(sections, Machine.here(BROKERS[asked.broker]), command, date), encoding="utf-8")
        console.print(f"wrote {DOCUMENT}")
    console.print(f"took {took}", style="dim")


def _measure(parts: list[str], broker: Broker, console: Console, *, quick: bool) -> list[Section]:
    sections = []
    with (
        console.status("starting the servers") as status,
        tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder,
        running_servers(broker, Path(folder)) as servers,
    ):
        run = Run(servers, Path(folder), quick, _teller(status, console))
        for part in parts:
            section = PARTS[part](run)
            console.rule(section.title, align="left")
            for table in section.tables:
                table.show(console)
            sections.append(section)
    return sections


def _teller(status: Status, console: Console) -> Callable[[str], None]:
    """Return what shows a step: a moving line on a terminal, a line each in a log."""
    if console.is_terminal:
        return status.update
    return lambda step: console.print(step, style="dim", highlight=False)


if __name__ == "__main__":
    main()
