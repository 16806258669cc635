"""What holds a worker up, in words."""

from agents.report.wording import counted
from agents.top.rates import PARTS, WorkerRate

_FULL = 0.85
"""Share of the processors from which they are the bottleneck."""
_NOTHING = 0.02
"""Seconds of each second below which handlers do nothing."""
_WORDS = {
    "fetch": "fetching media",
    "decode": "decoding",
    "faces": "finding and measuring faces",
    "score": "waiting for the detectors",
    "record": "Redis",
    "fuse": "fusing",
    "write": "writing to Postgres",
}


def bottleneck(worker: WorkerRate, processors: int) -> str:
    """Say which stage is the bottleneck.

    Args:
        worker: over an interval.
        processors: that it may use.
    """
    if worker.state == "silent":
        return f"does not answer: {worker.away.get('worker', '')}"
    if worker.away:
        return "waits for " + ", ".join(f"{name} ({why})" if why else name for name, why in worker.away.items())
    if worker.state != "running":
        return worker.state
    if worker.handled == 0 and worker.handling < _NOTHING:
        waiting = worker.lag + worker.in_flight
        verb = "waits" if waiting == 1 else "wait"
        return f"hands nothing on, and {counted(waiting, 'message')} {verb}" if waiting else "idle: nothing to do"
    standing = f"{counted(worker.lag, 'message')} behind" if worker.lag else "keeps up"
    return f"{standing}; {_slowest(worker)}{_processors(worker, processors)}"


def _slowest(worker: WorkerRate) -> str:
    parts = {name: worker.stages[name].busy for name in PARTS if name in worker.stages}
    total = sum(parts.values())
    if total <= 0:
        return "handling takes all its time"
    name = max(parts, key=lambda part: parts[part])
    said = f"{_WORDS[name]} takes {parts[name] / total:.0%} of the time"
    if name != "score" or not worker.models:
        return said
    model = max(worker.models, key=lambda each: worker.models[each].busy)
    return f"{said}, most of it {model} ({worker.models[model].run_ms:.0f} ms a batch)"


def _processors(worker: WorkerRate, processors: int) -> str:
    if worker.cpu < _FULL * processors:
        return ""
    return f"; its processors are full ({worker.cpu:.1f} of {processors})"
