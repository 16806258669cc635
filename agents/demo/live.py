"""The live demo: two publishers at one RTMP server, of which one is manipulated, alerted, blocked, and kept out."""

import json
import logging
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Self
from uuid import uuid4

import orjson
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from agents.demo.agents import DemoAgents
from agents.demo.exceptions import LiveDemoLate, LiveServerMissing
from agents.demo.live_story import LiveStory, StreamStory
from agents.demo.live_view import LiveView
from agents.demo.media import DemoMedia, build_live
from agents.demo.publisher import Publisher
from agents.demo.rows import await_live_rows
from agents.demo.steps import create, pull, start
from agents.local import EmbeddedStack, NginxRtmp, nginx_rtmp_available
from agents.local.folder import RunFolder
from agents.local.nginx_rtmp import APPLICATION
from agents.local.ports import LOOPBACK, choose_ports
from agents.preparation import embedded_stack, settings_at
from agents.runtime.clients import connection
from agents.runtime.deadline import Deadline
from agents.settings import KafkaSettings, Settings, load_settings
from schemas.moderation import Action, Alert
from schemas.stream import StreamState
from schemas.verdict import Verdict
from topics import catalogue
from topics.catalogue import Topic
from topics.serialisation import decode

_log = logging.getLogger(f"{__name__}.librdkafka")
_AGENTS = ("streams", "frames", "hooks", "door", "sink")
_SERVER = "edge"
_SAMPLE_RATE_FPS = 5.0
_READ_S = 0.05
_LOOK_S = 0.5
_ROWS_S = 15.0
_PUBLISH_TIMEOUT_S = 15.0
_Told = Alert | Action | StreamState | Verdict
_FOLLOWED: Mapping[Topic, type[Alert] | type[Action] | type[StreamState] | type[Verdict]] = {
    catalogue.ALERTS: Alert,
    catalogue.ACTIONS: Action,
    catalogue.STREAM_STATES: StreamState,
    catalogue.VERDICTS: Verdict,
}


def run_live(view: LiveView, *, keep: Path | None, timeout_s: float) -> None:
    """Run the demo; whatever happens, nothing that it started is left.

    Args:
        view: where it is shown.
        keep: a folder for copies of clips and logs.
        timeout_s: how long it may take, seconds.

    Raises:
        SettingsInvalid, LocalStackError, TopicError, MigrationFailed, ModelError: a step could not be taken.
        AgentStopped: an agent ended by itself.
        DemoError: there is no RTMP server, or what is to be shown did not come about.
    """
    if (reason := nginx_rtmp_available()) is not None:
        raise LiveServerMissing(reason)
    deadline = Deadline.after(timeout_s)
    folder = RunFolder()
    try:
        demo = LiveDemo(view, folder.path, deadline)
        try:
            demo.run()
        except Exception:
            view.logs_kept(str(demo.copy_logs(Path(tempfile.mkdtemp(prefix="fleet-demo-logs-")))))
            raise
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            demo.copy_logs(keep)
            for clip in demo.clips:
                shutil.copy(clip.path, keep)
    finally:
        folder.close()
    view.done()


class LiveDemo:
    """One run of the live demo in a folder of its own."""

    def __init__(self, view: LiveView, folder: Path, deadline: Deadline) -> None:
        self.clips: tuple[DemoMedia, ...] = ()
        self._view = view
        self._deadline = deadline
        self._folder = folder
        self._logs = folder / "logs"
        self._servers = folder / "servers"
        self._media = folder / "media"
        for made in (self._logs, self._media):
            made.mkdir()

    def run(self) -> None:
        """Take every step; what was started has ended when it returns, with or without an error."""
        with ExitStack() as undo:
            stack = embedded_stack(load_settings(), self._servers)
            undo.callback(stack.stop)
            start(self._view, stack)
            settings = settings_at(stack.urls)
            create(self._view, settings)
            pull(self._view, settings.models)
            (door_port,) = choose_ports(1)
            token = secrets.token_urlsafe(16)
            with self._view.step("starting nginx with its RTMP module") as step:
                url = f"http://{LOOPBACK}:{door_port}/{_SERVER}/publish?token={token}"
                server = NginxRtmp(self._servers, on_publish=url, on_update=url)
                server.start()
                undo.callback(server.stop)
                step.came = f"live server: nginx-rtmp at {server.url}, which asks the deny door"
            with self._view.step("starting the agents") as step:
                environment = self._environment(stack, server, token)
                agents = undo.enter_context(DemoAgents(_AGENTS, environment, self._logs, {"door": door_port}))
                step.came = f"agents: {', '.join(_AGENTS)}, a process each"
            with self._view.step("building two clips from a photograph") as step:
                self.clips = build_live(self._media)
                step.came = "clips: one untouched, one with the face re-blended"
            consumer = undo.enter_context(_Following(settings.kafka))
            story = LiveStory(
                StreamStory(clip, undo.enter_context(Publisher(clip.path, f"{server.url}/{clip.name}", 1.0)))
                for clip in self.clips
            )
            self._ask(settings, server, story)
            self._follow(story, agents, consumer)
            with self._view.step("reading the rows back") as step:
                rows = await_live_rows(settings.postgres, story, Deadline.after(_ROWS_S))
                step.came = "rows of verdicts, alerts and actions in Postgres"
            self._view.summary(story, rows)

    def copy_logs(self, target: Path) -> Path:
        """Copy every log to a folder, and return it."""
        for log in (*self._logs.glob("*.log"), *self._servers.glob("*.log")):
            shutil.copy(log, target)
        return target

    def _environment(self, stack: EmbeddedStack, server: NginxRtmp, token: str) -> dict[str, str]:
        api = server.control_url.removesuffix("/control")
        return {
            **stack.urls.environment(),
            "FLEET_MODELS__OFFLINE": "true",
            "FLEET_STREAMS__ALLOWED_HOSTS": json.dumps([LOOPBACK]),
            "FLEET_BLOCKING__SERVERS": json.dumps({_SERVER: {"kind": "nginx-rtmp", "api_urls": [api]}}),
            "FLEET_DOOR__TOKEN": token,
            "FLEET_FRAMES__VERDICT_EVERY_S": "2",
            "FLEET_EVIDENCE__URL": str(self._folder / "evidence"),
        }

    def _ask(self, settings: Settings, server: NginxRtmp, story: LiveStory) -> None:
        """Ask for both streams to be watched, as a live platform does, in documented JSON."""
        topic = settings.kafka.topic_prefix + catalogue.STREAMS.name
        with self._view.step("asking for both streams to be watched") as step:
            producer = Producer(connection(settings.kafka) | {"enable.idempotence": True}, logger=_log)
            for stream in story.streams:
                name = stream.media.name
                event: dict[str, Any] = {
                    "stream_id": stream.stream_id,
                    "command": "start",
                    "url": f"{server.url}/{name}",
                    "server": _SERVER,
                    "publish_path": f"{APPLICATION}/{name}",
                    "sample_rate_fps": _SAMPLE_RATE_FPS,
                    "policy": "live-block",
                    "at": datetime.now(UTC).isoformat(),
                }
                producer.produce(
                    topic,
                    key=stream.stream_id,
                    value=orjson.dumps(event),
                    headers=[("schema", b"stream-control/2")],
                )
            left = producer.flush(_PUBLISH_TIMEOUT_S)
            if left:
                raise TimeoutError(f"{left} commands were not taken within {_PUBLISH_TIMEOUT_S:g} s")
            step.came = f"two commands published to {topic}, policy live-block"

    def _follow(self, story: LiveStory, agents: DemoAgents, consumer: "_Following") -> None:
        looked = 0.0
        states = agents.states()
        with self._view.following(story) as show:
            while not story.told:
                agents.check()
                if self._deadline.expired:
                    late = "; ".join(stream.missing for stream in story.streams if not stream.told)
                    raise LiveDemoLate(f"not in time: {late}")
                if monotonic() - looked >= _LOOK_S:
                    states, looked = agents.states(), monotonic()
                show(states)
                for event in consumer.read():
                    story.take(event, datetime.now(UTC))
            show(states)


class _Following:
    """Reads what is said of streams, as a moderation tool can. Joins no group."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._schemas = {kafka.topic_prefix + topic.name: schema for topic, schema in _FOLLOWED.items()}
        configuration = connection(kafka) | {
            "group.id": f"{kafka.topic_prefix}demo-{uuid4()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
        }
        self._consumer = Consumer(configuration, logger=_log)

    def __enter__(self) -> Self:
        known = self._consumer.list_topics(timeout=_PUBLISH_TIMEOUT_S).topics
        self._consumer.assign(
            [TopicPartition(name, number, 0) for name in self._schemas for number in known[name].partitions]
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read(self) -> list[_Told]:
        """Return what has come."""
        messages = self._consumer.consume(100, timeout=_READ_S)
        return [self._event(message) for message in messages if message.error() is None]

    def _event(self, message: Message) -> Any:
        pairs = message.headers() or []
        headers = {name: value for name, value in dict(pairs).items() if isinstance(value, bytes)}
        schema = self._schemas[str(message.topic())]
        if schema is Verdict:
            return decode(Verdict, message.value(), headers)
        if schema is Alert:
            return decode(Alert, message.value(), headers)
        return decode(Action if schema is Action else StreamState, message.value(), headers)
