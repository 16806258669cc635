"""From a frame handed to the RTMP server to the alert, and from the alert to the publisher being gone."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Self
from urllib.request import urlopen

from confluent_kafka import Consumer, Message, TopicPartition

from agents.demo.media import build_live
from agents.demo.publisher import Publisher
from agents.local import NginxRtmp, nginx_rtmp_available
from agents.local.ports import LOOPBACK, choose_ports
from agents.runtime.clients import connection
from agents.runtime.deadline import Deadline
from bench import model_sets
from bench.agents import assigned_agents
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from schemas.media import DetectionLevel
from schemas.moderation import Action, Alert, Transition
from schemas.stream import StreamControl
from tests.support.fleet import Fleet, Waiting
from topics import catalogue
from topics.live_frames import read_frame
from topics.serialisation import decode

_AT_ONCE = 2
"""Altered streams that are published at once, beside one that is not."""
_FPS = 5.0
_WAIT_S = 60.0


@dataclass(slots=True)
class _Seen:
    """When things happened to one stream, seconds since 1970."""

    handed: float = 0.0
    captured: float = 0.0
    published: float = 0.0
    alerted: float = 0.0
    read: float = 0.0
    denied: float = 0.0
    kicked: float = 0.0
    confirmed: float = 0.0

    @property
    def complete(self) -> bool:
        return bool(self.read and self.confirmed and self.published)


def measure(run: Run) -> Section:
    """Measure streams, each until it is gone."""
    unavailable = nginx_rtmp_available()
    if unavailable is not None:
        return Section("Live", (Table("Not measured", ("why",), ((unavailable,),), ""),))
    models = model_sets.fleet()
    room = run.room("live")
    untouched, altered = build_live(room)
    (door_port,) = choose_ports(1)
    url = f"http://{LOOPBACK}:{door_port}/edge/publish"
    server = NginxRtmp(room, on_publish=url, on_update=url)
    server.start()
    edge = {"edge": {"kind": "nginx-rtmp", "api_urls": [server.control_url.removesuffix("/control")]}}
    overrides = {
        "FLEET_MODELS__MANIFEST": str(models.manifest),
        "FLEET_STREAMS__ALLOWED_HOSTS": json.dumps([LOOPBACK]),
        "FLEET_BLOCKING__SERVERS": json.dumps(edge),
        "FLEET_DOOR__PORT": str(door_port),
    }
    seen: list[_Seen] = []
    try:
        with run.servers.fleet(overrides) as fleet, ExitStack() as undo:
            undo.enter_context(fleet.spawned("door"))
            run.tell("live: starting the agents")
            undo.enter_context(assigned_agents(fleet, ("streams", "frames")))
            (health_port,) = choose_ports(1)
            undo.enter_context(fleet.spawned("hooks", FLEET_RUNTIME__HEALTH_PORT=str(health_port)))
            fleet.await_that(lambda: _has_partitions(health_port), "hooks to have joined")
            calm = undo.enter_context(Publisher(untouched.path, f"{server.url}/calm", 1.0))
            calm.await_publishing()
            _watch(fleet, server, "calm")
            for number in range(run.amount(12, 1)):
                run.tell(f"live: streams {_AT_ONCE * number + 1} to {_AT_ONCE * (number + 1)}")
                names = [f"altered-{number}-{each}" for each in range(_AT_ONCE)]
                seen += _block(fleet, server, altered.path, names)
    finally:
        server.stop()
    return Section("From a live frame to a block", (_totals(seen, models.remark), _stages(seen)))


def _has_partitions(port: int) -> bool:
    try:
        with urlopen(f"http://{LOOPBACK}:{port}/health", timeout=1) as answer:
            return bool(json.load(answer)["partitions"])
    except OSError:
        return False


def _block(fleet: Fleet, server: NginxRtmp, clip: Path, names: list[str]) -> list[_Seen]:
    with ExitStack() as undo:
        reader = undo.enter_context(_Reader(fleet))
        publishers = {name: undo.enter_context(Publisher(clip, f"{server.url}/{name}")) for name in names}
        for name, publisher in publishers.items():
            publisher.await_publishing()
            _watch(fleet, server, name)
        return reader.follow(publishers)


def _watch(fleet: Fleet, server: NginxRtmp, name: str) -> None:
    control = StreamControl(
        stream_id=name,
        command="start",
        url=f"{server.url}/{name}",
        server="edge",
        sample_rate_fps=_FPS,
        detection_level=DetectionLevel.BASIC,
        policy="live-block",
        at=datetime.now(UTC),
    )
    fleet.publish(catalogue.STREAMS, [control])


class _Reader:
    """Reads frames, alerts and actions from their ends on."""

    def __init__(self, fleet: Fleet) -> None:
        self._names = {fleet.full(topic): topic for topic in (catalogue.FRAMES, catalogue.ALERTS, catalogue.ACTIONS)}
        self._consumer = Consumer(
            connection(fleet.settings.kafka)
            | {"group.id": f"{fleet.name}-live", "enable.auto.commit": False, "fetch.wait.max.ms": 10}
        )

    def __enter__(self) -> Self:
        known = self._consumer.list_topics(timeout=10).topics
        partitions = []
        for name in self._names:
            for number in known[name].partitions:
                partition = TopicPartition(name, number)
                _, end = self._consumer.get_watermark_offsets(partition, timeout=10)
                partitions.append(TopicPartition(name, number, end))
        self._consumer.assign(partitions)
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def follow(self, publishers: Mapping[str, Publisher]) -> list[_Seen]:
        """Return what happened to each stream, once it is gone."""
        seen = {name: _Seen() for name in publishers}
        traces: dict[str, tuple[float, float, float]] = {}
        led: dict[str, str] = {}
        deadline = Deadline.after(_WAIT_S)
        while not all(each.complete for each in seen.values()):
            if deadline.expired:
                raise Waiting(f"not all were blocked: {seen}")
            for message in self._consumer.consume(100, timeout=0.02):
                self._note(message, time(), publishers, seen, traces, led)
            for name, trace in led.items():
                if trace in traces:
                    seen[name].handed, seen[name].captured, seen[name].published = traces[trace]
        return list(seen.values())

    def _note(
        self,
        message: Message,
        now: float,
        publishers: Mapping[str, Publisher],
        seen: Mapping[str, _Seen],
        traces: dict[str, tuple[float, float, float]],
        led: dict[str, str],
    ) -> None:
        topic = self._names[str(message.topic())]
        headers = {name: value for name, value in dict(message.headers() or []).items() if isinstance(value, bytes)}
        trace = headers.get("traceparent", b"").decode().split("-")[1:2]
        logged = message.timestamp()[1] / 1000
        if topic is catalogue.FRAMES:
            frame = read_frame(_bytes(message.key()), _bytes(message.value()), headers)
            if frame.stream_id in publishers and trace:
                handed = publishers[frame.stream_id].started_at + frame.pts_ms / 1000
                traces[trace[0]] = (handed, frame.captured_at.timestamp(), logged)
            return
        if topic is catalogue.ALERTS:
            alert = decode(Alert, message.value(), headers)
            if alert.subject in seen and alert.transition is Transition.RAISED and trace:
                led[alert.subject] = trace[0]
                seen[alert.subject].alerted, seen[alert.subject].read = logged, now
            return
        action = decode(Action, message.value(), headers)
        if action.subject in seen and action.state in {"denied", "kicked", "confirmed"}:
            setattr(seen[action.subject], action.state, action.at.timestamp())


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _totals(seen: list[_Seen], remark: str) -> Table:
    spans = {
        "frame handed to the RTMP server to alert read": [each.read - each.handed for each in seen],
        "alert in the log to nobody publishing": [each.confirmed - each.alerted for each in seen],
    }
    return Table(
        "A live frame to a block",
        ("", "p50, s", "p95, s", "p99, s", "streams"),
        tuple(_row(name, values, str(len(values))) for name, values in spans.items()),
        f"{_AT_ONCE} altered streams at a time beside one that is not, 512x512 at 25 frames a second through "
        f"nginx-rtmp, {_FPS:g} frames a second looked at, level basic; models: {remark}. The frame is the one that led "
        "to the alert; before it the policy wants three faces and a second of suspicion. Publishers, servers and "
        "agents share the machine.",
    )


def _stages(seen: list[_Seen]) -> Table:
    spans = {
        "RTMP server and network: handed to the packet's arrival": [each.captured - each.handed for each in seen],
        "streams: decode, encode, publish": [each.published - each.captured for each in seen],
        "frames: wait, decode, find faces, judge, window": [each.alerted - each.published for each in seen],
        "broker to the subscriber": [each.read - each.alerted for each in seen],
        "hooks: alert in the log to denied": [each.denied - each.alerted for each in seen],
        "hooks: denied to kicked": [each.kicked - each.denied for each in seen if each.kicked],
        "hooks: kicked to confirmed gone": [each.confirmed - each.kicked for each in seen if each.kicked],
    }
    return Table(
        "Where the time goes",
        ("stage", "p50, s", "p95, s", "p99, s", "streams"),
        tuple(_row(name, values, str(len(values))) for name, values in spans.items()),
        "Of the same streams. Frame, alert and actions are joined by the trace in their headers.",
    )


def _row(name: str, values: list[float], count: str) -> tuple[str, ...]:
    samples = Samples(tuple(values) or (0.0,))
    return (name, f"{samples.median:.3f}", f"{samples.percentile(0.95):.3f}", f"{samples.percentile(0.99):.3f}", count)
