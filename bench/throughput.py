"""Frames a second of the segments agent, against the bare loop over the same frames with the same sessions."""

import cProfile
import os
import pstats
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import perf_counter, process_time

import av
import numpy as np

from agents.assembly import decoder_policy, fetcher
from agents.model_set import LoadedModels
from agents.runtime.metrics import Metrics
from agents.scorer import Scorer
from agents.segments import Segments
from bench import media, model_sets
from bench.model_sets import ModelSet
from bench.processes import decoders_of, processor_seconds
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples, shares
from bench.segments import Planner, planner
from bench.straight import Stages, Straight
from bench.verdicts import VerdictReader
from models.faces import FaceDetector
from models.scoring import ScoringLimits
from tests.support.fleet import Fleet, Running
from topics import catalogue

_CLIPS = 2
"""Scored in a repetition: as many as the agent has handlers, or a multiple."""
_CENTERFACE_BATCHES = (1, 2, 4, 8)
_PROFILED = 8
"""Functions of the handler's thread that are listed."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to score the clip some times over; `score` returns the frames that were looked at."""

    name: str
    score: Callable[[], int]
    pace: list[float] = field(default_factory=list)
    """Frames a second, by repetition."""
    processor_ms: list[float] = field(default_factory=list)
    """Processor time a frame, decoders included, by repetition."""


@dataclass(slots=True)
class Workbench:
    """A segments agent that runs, and its scorer, which is used with it and without."""

    fleet: Fleet
    planner: Planner
    models: LoadedModels
    scorer: Scorer
    reader: VerdictReader
    limits: ScoringLimits
    clips: int
    """Scored in a repetition."""
    names: Iterator[int] = field(default_factory=count)
    straight: Stages = field(default_factory=Stages)
    straight_frames: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    frames: int = 0

    def bare(self, threads: int) -> int:
        """Straight-line loops side by side."""
        with self.models.lease("") as detectors, ThreadPoolExecutor(threads) as pool:
            loops = [Straight(detectors, self.limits) for _ in range(self.clips)]
            looked_at = sum(pool.map(self._straight, loops))
        if threads == 1:
            for loop in loops:
                self.straight.add(loop.stages)
            self.straight_frames += looked_at
        return looked_at

    def _straight(self, loop: Straight) -> int:
        return loop.score(self.planner.clip, self.planner.rate_fps)

    def path(self) -> int:
        """What a handler calls, in as many threads as the agent has, off Kafka and Redis."""
        segments = self.planner.segments([f"path-{next(self.names)}" for _ in range(self.clips)])
        with ThreadPoolExecutor(self.fleet.settings.segments.concurrency) as pool:
            results = list(pool.map(lambda segment: self.scorer.score(segment, 0), segments))
        for result in results:
            for stage, seconds in result.seconds.items():
                self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        looked_at = sum(len(result.frames) for result in results)
        self.frames += looked_at
        return looked_at

    def agent(self) -> int:
        """Segments published, verdicts read."""
        names = [f"agent-{next(self.names)}" for _ in range(self.clips)]
        self.fleet.publish(catalogue.SEGMENTS, self.planner.segments(names))
        verdicts = [arrived.verdict for arrived in self.reader.await_contents(names).values()]
        return sum(verdict.quality.frames_analyzed for verdict in verdicts if verdict.quality is not None)

    def profile(self) -> tuple[pstats.Stats, int]:
        """Return the profile of a handler's thread that scores one clip, and the frames."""
        (segment,) = self.planner.segments([f"profile-{next(self.names)}"])
        profiler = cProfile.Profile()
        result = profiler.runcall(self.scorer.score, segment, 0)
        return pstats.Stats(profiler), len(result.frames)


def measure(run: Run) -> Section:
    """Measure both model sets."""
    clip = run.amount(media.CLIP, media.SHORT_CLIP)
    run.tell("throughput: making the clip")
    tables: list[Table] = []
    sets = [(model_sets.tiny(run.room("throughput-tiny")), run.amount(5.0, 2.0))]
    if not run.quick:
        sets.append((model_sets.fleet(), 2.0))
    for models, rate_fps in sets:
        with run.servers.fleet(FLEET_MODELS__MANIFEST=str(models.manifest)) as fleet:
            path = media.Originals(fleet.folder, clip).clip_path
            with workbench(fleet, planner(fleet, path, rate_fps), _CLIPS) as bench:
                ways = _race(run, models.name, bench)
                tables.append(_pace_table(models, rate_fps, bench, ways))
                tables.append(_stage_table(models, bench))
                if models is sets[-1][0]:
                    run.tell(f"throughput: profiling a handler, {models.name}")
                    tables.append(_profile_table(bench))
                    with bench.models.lease("") as detectors:
                        tables.append(_batch_table(run, detectors.faces, path))
    return Section("Throughput of the segments agent", tuple(tables))


@contextmanager
def workbench(fleet: Fleet, plans: Planner, clips: int) -> Iterator[Workbench]:
    """Run a segments agent, warm and assigned."""
    metrics = Metrics()
    settings = fleet.settings
    limits = ScoringLimits(detection_side=settings.segments.detection_side, max_faces=settings.segments.max_faces)
    models = LoadedModels(settings.models, metrics)
    scorer = Scorer(
        fetcher(settings.media),
        decoder_policy(settings, settings.segments.concurrency),
        models,
        limits,
        metrics,
        max_side=settings.media.max_side,
    )
    agent = Segments(settings, scorer, metrics)
    with VerdictReader(fleet) as reader, fleet.running(agent, metrics=metrics) as running:
        bench = Workbench(fleet, plans, models, scorer, reader, limits, clips)
        fleet.publish(catalogue.SEGMENTS, plans.segments(["warm-0", "warm-1"]))
        _alive(running)
        reader.await_contents(["warm-0", "warm-1"])
        yield bench


def _alive(running: Sequence[Running]) -> None:
    for each in running:
        if each.errors:
            raise each.errors[0]


def _race(run: Run, name: str, bench: Workbench) -> tuple[Way, ...]:
    handlers = bench.fleet.settings.segments.concurrency
    ways = (
        Way("bare loop", lambda: bench.bare(1)),
        Way(f"{handlers} bare loops side by side", lambda: bench.bare(handlers)),
        Way(f"Scorer.score, {handlers} handlers", bench.path),
        Way(f"segments agent, {handlers} handlers", bench.agent),
    )
    repetitions = run.amount(3, 1)
    for repetition in range(repetitions):
        # Rotated: whoever follows whom in one repetition does not in the next.
        for way in (*ways[repetition % len(ways) :], *ways[: repetition % len(ways)]):
            run.tell(f"throughput: {name}, {way.name}, {repetition + 1} of {repetitions}")
            processor, began = _processor_s(), perf_counter()
            frames = way.score()
            way.pace.append(frames / (perf_counter() - began))
            way.processor_ms.append((_processor_s() - processor) * 1000 / frames)
    return ways


def _processor_s() -> float:
    return process_time() + sum(processor_seconds(decoder) for decoder in decoders_of(os.getpid()))


def _pace_table(models: ModelSet, rate_fps: float, bench: Workbench, ways: Sequence[Way]) -> Table:
    bare_pace, bare_processor = Samples(tuple(ways[0].pace)), Samples(tuple(ways[0].processor_ms))
    twin_pace = Samples(tuple(ways[1].pace))
    rows = []
    for way in ways:
        pace, processor = Samples(tuple(way.pace)), Samples(tuple(way.processor_ms))
        rows.append(
            (
                way.name,
                pace.text(1),
                pace.over(bare_pace).text(2),
                pace.over(twin_pace).text(2),
                processor.text(1),
                bare_processor.over(processor).text(2),
            )
        )
    clip = bench.planner.inspected.info
    threads = bench.fleet.settings.models.threads or "all cores'"
    return Table(
        f"Frames a second: {models.name}",
        ("", "frames/s", "of bare loop", "of bare loops", "CPU ms a frame", "bare CPU/CPU"),
        tuple(rows),
        f"{bench.clips} times {clip.duration_s:.0f} s of {clip.width}x{clip.height} {clip.codec}, {rate_fps:g} frames "
        f"of each second, one face in each; models: {models.remark}. The bare loop decodes with PyAV, detects, crops "
        "and runs the detectors' sessions, in one thread of one process. All share the sessions, "
        f"{threads} threads each, and one decoding thread. The last two columns hardly depend on how busy the "
        "machine was: processor time of this process and its decoders, and the bare loop's share of it. What "
        "the path adds to it are the sandboxed decoder, the quality gate, scene cuts, batching and records.",
    )


def _stage_table(models: ModelSet, bench: Workbench) -> Table:
    straight, frames = bench.straight, max(1, bench.straight_frames)
    bare = {"decode": straight.decode, "faces": straight.detect + straight.crop, "score": straight.score, "fetch": 0.0}
    rows = tuple(
        (stage, f"{1000 * bare[stage] / frames:.1f}", f"{1000 * seconds / max(1, bench.frames):.1f}")
        for stage, seconds in bench.seconds.items()
    )
    whole = sum(bench.seconds.values())
    return Table(
        f"Where a frame's time goes: {models.name}",
        ("stage", "bare loop, ms", "one of the handlers, ms"),
        rows,
        f"Elapsed time of one thread. In the path, decoding and scoring run beside the handler, so that `decode` and "
        f"`score` are what it waits for them, and its handlers share the cores, so that each takes longer than the "
        f"bare loop alone. Of a handler's time: {shares(list(bench.seconds.items()), whole)}.",
    )


def _profile_table(bench: Workbench) -> Table:
    stats, frames = bench.profile()
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


def _batch_table(run: Run, faces: FaceDetector, clip: Path) -> Table:
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
