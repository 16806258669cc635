"""`fleet top`: workers at this moment."""

from collections.abc import Sequence
from time import monotonic, sleep

import typer
import urllib3
from rich.live import Live

from agents.cli.console import OUT
from agents.cli.exits import ExitCode
from agents.top.rates import WorkerRate, between
from agents.top.readings import Reading, read
from agents.top.view import screen
from models.inference.cpus import available_cpus


def top(urls: Sequence[str], interval_s: float, once: bool) -> None:
    """Show workers until Ctrl-C, or once after an interval.

    Raises:
        typer.Exit: with `once`, when no worker answers.
    """
    pool = urllib3.PoolManager(maxsize=max(4, len(urls)))
    before = [read(url, pool) for url in urls]
    if once:
        workers, _ = _look(before, pool, interval_s)
        OUT.print(screen(workers, available_cpus()))
        if all(worker.state == "silent" for worker in workers):
            raise typer.Exit(ExitCode.UNAVAILABLE)
        return
    with Live(console=OUT, auto_refresh=False, screen=OUT.is_terminal) as live:
        while True:
            workers, before = _look(before, pool, interval_s)
            live.update(screen(workers, available_cpus()), refresh=True)


def _look(
    before: Sequence[Reading], pool: urllib3.PoolManager, interval_s: float
) -> tuple[list[WorkerRate], list[Reading]]:
    """Look again when the interval is over; what each worker did in it."""
    due = max((reading.at for reading in before), default=monotonic()) + interval_s
    sleep(max(0.0, due - monotonic()))
    now = [read(reading.url, pool) for reading in before]
    return [between(*pair) for pair in zip(before, now, strict=True)], now
