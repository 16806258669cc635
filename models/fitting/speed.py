"""How long something takes on this machine."""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

from models.inference.cpus import available_cpus

RUNS = 15


def median_seconds(run: Callable[[], object]) -> float:
    """Median of `RUNS` runs, after one that is not counted."""
    run()
    taken = []
    for _ in range(RUNS):
        started = perf_counter()
        run()
        taken.append(perf_counter() - started)
    return median(taken)


def thread_counts() -> list[int]:
    """One thread, and all that this process may use."""
    return sorted({1, available_cpus()})


def machine() -> str:
    """The processor's name as Linux says it, and how many CPUs of it this process may use."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return f"{name}, {available_cpus()} CPUs"
