"""A fleet of the tests' own, on the shared servers: its own topics, keys and database."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import TypeVar
from uuid import uuid4

import psycopg
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from psycopg import sql

from agents.assembly import AGENTS, SERVICES
from agents.runtime.agent import Agent
from agents.runtime.clients import admin_client, connection, producer_configuration
from agents.runtime.deadline import Deadline
from agents.runtime.metrics import Metrics
from agents.runtime.process import AgentProcess
from agents.runtime.service import Service
from agents.settings import Settings, load_settings
from schemas.event import Event
from schemas.media import MediaRef, MediaUpload
from schemas.verdict import Verdict
from topics.catalogue import VERDICTS, Topic, all_topics
from topics.provisioning import provision
from topics.serialisation import decode, encode

_Event = TypeVar("_Event", bound=Event)

TEMPLATE_DATABASE = "fleet_template"
_PARTITIONS = 3
"""Enough to spread over workers; the catalogue's many would cost a real broker seconds a test."""
_WAIT_S = 60.0
"""Longer than anything takes that a test waits for on a busy machine; every wait ends as soon as it can."""


class Waiting(AssertionError):
    """What a test waited for did not come."""


@dataclass(slots=True)
class Reader:
    """Reads topics from their beginning, again and again, without a group."""

    consumer: Consumer
    messages: list[Message] = field(default_factory=list)

    def read(self) -> list[Message]:
        """Return every message so far."""
        for message in self.consumer.consume(500, timeout=0.1):
            error = message.error()
            if error is not None:
                raise Waiting(str(error))
            self.messages.append(message)
        return self.messages


@dataclass(frozen=True)
class Running:
    """An agent in a thread of the test's process."""

    process: AgentProcess
    thread: Thread
    metrics: Metrics
    errors: list[BaseException]

    def count(self, metric: str, **labels: str) -> float:
        """Return a counter, summed over the labels that are not given."""
        return _counted(self.metrics, metric, labels)

    def stop(self) -> None:
        """Drain and end it."""
        self.process.stop()
        self.thread.join(_WAIT_S)
        if self.thread.is_alive():
            raise Waiting("the agent did not stop")


@dataclass(frozen=True)
class Serving:
    """A service in a thread of the test's process."""

    service: Service
    metrics: Metrics

    def count(self, metric: str, **labels: str) -> float:
        """Return a counter or gauge, summed over the labels that are not given."""
        return _counted(self.metrics, metric, labels)


def _counted(metrics: Metrics, metric: str, labels: Mapping[str, str]) -> float:
    return sum(
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name in {metric, f"{metric}_total"} and labels.items() <= sample.labels.items()
    )


class Fleet:
    """Topics with a prefix, a key prefix and a database that no other test has."""

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        *,
        provisioned: bool = True,
        partitions: int = _PARTITIONS,
        overrides: Mapping[str, str] | None = None,
        **more: str,
    ) -> None:
        self.name = f"t{uuid4().hex[:10]}"
        self.folder = folder
        self._server_environment = dict(environment)
        self.environment = {
            **environment,
            "FLEET_KAFKA__TOPIC_PREFIX": f"{self.name}.",
            "FLEET_REDIS__KEY_PREFIX": f"{self.name}:",
            "FLEET_MEDIA__ALLOWED_ROOTS": f'["{folder}"]',
            "FLEET_MEDIA__ALLOW_PRIVATE_ADDRESSES": "true",
            "FLEET_RUNTIME__DRAIN_TIMEOUT_S": "20",
            "FLEET_RUNTIME__HEALTH_PORT": "-1",
            **(overrides or {}),
            **more,
        }
        self.environment["FLEET_POSTGRES__URL"] = self._create_database()
        self.settings = self._settings()
        most = partitions if provisioned else max(topic.partitions for topic in all_topics())
        self.topics = [replace(topic, partitions=min(most, topic.partitions)) for topic in all_topics()]
        # Kept: a client that is let go drops its requests.
        self.admin = admin_client(self.settings.kafka)
        if provisioned:
            provision(self.admin, self.topics, prefix=self.settings.kafka.topic_prefix)
        self._producer = Producer(producer_configuration(self.settings.kafka))
        self._readers: dict[str, Reader] = {}

    def _settings(self) -> Settings:
        before = {name: value for name, value in os.environ.items() if name.startswith("FLEET_")}
        for name in before:
            del os.environ[name]
        os.environ.update(self.environment)
        try:
            return load_settings()
        finally:
            for name in self.environment:
                del os.environ[name]
            os.environ.update(before)

    def _create_database(self) -> str:
        server = self._server_environment["FLEET_POSTGRES__URL"]
        with psycopg.connect(server, autocommit=True) as database:
            database.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(self.name), sql.Identifier(TEMPLATE_DATABASE)
                )
            )
        return database_url(server, self.name)

    def close(self) -> None:
        """Leave nothing behind."""
        for reader in self._readers.values():
            reader.consumer.close()
        names = [self.settings.kafka.topic_prefix + topic.name for topic in self.topics]
        for future in self.admin.delete_topics(names).values():
            future.result()
        with psycopg.connect(self._server_environment["FLEET_POSTGRES__URL"], autocommit=True) as database:
            database.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name)))

    def full(self, topic: Topic) -> str:
        """Return the topic's name on the broker."""
        return self.settings.kafka.topic_prefix + topic.name

    def upload(self, path: Path | str, content_id: str | None = None, **fields: object) -> MediaUpload:
        """Return the upload event of a file or URI."""
        uri = path.as_uri() if isinstance(path, Path) else path
        return MediaUpload.model_validate(
            {
                "content_id": content_id or uri.rpartition("/")[2],
                "uploader_id": "tester",
                "media": MediaRef(uri=uri),
                "uploaded_at": datetime(2026, 11, 1, 12, tzinfo=UTC),
                **fields,
            }
        )

    def publish(self, topic: Topic, events: Iterable[Event]) -> None:
        """Publish events, and wait until the broker has them."""
        for event in events:
            encoded = encode(event)
            self.publish_raw(topic, encoded.value, encoded.headers, encoded.key)
        self._producer.flush()

    def publish_raw(
        self, topic: Topic, value: bytes, headers: Mapping[str, bytes] | None = None, key: bytes = b"key"
    ) -> None:
        """Publish bytes."""
        self._producer.produce(self.full(topic), value=value, key=key, headers=list((headers or {}).items()))
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the broker has what was published."""
        self._producer.flush()

    def messages(self, name: str) -> list[Message]:
        """Return every message so far of the topic with that catalogue name."""
        reader = self._readers.get(name)
        if reader is None:
            consumer = Consumer(
                connection(self.settings.kafka) | {"group.id": f"{self.name}-reader", "enable.auto.commit": False}
            )
            full = self.settings.kafka.topic_prefix + name
            partitions = next(topic.partitions for topic in self.topics if topic.name == name)
            consumer.assign([TopicPartition(full, number, 0) for number in range(partitions)])
            reader = self._readers[name] = Reader(consumer)
        return reader.read()

    def events(self, topic: Topic, schema: type[_Event]) -> list[_Event]:
        """Return every event so far of a topic."""
        return [
            decode(schema, _bytes(message.value()), {str(k): _bytes(v) for k, v in _pairs(message)})
            for message in self.messages(topic.name)
        ]

    def await_that(
        self, condition: Callable[[], bool], what: str | Callable[[], str], timeout_s: float = _WAIT_S
    ) -> None:
        """Look until `condition` holds; `what` says what was waited for, at the end of it.

        Raises:
            Waiting: it did not come to hold.
        """
        deadline = Deadline.after(timeout_s)
        while not condition():
            if deadline.expired:
                raise Waiting(f"waited {timeout_s:.0f} s for {what if isinstance(what, str) else what()}")

    def await_count(self, agent: Running, metric: str, at_least: float) -> None:
        """Wait until a counter of an agent has come so far."""
        self.await_that(lambda: agent.count(metric) >= at_least, f"{at_least:g} {metric}")

    def await_verdicts(self, count: int, timeout_s: float = _WAIT_S) -> dict[str, Verdict]:
        """Wait for verdicts on `count` different contents, and return them by content id."""
        found: dict[str, Verdict] = {}

        def complete() -> bool:
            found.update({verdict.content_id: verdict for verdict in self.events(VERDICTS, Verdict)})
            return len(found) >= count

        self.await_that(complete, lambda: f"{count} verdicts, of which came {sorted(found)}", timeout_s)
        return found

    def await_messages(self, name: str, count: int, timeout_s: float = _WAIT_S) -> list[Message]:
        """Wait for `count` messages on a topic."""
        self.await_that(lambda: len(self.messages(name)) >= count, f"{count} messages on {name}", timeout_s)
        return self.messages(name)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return the rows of a query on the fleet's database."""
        with psycopg.connect(self.environment["FLEET_POSTGRES__URL"], autocommit=True) as database:
            return database.execute(query.encode()).fetchall()

    def execute(self, statement: str, options: str = "") -> None:
        """Run a statement on the fleet's database, under options of libpq."""
        with psycopg.connect(self.environment["FLEET_POSTGRES__URL"], autocommit=True, options=options) as database:
            database.execute(statement.encode())

    def forget_group(self, agent: str) -> None:
        """Let an agent's group begin anew: everything is read again."""
        group = self.settings.kafka.topic_prefix + agent
        for future in self.admin.delete_consumer_groups([group]).values():
            future.result()

    @contextmanager
    def running(
        self, *agents: str | Agent, metrics: Metrics | None = None, settings: Settings | None = None
    ) -> Iterator[list[Running]]:
        """Run agents in threads, and drain them at the end. An agent that failed fails the test."""
        with ExitStack() as stack:
            started = []
            for agent in agents:
                own = metrics or Metrics()
                chosen = settings or self.settings
                built = AGENTS[agent](chosen, own) if isinstance(agent, str) else agent
                started.append(start(built, chosen, own))
                stack.callback(started[-1].stop)
            yield started
        for each in started:
            if each.errors:
                raise each.errors[0]

    @contextmanager
    def serving(self, name: str, settings: Settings | None = None) -> Iterator["Serving"]:
        """Run a service in a thread, and end it. One that failed fails the test."""
        chosen, metrics = settings or self.settings, Metrics()
        service, errors = SERVICES[name](chosen, metrics), list[BaseException]()

        def run() -> None:
            try:
                service.run()
            except BaseException as error:  # noqa: BLE001  (the test raises it)
                errors.append(error)

        thread = Thread(target=run, name=name, daemon=True)
        thread.start()
        try:
            yield Serving(service, metrics)
        finally:
            service.stop()
            thread.join(_WAIT_S)
        if thread.is_alive():
            raise Waiting(f"{name} did not stop")
        if errors:
            raise errors[0]

    def spawn(self, agent: str, **overrides: str) -> "subprocess.Popen[bytes]":
        """Start an agent as a process of its own; its log goes to the test's folder."""
        log = (self.folder / f"{agent}-{uuid4().hex[:6]}.log").open("wb")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLEET_")}
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "agents.cli", "run", agent],
                env={**environment, **self.environment, **overrides},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @contextmanager
    def spawned(self, *agents: str, **overrides: str) -> Iterator[list["subprocess.Popen[bytes]"]]:
        """Start agents as processes, and end them."""
        processes = [self.spawn(agent, **overrides) for agent in agents]
        try:
            yield processes
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
            for process in processes:
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def start(agent: Agent, settings: Settings, metrics: Metrics) -> Running:
    """Run an agent in a thread."""
    process = AgentProcess(agent, settings, metrics)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            process.run()
        except BaseException as error:  # noqa: BLE001  (the test raises it)
            errors.append(error)

    thread = Thread(target=run, name=agent.name, daemon=True)
    thread.start()
    return Running(process, thread, metrics, errors)


def database_url(server: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return psycopg.conninfo.make_conninfo(server, dbname=name)


def _pairs(message: Message) -> Iterable[tuple[str, bytes | str | None]]:
    headers = message.headers() or []
    return list(headers.items()) if isinstance(headers, dict) else headers


def headers_of(message: Message) -> dict[str, str]:
    """Return a message's headers as text."""
    return {name: _bytes(value).decode() for name, value in _pairs(message)}


def _bytes(value: bytes | str | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
