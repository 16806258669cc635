"""Hundreds of live streams: no frame is lost or doubled while workers come and go, no stream starves under load."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from threading import Event as Flag, Thread
from time import monotonic
from urllib.request import urlopen

from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from agents.keyvalue import connect
from agents.live.asked import StreamsAsked
from agents.live.stream_window import StreamWindows
from agents.local.ports import choose_ports
from agents.runtime.clients import producer_configuration
from agents.settings import RedisSettings
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from schemas.moderation import Alert
from schemas.stream import StreamControl
from schemas.verdict import Verdict
from tests.support.fleet import Fleet
from tests.support.marked_faces import marked, write_marked_manifest
from topics import catalogue
from topics.live_frames import LiveFrame, write_frame

_WORKERS = 4
_PARTITIONS = 12
_LATENCY_S = 0.1
"""Of a batch, under load: so long the detector keeps a core busy, whatever the batch has."""
_WAIT_S = 240.0


@dataclass(slots=True)
class _Crowd:
    """Streams that are published at one pace, each a frame at a time. Every tenth turns altered half-way.

    Attributes:
        streams: their ids.
        frames: of each.
        fps: of all together.
        weights: how many frames one of them sends for each of the others'; 1 where it is not named.
    """

    streams: Sequence[str]
    frames: int
    fps: float
    weights: Mapping[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return self.frames * sum(self.weights.get(stream, 1) for stream in self.streams)

    def altered(self, number: int, position: int) -> bool:
        return position % 10 == 0 and number >= self.frames * self.weights.get(self.streams[position], 1) // 2

    def __iter__(self) -> Iterator[tuple[str, int, bool]]:
        for turn in range(self.frames):
            for position, stream in enumerate(self.streams):
                weight = self.weights.get(stream, 1)
                for number in range(turn * weight, (turn + 1) * weight):
                    yield stream, number, self.altered(number, position)


def measure(run: Run) -> Section:
    """Measure both."""
    manifest = write_marked_manifest(run.room("crowd"))
    slow = write_marked_manifest(run.room("crowd-slow"), latency_s=_LATENCY_S)
    return Section(
        "Hundreds of live streams",
        (_comings_and_goings(run, str(manifest)), _overload(run, str(slow))),
    )


def _comings_and_goings(run: Run, manifest: str) -> Table:
    crowd = _Crowd(
        [f"stream-{number}" for number in range(run.amount(500, 40))], run.amount(40, 24), run.amount(250, 80)
    )
    overrides = {
        "FLEET_MODELS__MANIFEST": manifest,
        # Nothing is let go, however long a takeover takes: every frame is accounted for.
        "FLEET_FRAMES__MAX_DELAY_S": "3600",
        "FLEET_FRAMES__VERDICT_EVERY_S": "5",
        "FLEET_MEDIA__DECODE_WORKERS": "1",
        "FLEET_MODELS__THREADS": "1",
    }
    with run.servers.fleet(overrides, partitions=_PARTITIONS) as fleet:
        run.tell(f"crowd: {len(crowd.streams)} streams, four workers, one killed, one added")
        _remember_all(fleet.settings.redis, crowd)
        with fleet.spawned(*["frames"] * _WORKERS) as workers, _publishing(fleet, crowd) as published:
            _await(fleet, lambda: published.done >= crowd.count // 3, "a third of the frames")
            workers[0].kill()
            workers[0].wait()
            _await(fleet, lambda: published.done >= crowd.count // 2, "half of the frames")
            with fleet.spawned("frames"):
                _await(fleet, lambda: published.done >= crowd.count, "all frames to be published")
                _await(fleet, lambda: _complete(fleet, crowd), "every frame in its window")
                delays = _delays(fleet)
        seen = _seen(fleet, crowd.streams)
        alerts = {(alert.subject, alert.alert_id) for alert in fleet.events(catalogue.ALERTS, Alert)}
        run.tell("crowd: the same frames once more, uninterrupted")
        once_more = _uninterrupted(fleet, crowd)
    doubled = sum(len(numbers) - len(set(numbers)) for numbers in seen.values())
    missing = sum(crowd.frames - len(set(numbers)) for numbers in seen.values())
    rows = (
        ("streams; frames a second of all", f"{len(crowd.streams)}; {crowd.fps:g}"),
        ("frames published", f"{crowd.count:,}"),
        ("frames missing in the windows", str(missing)),
        ("frames counted twice", str(doubled)),
        ("streams of which a frame is missing", str(sum(len(numbers) < crowd.frames for numbers in seen.values()))),
        ("alerts raised; for streams that turned altered", f"{len(alerts)}; {_turned(crowd)}"),
        (
            "alerts that the uninterrupted run has, too; that it has besides",
            f"{len(alerts & once_more)}; {len(once_more - alerts)}",
        ),
        ("frame captured to verdict read, p50 and p95, s", f"{delays.median:.2f}, {delays.percentile(0.95):.2f}"),
        ("the longest, during the takeover, s", f"{max(delays.values):.1f}"),
    )
    return Table(
        "Four workers, one of them killed at a third, another added at half",
        ("", "measured"),
        rows,
        "Stills with a marked face, a face detector and a detector that cost next to nothing: the fleet is measured, "
        "not the models. Frames of every stream are counted in its window at the end, by number. The embedded broker "
        "gives a dead worker's partitions away after some nine seconds: that is the longest delay.",
    )


def _overload(run: Run, manifest: str) -> Table:
    names = [f"stream-{number}" for number in range(40)]
    (port,) = choose_ports(1)
    overrides = {
        "FLEET_MODELS__MANIFEST": manifest,
        "FLEET_FRAMES__VERDICT_EVERY_S": "1",
        "FLEET_RUNTIME__HEALTH_PORT": str(port),
        "FLEET_MEDIA__DECODE_WORKERS": "1",
        "FLEET_MODELS__THREADS": "1",
    }
    rows = []
    capacity = _capacity(run, overrides, names)
    for load in (0.7, 3.0):
        run.tell(f"crowd: {load:g} times what one worker can do")
        calm = 0.5 * load * capacity / (len(names) - 1)
        seconds = run.amount(30, 12)
        # One floods: it alone sends as much as all the others together.
        crowd = _Crowd(names, max(8, round(calm * seconds)), load * capacity, {names[-1]: len(names) - 1})
        with run.servers.fleet(overrides) as fleet, fleet.spawned("frames"):
            _warm(fleet)
            with _publishing(fleet, crowd) as published:
                _await(fleet, lambda: published.done >= crowd.count, "all frames to be published")  # noqa: B023
                _await(fleet, lambda: _handled(port) >= crowd.count, "all frames to be handled or let go")  # noqa: B023
            delays = _delays(fleet)
            raised = _alert_delays(fleet)
            shed = _scraped(port, "fleet_messages_shed_total")
            seen = {stream: len(numbers) for stream, numbers in _seen(fleet, names).items()}
        calm_shares = [seen[name] / crowd.frames for name in names[:-1]]
        rows.append(
            (
                f"{load:g}",
                f"{crowd.fps:.0f}",
                f"{shed / crowd.count:.0%}",
                f"{min(calm_shares):.0%}",
                f"{seen[names[-1]] / median(seen[name] for name in names[:-1]):.1f}",
                f"{delays.median:.2f}, {delays.percentile(0.95):.2f}, {max(delays.values):.2f}",
                f"{len(raised.values)} of {_turned(crowd)}",
                f"{raised.median:.2f}, {max(raised.values):.2f}",
            )
        )
    return Table(
        "One worker under load",
        (
            "load over capacity",
            "frames/s",
            "let go",
            "seen of each calm stream, least",
            "frames of the flooding one for each of a calm one's",
            "captured to verdict p50, p95, longest, s",
            "alerts",
            "captured to alert p50, longest, s",
        ),
        tuple(rows),
        f"The detector keeps a core busy for {1000 * _LATENCY_S:.0f} ms a batch; one worker then does {capacity:.0f} "
        "frames a second. 40 streams, of which one sends half of all frames. What would wait longer than "
        "`frames.max_delay_s` by the worker's pace is let go, of the stream that has most waiting, and streams are "
        "handled in turn: the calm ones keep being seen, the flooding one no less, and no verdict is late.",
    )


def _capacity(run: Run, overrides: dict[str, str], names: Sequence[str]) -> float:
    """Frames a second of one worker that always has enough to do."""
    run.tell("crowd: what one worker can do")
    crowd = _Crowd(names, run.amount(40, 12), 100_000.0)
    with run.servers.fleet(overrides, FLEET_FRAMES__MAX_DELAY_S="3600") as fleet:
        port = int(overrides["FLEET_RUNTIME__HEALTH_PORT"])
        with fleet.spawned("frames"):
            _warm(fleet)
            began = monotonic()
            with _publishing(fleet, crowd):
                _await(fleet, lambda: _handled(port) >= crowd.count, "all frames to be handled")
            return crowd.count / (monotonic() - began)


def _remember_all(redis: RedisSettings, crowd: _Crowd) -> None:
    """Ask that windows hold every frame that will come."""
    asked = StreamsAsked(connect(redis), redis)
    for stream in crowd.streams:
        asked.note(StreamControl(stream_id=stream, command="update", buffer_seconds=600, at=datetime.now(UTC)))


@dataclass(slots=True)
class _Published:
    done: int = 0


@contextmanager
def _publishing(fleet: Fleet, crowd: _Crowd) -> Iterator[_Published]:
    """Publish frames at their pace, captured as they are published, in a thread."""
    published, stopping = _Published(), Flag()

    def publish() -> None:
        producer = Producer(producer_configuration(fleet.settings.kafka))
        topic, began = fleet.full(catalogue.FRAMES), monotonic()
        for place, (stream, number, altered) in enumerate(crowd):
            while (left := began + place / crowd.fps - monotonic()) > 0:
                producer.poll(0)
                if stopping.wait(min(left, 0.05)):
                    return
            still = LiveFrame(stream, number, 0, datetime.now(UTC), "image/jpeg", marked(altered))
            message = write_frame(still)
            producer.produce(topic, message.value, message.key, headers=list(message.headers.items()))
            published.done = place + 1
        producer.flush()

    thread = Thread(target=publish, name="publisher", daemon=True)
    thread.start()
    try:
        yield published
    finally:
        stopping.set()
        thread.join()


def _await(fleet: Fleet, condition: object, what: str) -> None:
    fleet.await_that(condition, what, _WAIT_S)  # type: ignore[arg-type]


def _warm(fleet: Fleet) -> None:
    """Let the worker load and join: a first stream goes before."""
    message = write_frame(LiveFrame("first", 0, 0, datetime.now(UTC), "image/jpeg", marked(False)))
    fleet.publish_raw(catalogue.FRAMES, message.value or b"", message.headers, message.key or b"")
    fleet.flush()
    _await(fleet, lambda: bool(_windows(fleet).timeline("first", 1)), "the worker to be ready")


def _windows(fleet: Fleet) -> StreamWindows:
    return StreamWindows(connect(fleet.settings.redis), fleet.settings.redis)


def _seen(fleet: Fleet, streams: Sequence[str]) -> Mapping[str, Sequence[int]]:
    windows = _windows(fleet)
    return {stream: [past.seq for past in windows.timeline(stream, 100_000)] for stream in streams}


def _complete(fleet: Fleet, crowd: _Crowd) -> bool:
    windows = _windows(fleet)
    return all(len(windows.timeline(stream, crowd.frames)) >= crowd.frames for stream in crowd.streams)


def _delays(fleet: Fleet) -> Samples:
    """Seconds from the capture of the frame that ended a stretch to its verdict in the log."""
    messages = fleet.messages(catalogue.VERDICTS.name)
    verdicts = fleet.events(catalogue.VERDICTS, Verdict)
    return Samples(
        tuple(
            message.timestamp()[1] / 1000 - verdict.created_at.timestamp()
            for message, verdict in zip(messages, verdicts, strict=False)
            if verdict.content_id != "first"
        )
    )


def _alert_delays(fleet: Fleet) -> Samples:
    messages = fleet.messages(catalogue.ALERTS.name)
    alerts = fleet.events(catalogue.ALERTS, Alert)
    return Samples(
        tuple(
            message.timestamp()[1] / 1000 - alert.at.timestamp()
            for message, alert in zip(messages, alerts, strict=False)
            if alert.transition == "raised"
        )
    )


def _uninterrupted(fleet: Fleet, crowd: _Crowd) -> set[tuple[str, object]]:
    """The alerts of the same frames in one run of one worker, in other windows."""
    other = fleet.settings.model_copy(
        update={"redis": fleet.settings.redis.model_copy(update={"key_prefix": f"{fleet.name}-again:"})}
    )
    fleet.forget_group("frames")
    _remember_all(other.redis, crowd)
    before = len(fleet.events(catalogue.ALERTS, Alert))
    with fleet.running("frames", settings=other) as (agent,):
        _await(fleet, lambda: agent.count("fleet_live_frames", outcome="added") >= crowd.count, "all frames once more")
    return {(alert.subject, alert.alert_id) for alert in fleet.events(catalogue.ALERTS, Alert)[before:]}


def _turned(crowd: _Crowd) -> int:
    return len(crowd.streams[::10])


def _handled(port: int) -> float:
    return _scraped(port, "fleet_messages_completed_total") + _scraped(port, "fleet_messages_shed_total") - 1


def _scraped(port: int, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)
