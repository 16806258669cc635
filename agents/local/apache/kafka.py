"""Real Apache Kafka on this machine, for what the embedded broker does not do."""

import base64
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from agents.local.apache.jars import java, verified_jars
from agents.local.apache.listener import CLIENTS, Listener, broker_properties
from agents.local.kafka_probe import broker_refusal
from agents.local.ports import LOOPBACK
from agents.local.processes import Command
from agents.local.server import Server
from agents.runtime.deadline import Deadline

_NODE_ID = 1
# One small broker beside a test run: little heap, the collector and compiler that start fastest, no files
# outside its folder.
_JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_LOGGING = """\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c: %m%n
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
"""


class ApacheKafka(Server):
    """One Apache Kafka broker, its own KRaft controller; its topics survive a kill and a restart.

    Attributes:
        cluster_id: Chosen at random when the server was made.
        listeners: What clients connect to, the first of them by `url`; `ports` are theirs in the same order,
            then the controller's.

    Raises:
        MissingJavaError: On starting: there is no Java.
        KafkaJarsError: On starting: `make kafka` has not been run, or a jar was changed since.
    """

    name: ClassVar[str] = "kafka"
    start_timeout_s: ClassVar[float] = 90.0
    # A controlled shutdown moves leaders and writes snapshots before the process ends.
    stop_timeout_s: ClassVar[float] = 30.0

    def __init__(
        self,
        folder: Path,
        *,
        listeners: tuple[Listener, ...] = (CLIENTS,),
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the broker; `properties` are set over our own in `server.properties`."""
        super().__init__(folder, port_count=len(listeners) + 1)
        self.listeners = listeners
        self.cluster_id = _new_cluster_id()
        self._properties = dict(properties or {})

    @property
    def url(self) -> str:
        """The bootstrap server of the first listener, as host:port."""
        return f"{LOOPBACK}:{self.port}"

    def _prepare(self, deadline: Deadline) -> Command:
        jars = verified_jars()
        home = self.folder / self.name
        home.mkdir(mode=0o700, exist_ok=True)
        data, configuration, logging = home / "data", home / "server.properties", home / "log4j2.properties"
        *client_ports, controller_port = self.ports
        properties = broker_properties(
            node_id=_NODE_ID,
            voters={_NODE_ID: controller_port},
            listeners=list(zip(self.listeners, client_ports, strict=True)),
            data=data,
        )
        configuration.touch(mode=0o600)
        written = {**properties, **self._properties}
        configuration.write_text("".join(f"{name}={value}\n" for name, value in written.items()))
        logging.write_text(_LOGGING)
        paths = (f"-Djava.io.tmpdir={home}", f"-Dlog4j2.configurationFile={logging}", "-cp", f"{jars}/*")
        virtual_machine = (str(java()), *_JVM, *paths)
        if not (data / "meta.properties").exists():
            identity = ("--cluster-id", self.cluster_id, "--config", str(configuration))
            form = (*virtual_machine, "kafka.tools.StorageTool", "format", *identity)
            self._run(Command(form, folder=home, log=self.log), deadline)
        serve = (*virtual_machine, "kafka.Kafka", str(configuration))
        return Command(serve, folder=home, log=self.log)

    def _refusal(self) -> str | None:
        return broker_refusal(self.port, self.cluster_id)


def _new_cluster_id() -> str:
    """A random UUID as Kafka writes it, in URL-safe base 64; not one that reads as an option."""
    while True:
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not identity.startswith("-"):
            return identity
