"""Where the path's time goes, function by function, and what finding faces costs by frames in a run."""

import pstats
from pathlib import Path
from time import process_time

import av
import numpy as np

from bench.report import Table
from bench.run import Run
from bench.samples import Samples
from models.faces import FaceDetector

_CENTERFACE_BATCHES = (1, 2, 4, 8)
_PROFILED = 8
"""Functions of the handler's thread that are listed."""


def profile_table(stats: pstats.Stats, frames: int) -> Table:
    """Return the functions of a handler's thread that take most, from a profile of so many frames."""
    own = [
        (f"{_short(file)}{function}", calls, seconds)
        for (file, _, function), (_, calls, seconds, _, _) in stats.stats.items()  # type: ignore[attr-defined]
    ]
    whole = sum(seconds for _, _, seconds in own)
    largest = sorted(own, key=lambda each: each[2], reverse=True)[:_PROFILED]
    rows = tuple(
        (f"`{name}`", f"{calls / frames:.1f}", f"{1000 * seconds / frames:.2f}", f"{seconds / whole:.0%}")
        for name, calls, seconds in largest
    )
    return Table(
        "Profile of a handler's thread",
        ("function", "calls a frame", "own ms a frame", "share"),
        rows,
        "cProfile of one `Scorer.score` of the clip, alone: `run` of onnxruntime is CenterFace, `acquire` and "
        "`get` wait for detectors and decoder. What remains is what our own code costs.",
    )


def _short(file: str) -> str:
    """Return where a profiled function lies, as a prefix."""
    if file == "~":
        return ""
    path = Path(file)
    return f"{path.parent.name}/{path.name}: "


def batch_table(run: Run, faces: FaceDetector, clip: Path) -> Table:
    """Measure finding faces in several frames at once."""
    with av.open(str(clip)) as container:
        frames = [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            for frame, _ in zip(container.decode(video=0), range(max(_CENTERFACE_BATCHES)), strict=False)
        ]
    taken: dict[int, list[float]] = {size: [] for size in _CENTERFACE_BATCHES}
    for _ in range(run.amount(5, 2)):
        for size in _CENTERFACE_BATCHES:
            run.tell(f"throughput: CenterFace, {size} frames at once")
            began = process_time()
            for start in range(0, len(frames), size):
                faces.detect(frames[start : start + size])
            taken[size].append((process_time() - began) * 1000 / len(frames))
    alone = Samples(tuple(taken[1]))
    rows = tuple(
        (str(size), Samples(tuple(values)).text(1), Samples(tuple(values)).over(alone).text(2))
        for size, values in taken.items()
    )
    return Table(
        "CenterFace by frames in a run",
        ("frames at once", "CPU ms a frame", "of one at a time"),
        rows,
        f"Processor time of finding faces in 720p frames on {faces.provider}. On a CPU scoring gives the face detector "
        "one frame at a time: the maps of several fall out of its caches.",
    )
