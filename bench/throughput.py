"""Frames a second of the segments agent, against the bare loop over the same frames with the same sessions."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time

from bench import media, model_sets
from bench.bare_stages import at_best
from bench.model_sets import ModelSet
from bench.processes import decoders_of, processor_seconds
from bench.profile_tables import batch_table, profile_table
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples, shares
from bench.segments import planner
from bench.workbench import Workbench, workbench

_DECODE, _INFERENCE, _LOOP = "bare decode", "bare inference", "bare loop"
_CLIPS = 6
"""Scored in a repetition: as many as the agent has handlers, or a multiple."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to score the clip some times over; `score` returns the frames that were looked at."""

    name: str
    score: Callable[[], int]
    pace: list[float] = field(default_factory=list)
    """Frames a second, by repetition."""
    processor_ms: list[float] = field(default_factory=list)
    """Processor time a frame, decoders included, by repetition."""


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
                    tables.append(profile_table(*bench.profile()))
                    with bench.models.lease("") as detectors:
                        tables.append(batch_table(run, detectors.faces, path))
    return Section("Throughput of the segments agent", tuple(tables))


def _race(run: Run, name: str, bench: Workbench) -> tuple[Way, ...]:
    handlers = bench.fleet.settings.segments.concurrency
    ways = (
        Way(_DECODE, bench.stages.decode),
        Way(_INFERENCE, bench.inference),
        Way(_LOOP, lambda: bench.bare(1)),
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
    paces = {way.name: Samples(tuple(way.pace)) for way in ways}
    processors = {way.name: Samples(tuple(way.processor_ms)) for way in ways}
    both = list(zip(paces[_DECODE].values, paces[_INFERENCE].values, strict=True))
    loops = next(way.name for way in ways if way.name.endswith("side by side"))
    held_against = (
        paces[_LOOP],
        paces[loops],
        Samples(tuple(min(pair) for pair in both)),
        Samples(tuple(at_best(*pair) for pair in both)),
    )
    rows = []
    for way in ways:
        pace, processor, stage = paces[way.name], processors[way.name], way.name in {_DECODE, _INFERENCE}
        ratios = ["·" if stage else pace.over(base).text(2) for base in held_against]
        saved = "·" if stage else processors[_LOOP].over(processor).text(2)
        rows.append((way.name, pace.text(1), *ratios, processor.text(1), saved))
    clip = bench.planner.inspected.info
    threads = bench.fleet.settings.models.threads or "all cores'"
    return Table(
        f"Frames a second: {models.name}",
        (
            "",
            "frames/s",
            "of bare loop",
            "of bare loops",
            "of slower stage",
            "of both at best",
            "CPU ms a frame",
            "bare CPU/CPU",
        ),
        tuple(rows),
        f"{bench.clips} times {clip.duration_s:.0f} s of {clip.width}x{clip.height} {clip.codec}, {rate_fps:g} frames "
        f"of each second, one face in each; models: {models.remark}. The stages alone have all cores, "
        f"{bench.stages.threads} clips side by side: `{_DECODE}` decodes and converts the sampled frames to RGB, "
        f"`{_INFERENCE}` takes frames that lie ready, finds faces, measures and cuts them, and runs the detectors on "
        "as many faces as the path does, in full batches. `of slower stage` is what is kept of the slower of the two. "
        "It could be 1 only if the other stage cost nothing: both need the same cores, so that at best frames a "
        "second are 1/(1/decode + 1/inference), and `of both at best` is the share of that. The bare loop decodes with "
        "PyAV, detects, crops and runs all detectors' sessions on every face, in one thread of one process. All share "
        f"the sessions, {threads} threads each, and one decoding thread. The last two columns hardly depend on how "
        "busy the machine was: processor time of this process and its decoders, and the bare loop's share of it. What "
        "the path adds to the stages are the sandboxed decoder, scene cuts, batching and records.",
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
