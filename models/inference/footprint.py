"""What a model takes of a machine's memory: measured by a process of its own that opens it and nothing else."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.exceptions import InferenceError, ModelError
from models.faces import LONG_SIDE, FaceDetector
from models.inference.meter import MachineMeter
from models.inference.provider_options import CPU
from models.inference.session import Session
from models.manifest import Entry, Role

STATUS = Path("/proc/self/status")
LIMIT_S = 300.0
"""For one model: a large one on a busy machine."""
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Footprint:
    """What was measured.

    Attributes:
        peak_bytes: most that was resident, above an empty process that has imported the same libraries.
    """

    entry: str
    provider: str
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """Why there is no figure: never a guess, and never the figure of another provider."""

    entry: str
    provider: str
    why: str


class _Asked(BaseModel):
    """What the process is told on its standard input."""

    model_config = ConfigDict(frozen=True)

    entry: Entry
    graph: Path
    provider: str
    threads: int | None


class _Answer(BaseModel):
    """What it says on its standard output: a figure, what went wrong, or why there is none."""

    model_config = ConfigDict(frozen=True)

    peak_bytes: int = 0
    problem: str = ""
    unknown: str = ""


def measure_footprint(
    entry: Entry, graph: Path, *, provider: str = CPU, threads: int | None = None, limit_s: float = LIMIT_S
) -> Footprint | NotMeasured:
    """Open a model in a new process, run every bucket once, and return the most that was resident for it.

    A face detector is given one square frame of the side that frames are reduced to: as much as two of 16:9.

    Args:
        graph: the prepared graph of the entry (`models.graph.prepare`).
        provider: what is to run it.
        threads: CPU threads within one run; by default the CPUs of this process.
        limit_s: how long it may take, seconds.

    Returns:
        A footprint. On a GPU it is what the device has less of when the model is warm, since CUDA's arena gives nothing
        back, the CUDA context of the process among it; measure while nothing else runs there. Where NVML does not say,
        nothing was measured.

    Raises:
        InferenceError: the process did not end with a figure; the error says why.
    """
    asked = _Asked(entry=entry, graph=graph, provider=provider, threads=threads)
    command = [sys.executable, "-m", __spec__.name]
    try:
        done = subprocess.run(  # noqa: S603  (this module, by this interpreter)
            command, input=asked.model_dump_json(), capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InferenceError(entry.name, f"needs.{provider}", f"not measured within {limit_s:g} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        problem = f"the process that measures it ended with {done.returncode}: {said}"
        raise InferenceError(entry.name, f"needs.{provider}", problem)
    answer = _Answer.model_validate_json(done.stdout)
    if answer.problem:
        raise InferenceError(entry.name, f"needs.{provider}", answer.problem)
    if answer.unknown:
        return NotMeasured(entry.name, provider, answer.unknown)
    return Footprint(entry.name, provider, answer.peak_bytes)


def _measured(asked: _Asked) -> _Answer:
    """Measure in this process, which must have done nothing else."""
    meter = MachineMeter()
    on_cpu = asked.provider == CPU
    before = _kib("VmRSS") * _KIB if on_cpu else meter.free(asked.provider)
    try:
        opened = _warm(asked)
    except ModelError as error:
        return _Answer(problem=f"{error.field}: {error.problem}")
    after = _kib("VmHWM") * _KIB if on_cpu else meter.free(asked.provider)
    opened.close()
    if before is None or after is None:
        return _Answer(unknown="NVML does not say how much memory the device has left")
    return _Answer(peak_bytes=max(0, after - before if on_cpu else before - after))


def _warm(asked: _Asked) -> FaceDetector | Session:
    """Open a model whose largest run is behind it."""
    entry, provider, threads = asked.entry, asked.provider, asked.threads
    if entry.role is Role.FACES:
        finder = FaceDetector(entry, asked.graph, provider=provider, threads=threads)
        finder.detect([np.zeros((LONG_SIDE, LONG_SIDE, 3), np.uint8)])
        return finder
    return Session(entry, asked.graph, provider=provider, threads=threads)


def _kib(field: str) -> int:
    """A size in this process's proc_pid_status(5): VmRSS is resident now, VmHWM was so at most."""
    lines = (line.split(":", 1) for line in STATUS.read_text().splitlines())
    return next(int(value.split()[0]) for name, value in lines if name == field)


if __name__ == "__main__":
    sys.stdout.write(_measured(_Asked.model_validate_json(sys.stdin.read())).model_dump_json())
