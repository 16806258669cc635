"""From the publishing of an upload event to its verdict, agents as processes of their own."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from confluent_kafka import Consumer, TopicPartition

from agents.runtime.clients import connection, consumer_configuration
from agents.runtime.deadline import Deadline
from bench import media, model_sets
from bench.agents import ALL, assigned_agents
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples, shares
from bench.segments import upload_of
from bench.verdicts import VerdictReader
from schemas.verdict import Outcome, Timings, Verdict
from tests.support.fleet import Fleet, Waiting
from topics import catalogue

_STAGES = ("plan", "queued", "fetch", "decode", "faces", "score", "fuse")
_HOPS = 10
_HOP_TOPIC = catalogue.FRAMES
"""A topic that none of the agents reads."""


def measure(run: Run) -> Section:
    """Measure a still and a clip."""
    models = model_sets.fleet()
    clip = run.amount(media.CLIP, media.SHORT_CLIP)
    run.tell("latency: starting the agents")
    with run.servers.fleet(FLEET_MODELS__MANIFEST=str(models.manifest)) as fleet:
        originals = media.Originals(fleet.folder, clip)
        stills = [originals.still(number) for number in range(run.amount(40, 4))]
        clips = [originals.copy(number) for number in range(run.amount(8, 2))]
        with assigned_agents(fleet), VerdictReader(fleet) as reader:
            _times(run, "warming up", fleet, reader, [originals.still(len(stills)), originals.clip_path])
            still_times = _times(run, "still", fleet, reader, stills)
            clip_times = _times(run, "clip", fleet, reader, clips)
            run.tell("latency: the broker alone")
            hop = _hop_ms(fleet)
    seconds = clip.frames / clip.fps
    measured = (
        ("still, 512x512 JPEG", still_times),
        (f"clip, {seconds:.0f} s of {clip.width}x{clip.height} H.264", clip_times),
    )
    return Section(
        "From event to verdict",
        (
            Table(
                "Upload event published to verdict read",
                ("", "p50, ms", "p95, ms", "max, ms", "repetitions"),
                tuple(_total_row(name, times) for name, times in measured),
                f"One upload at a time, each of other bytes, through {', '.join(ALL)} in a process each, sampled at "
                f"one frame a second; models: {models.remark}. Read by a plain consumer.",
            ),
            _breakdown(measured, hop),
        ),
    )


Times = list[tuple[float, Verdict]]
"""Milliseconds from event to verdict, and the verdict."""


def _times(run: Run, what: str, fleet: Fleet, reader: VerdictReader, files: Sequence[Path]) -> Times:
    times = []
    for number, file in enumerate(files):
        run.tell(f"latency: {what}, {number + 1} of {len(files)}")
        name = file.name
        upload = upload_of(file, name)
        began = perf_counter()
        fleet.publish(catalogue.UPLOADS, [upload])
        arrived = reader.await_contents([name])[name]
        if arrived.verdict.reused_from is not None or arrived.verdict.outcome is not Outcome.SCORED:
            raise Waiting(f"{name} was not scored: {arrived.verdict.outcome}, {arrived.verdict.reason}")
        times.append(((arrived.at - began) * 1000, arrived.verdict))
    return times


def _hop_ms(fleet: Fleet) -> Samples:
    """Return how long a message takes from a bare producer to a bare consumer with the agents' settings."""
    full = fleet.full(_HOP_TOPIC)
    settings = fleet.settings
    asked = consumer_configuration(settings.kafka, settings.runtime, "hops", "classic")
    consumer = Consumer(
        connection(settings.kafka) | {"group.id": f"{fleet.name}-hops", "fetch.wait.max.ms": asked["fetch.wait.max.ms"]}
    )
    partitions = next(topic.partitions for topic in fleet.topics if topic.name == _HOP_TOPIC.name)
    consumer.assign([TopicPartition(full, number, 0) for number in range(partitions)])
    taken = []
    for number in range(_HOPS + 1):
        began, deadline = perf_counter(), Deadline.after(30.0)
        fleet.publish_raw(_HOP_TOPIC, b"x", key=str(number).encode())
        fleet.flush()
        while (message := consumer.poll(0.1)) is None or message.error() is not None:
            if deadline.expired:
                raise Waiting(f"{full} gave nothing back in 30 s")
        taken.append((perf_counter() - began) * 1000)
    consumer.close()
    # The first one waits for connections.
    return Samples(tuple(taken[1:]))


def _total_row(name: str, times: Times) -> tuple[str, ...]:
    total = Samples(tuple(ms for ms, _ in times))
    return (
        name,
        *(f"{total.percentile(share):,.0f}" for share in (0.5, 0.95, 1.0)),
        str(len(times)),
    )


def _stage_ms(timings: Timings, stage: str) -> float:
    return float(getattr(timings, f"{stage}_ms"))


def _breakdown(measured: Sequence[tuple[str, Times]], hop: Samples) -> Table:
    columns = []
    for _, times in measured:
        parts = {
            stage: Samples(tuple(_stage_ms(verdict.timings, stage) for _, verdict in times)).median for stage in _STAGES
        }
        rest = Samples(tuple(ms - sum(_stage_ms(verdict.timings, stage) for stage in _STAGES) for ms, verdict in times))
        columns.append({**parts, "rest": rest.median})
    rows = tuple((stage, *(f"{column[stage]:,.1f}" for column in columns)) for stage in (*_STAGES, "rest"))
    largest = "; ".join(
        f"{name}: {shares(list(column.items()), sum(column.values()))}"
        for (name, _), column in zip(measured, columns, strict=True)
    )
    return Table(
        "Where the time goes, medians in ms",
        ("stage", *(name for name, _ in measured)),
        rows,
        "From the verdicts' `timings`. `queued` is the hop from uploads to segments; the rest is the hops from the "
        "publisher to uploads and from segments to the reader, parsing, and Redis. One hop of bare clients with the "
        f"agents' settings takes {hop.text(1)} ms on this broker. Largest: {largest}.",
    )
