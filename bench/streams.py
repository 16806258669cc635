"""What pulling live streams costs: processor time of a stream's second, memory, and how old frames are on the topic."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, time

from confluent_kafka import Consumer, TopicPartition

from agents.demo.publisher import Publisher
from agents.local import NginxRtmp, nginx_rtmp_available
from agents.local.processes import children_of
from agents.pulling.births import Nursery
from agents.pulling.wire import Task
from agents.runtime.clients import connection
from agents.runtime.deadline import Deadline
from bench.processes import Memory, memory_of, processor_seconds
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from schemas.stream import StreamControl
from tests.support.fleet import Fleet
from tests.support.media import Clip, MediaFolder
from topics import catalogue
from topics.live_frames import read_frame

_STREAMS = 12
_WIDTH, _HEIGHT, _FPS = 1280, 720, 25
_WAIT_S = 60.0
_NURSERY = b"agents.pulling.nursery"


@dataclass(frozen=True, slots=True)
class _Cost:
    """What one agent needed for all its streams in a stretch of time."""

    streams: int
    agent_s: float
    pullers_s: float
    stream_s: float
    agent: Memory
    pullers: Memory
    frames: int
    ages_ms: Samples


def measure(run: Run) -> Section:
    """Measure streams of 720p at two samplings, with key frames often and seldom."""
    unavailable = nginx_rtmp_available()
    if unavailable is not None:
        return Section("Pulling live streams", (Table("Not measured", ("why",), ((unavailable,),), ""),))
    media = MediaFolder(run.room("streams"))
    count = run.amount(_STREAMS, 2)
    rows = []
    for gop in (_FPS, 4 * _FPS):
        clip = media.clip(Clip(width=_WIDTH, height=_HEIGHT, fps=_FPS, frames=8 * _FPS, gop=gop))
        for fps in (1, 5):
            run.tell(f"streams: {count} of them at {fps} frames a second, a key frame in {gop}")
            rows.append(_row(gop, fps, _cost(run, clip, count, fps)))
    return Section(
        "Pulling live streams",
        (
            Table(
                f"{count} streams of {_WIDTH}x{_HEIGHT} at {_FPS} frames a second through nginx-rtmp, one agent",
                (
                    "key frame every, sampled fps",
                    "puller ms/s",
                    "agent ms/s",
                    "streams of a core",
                    "MiB a stream",
                    "agent MiB",
                    "published fps",
                    "age on the topic ms p50 / p95",
                ),
                tuple(rows),
                "Processor time for each second of a stream: of the process that pulls it, and a part of the agent's. "
                "Streams of a core is what both allow; publishers, server and broker ran beside them on the same "
                "machine. Memory is proportional (PSS). Age is from the packet's arrival in the puller until a "
                "consumer has the frame.",
            ),
            _starts(run, media),
        ),
    )


def _row(gop: int, fps: int, cost: _Cost) -> tuple[str, ...]:
    puller_ms, agent_ms = (1000 * value / cost.stream_s for value in (cost.pullers_s, cost.agent_s))
    return (
        f"{gop / _FPS:g} s, {fps}",
        f"{puller_ms:.1f}",
        f"{agent_ms:.1f}",
        f"{1000 / (puller_ms + agent_ms):.0f}",
        f"{cost.pullers.proportional / cost.streams:.0f}",
        f"{cost.agent.proportional:.0f}",
        f"{cost.frames / cost.stream_s:.2f}",
        f"{cost.ages_ms.median:.0f} / {cost.ages_ms.percentile(0.95):.0f}",
    )


def _cost(run: Run, clip: Path, count: int, fps: int) -> _Cost:
    names = [f"stream-{number}" for number in range(count)]
    with (
        run.servers.fleet() as fleet,
        _published(run.room(f"rtmp-{clip.stem}-{fps}"), clip, names) as urls,
        fleet.spawned("streams") as (agent,),
    ):
        fleet.publish(catalogue.STREAMS, [_start(name, url, fps) for name, url in urls.items()])
        consumer = _reader(fleet)
        try:
            _await_all(consumer, names)
            _ages(consumer, run.amount(5.0, 1.0))  # past the first key frames
            pullers = _pullers(agent.pid)
            before = processor_seconds(agent.pid), sum(map(processor_seconds, pullers))
            began = perf_counter()
            ages = _ages(consumer, run.amount(30.0, 3.0))
            took_s = perf_counter() - began
            after = processor_seconds(agent.pid), sum(map(processor_seconds, pullers))
            memory = sum((memory_of(pid) for pid in pullers), Memory(0, 0))
            return _Cost(
                len(pullers),
                after[0] - before[0],
                after[1] - before[1],
                took_s * count,
                memory_of(agent.pid),
                memory,
                len(ages),
                Samples(tuple(ages) or (0.0,)),
            )
        finally:
            consumer.close()


def _start(name: str, url: str, fps: int) -> StreamControl:
    return StreamControl(stream_id=name, command="start", url=url, sample_rate_fps=fps, at=datetime.now(UTC))


@contextmanager
def _published(folder: Path, clip: Path, names: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """Publish a clip under many names, and give the URLs."""
    server = NginxRtmp(folder)
    server.start()
    try:
        with ExitStack() as stack:
            urls = {name: f"{server.url}/{name}" for name in names}
            publishers = [stack.enter_context(Publisher(clip, url)) for url in urls.values()]
            for publisher in publishers:
                publisher.await_publishing()
            yield urls
    finally:
        server.stop()


def _pullers(agent: int) -> list[int]:
    nurseries = [pid for pid in children_of(agent) if _NURSERY in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return [pid for nursery in nurseries for pid in children_of(nursery)]


def _reader(fleet: Fleet) -> Consumer:
    consumer = Consumer(
        connection(fleet.settings.kafka)
        | {"group.id": f"{fleet.name}-ages", "enable.auto.commit": False, "fetch.wait.max.ms": 10}
    )
    partitions = next(topic.partitions for topic in fleet.topics if topic.name == catalogue.FRAMES.name)
    consumer.assign([TopicPartition(fleet.full(catalogue.FRAMES), number, 0) for number in range(partitions)])
    return consumer


def _read(consumer: Consumer) -> Iterator[tuple[str, float]]:
    """Yield the streams and ages, milliseconds, of the frames that have come."""
    for message in consumer.consume(200, timeout=0.02):
        headers = {name: value for name, value in dict(message.headers() or []).items() if isinstance(value, bytes)}
        key, value = message.key(), message.value()
        if message.error() is None and isinstance(key, bytes) and isinstance(value, bytes):
            frame = read_frame(key, value, headers)
            yield frame.stream_id, 1000 * time() - frame.captured_ms


def _await_all(consumer: Consumer, names: Sequence[str]) -> None:
    deadline, missing = Deadline.after(_WAIT_S), set(names)
    while missing:
        if deadline.expired:
            raise TimeoutError(f"no frame of {', '.join(sorted(missing))}")
        missing -= {name for name, _ in _read(consumer)}


def _ages(consumer: Consumer, seconds: float) -> list[float]:
    deadline = Deadline.after(seconds)
    ages: list[float] = []
    while not deadline.expired:
        ages += [age for _, age in _read(consumer)]
    return ages


def _starts(run: Run, media: MediaFolder) -> Table:
    """How long the process of a stream takes to be there."""
    task = Task(
        url=str(media.folder / "none"),
        form="flv",
        options={"protocol_whitelist": "file"},
        fps=1,
        every_nth=None,
        max_side=1280,
        quality=90,
        most_bytes=1 << 20,
        open_timeout_s=1,
        read_timeout_s=1,
    )
    nursery, took = Nursery(), []
    try:
        for _ in range(run.amount(51, 11)):
            began = perf_counter()
            puller = nursery.start(task)
            took.append(1000 * (perf_counter() - began))
            puller.close()
    finally:
        nursery.close()
    first, *others = took
    return Table(
        "Start of a puller process",
        ("", "ms"),
        (
            ("the first, with the process that the others are forked from", f"{first:.0f}"),
            ("each other", Samples(tuple(others)).text(1)),
        ),
        "From the wish to a process that has its task.",
    )
