"""Several Valkeys together: a cluster of three, and a pair behind a Sentinel."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar, cast

import redis

from agents.local import Valkey
from agents.local.ports import LOOPBACK
from agents.local.processes import Command
from agents.runtime.deadline import Deadline

_SLOTS = 16_384
_WAIT_S = 30.0


class ClusterNode(Valkey):
    """One of a cluster's servers."""

    def __init__(self, folder: Path, password: str) -> None:
        super().__init__(folder, password=password, port_count=2)

    def more(self) -> str:
        return f"cluster-enabled yes\ncluster-port {self.ports[1]}\ncluster-node-timeout 2000"


class Replica(Valkey):
    """A server that follows another one."""

    def __init__(self, folder: Path, password: str, primary: int) -> None:
        super().__init__(folder, password=password)
        self._primary = primary

    def more(self) -> str:
        return f"primaryauth {self._password}\nreplicaof {LOOPBACK} {self._primary}"


class Primary(Valkey):
    """A server that may have to follow another one."""

    def more(self) -> str:
        return f"primaryauth {self._password}\nrepl-diskless-sync-delay 0"


class Sentinel(Valkey):
    """Watches a primary, and names another one when it is gone."""

    name: ClassVar[str] = "sentinel"

    def __init__(self, folder: Path, password: str, primary: int) -> None:
        super().__init__(folder, password=password)
        self._primary = primary

    def more(self) -> str:
        return (
            f"sentinel monitor fleet {LOOPBACK} {self._primary} 1\n"
            f"sentinel auth-pass fleet {self._password}\n"
            "sentinel down-after-milliseconds fleet 500\nsentinel failover-timeout fleet 2000"
        )

    def _prepare(self, deadline: Deadline) -> Command:
        command = super()._prepare(deadline)
        return Command((*command.program, "--sentinel"), folder=command.folder, log=command.log)


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Run a cluster of three servers; yield its URL, which names one of them."""
    password = secrets.token_urlsafe(24)
    with ExitStack() as stack:
        nodes = []
        for number in range(3):
            node = ClusterNode(_made(folder / str(number)), password)
            node.start()
            stack.callback(node.stop)
            nodes.append(node)
        clients = [stack.enter_context(redis.Redis.from_url(node.url)) for node in nodes]
        for number, client in enumerate(clients):
            client.cluster("addslotsrange", _SLOTS * number // 3, _SLOTS * (number + 1) // 3 - 1)
            client.cluster("meet", LOOPBACK, nodes[0].port, nodes[0].ports[1])
        deadline = Deadline.after(_WAIT_S)
        while not all(_whole(client) for client in clients):
            if deadline.expired:
                raise TimeoutError("the cluster did not come together")
        yield f"redis+cluster://:{password}@{LOOPBACK}:{nodes[0].port}"


@contextmanager
def behind_sentinel(folder: Path) -> Iterator[tuple[str, Valkey]]:
    """Run a primary, its replica and a Sentinel; yield their URL, and the primary."""
    password = secrets.token_urlsafe(24)
    with ExitStack() as stack:
        primary = Primary(_made(folder / "primary"), password=password)
        primary.start()
        stack.callback(primary.stop)
        replica = Replica(_made(folder / "replica"), password, primary.port)
        replica.start()
        stack.callback(replica.stop)
        sentinel = Sentinel(_made(folder / "sentinel"), password, primary.port)
        sentinel.start()
        stack.callback(sentinel.stop)
        with redis.Redis.from_url(sentinel.url) as client:
            deadline = Deadline.after(_WAIT_S)
            while not _knows_both(client):
                if deadline.expired:
                    raise TimeoutError("the Sentinel does not know primary and replica")
        yield (
            f"redis+sentinel://:{password}@{LOOPBACK}:{sentinel.port}/fleet/0?sentinel_password={password}",
            primary,
        )


def replicate(client: "redis.Redis") -> None:
    """Wait until the replica has all that was written."""
    client.set("replicated", 1)
    if client.wait(1, 1000) != 1:
        raise TimeoutError("the replica lags")


def _whole(client: "redis.Redis") -> bool:
    told = cast("Mapping[str, str]", client.cluster("info"))
    return told["cluster_state"] == "ok" and told["cluster_known_nodes"] == "3"


def _knows_both(client: "redis.Redis") -> bool:
    told = cast("Mapping[str, Mapping[str, object]]", client.info("sentinel"))
    watched = told.get("master0", {})
    return watched.get("status") == "ok" and watched.get("slaves") == 1


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
