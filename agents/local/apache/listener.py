"""What a Kafka broker listens on, and the server properties that follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agents.local.ports import LOOPBACK

_CONTROLLER = "CONTROLLER"

# A cluster of one test run: no waiting for a group to fill up, few and small internal topics. What was killed
# is missed soon: a broker after 3 s instead of 9, before which its successor is taken for a second one, and a
# member of a KIP-848 group, whose session is the broker's to set, after 6 s instead of 45.
_FIXED = {
    "auto.create.topics.enable": "false",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    "num.network.threads": "2",
    "num.io.threads": "4",
}
_REPLICATED = (
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "share.coordinator.state.topic.replication.factor",
)
_IN_SYNC = ("transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr")


@dataclass(frozen=True, slots=True)
class Listener:
    """A way into a broker.

    Attributes:
        name: Upper-case name, as in `listener.security.protocol.map`.
        protocol: How clients speak to it.
        properties: What goes under `listener.name.<name>.`, such as keys or SASL mechanisms.
    """

    name: str
    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    properties: Mapping[str, str] = field(default_factory=dict)


CLIENTS = Listener("CLIENTS")


def broker_properties(
    *,
    node_id: int,
    voters: Mapping[int, int],
    listeners: Sequence[tuple[Listener, int]],
    data: Path,
) -> dict[str, str]:
    """Return the properties of a KRaft broker that is also a controller.

    Args:
        node_id: Number of this broker, a key of `voters`.
        voters: Controller port of every broker by its number.
        listeners: What clients connect to, with ports; brokers speak to each other over the first.
        data: Folder of the log.
    """
    ways = {listener.name: f"{listener.name}://{LOOPBACK}:{port}" for listener, port in listeners}
    controller = f"{_CONTROLLER}://{LOOPBACK}:{voters[node_id]}"
    protocols = [f"{listener.name}:{listener.protocol}" for listener, _ in listeners]
    copies = min(3, len(voters))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node_id),
        "controller.quorum.voters": ",".join(f"{node}@{LOOPBACK}:{port}" for node, port in voters.items()),
        "controller.listener.names": _CONTROLLER,
        "inter.broker.listener.name": listeners[0][0].name,
        "listeners": ",".join([*ways.values(), controller]),
        "advertised.listeners": ",".join(ways.values()),
        "listener.security.protocol.map": ",".join([*protocols, f"{_CONTROLLER}:PLAINTEXT"]),
        "log.dirs": str(data),
        **_FIXED,
        **dict.fromkeys(_REPLICATED, str(copies)),
        **dict.fromkeys(_IN_SYNC, str(max(1, copies - 1))),
        **{
            f"listener.name.{listener.name.lower()}.{name}": value
            for listener, _ in listeners
            for name, value in listener.properties.items()
        },
    }
