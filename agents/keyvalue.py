"""The key-value store: Redis or Valkey, alone, behind Sentinel, or as a cluster. And scripts that run in it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1
from typing import Any, cast
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode, RedisCluster as AsyncCluster
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    ConnectionError as RedisConnectionError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    SlotNotCoveredError,
    TimeoutError as RedisTimeoutError,
    TryAgainError,
)
from redis.retry import Retry
from redis.sentinel import Sentinel

from agents.runtime.exceptions import Unavailable
from agents.settings import RedisSettings

_AWAY = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    ReadOnlyError,
    OutOfMemoryError,
    TryAgainError,
    ClusterDownError,
    ClusterError,
    MasterDownError,
    RedisClusterException,
    SlotNotCoveredError,
)
_CLUSTER = ("redis+cluster", "rediss+cluster")
_SENTINEL = ("redis+sentinel", "rediss+sentinel")
_REDIS_PORT, _SENTINEL_PORT = 6379, 26379


def connect(settings: RedisSettings) -> "redis.Redis":
    """Return a client. A command that fails fails at once: waiting is the runtime's business.

    The URL says what is there: `redis://`, `rediss://` and `unix://` one server, `redis+cluster://host:port,…` a
    cluster by some of its nodes, `redis+sentinel://host:port,…/service/database` the primary that Sentinels name. With
    `rediss+…` servers are reached over TLS. A cluster's client is another class with the same commands.

    Raises:
        Unavailable: a cluster does not tell its nodes.
    """
    url = settings.url.get_secret_value()
    parts = urlsplit(url)
    # One silent reconnect, for a connection that the server closed while it was idle.
    options: dict[str, Any] = {
        "socket_timeout": settings.timeout_s,
        "socket_connect_timeout": settings.timeout_s,
        "health_check_interval": 30,
        "retry": Retry(NoBackoff(), 1),
    }
    if parts.scheme in _CLUSTER:
        return _cluster(parts, options)
    if parts.scheme in _SENTINEL:
        return _behind_sentinel(parts, options, settings)
    return redis.Redis.from_url(url, **options)


def connect_asyncio(settings: RedisSettings) -> "redis.asyncio.Redis":
    """Return a client for an event loop, see `connect`. It connects when it is first used."""
    url = settings.url.get_secret_value()
    parts = urlsplit(url)
    options: dict[str, Any] = {
        "socket_timeout": settings.timeout_s,
        "socket_connect_timeout": settings.timeout_s,
        "health_check_interval": 30,
        "retry": AsyncRetry(NoBackoff(), 1),
    }
    if parts.scheme in _CLUSTER:
        places = [AsyncClusterNode(*place) for place in _hosts(parts, _REDIS_PORT)]
        options |= {**_login(parts), "ssl": parts.scheme.startswith("rediss")}
        return cast("redis.asyncio.Redis", AsyncCluster(startup_nodes=places, **options))
    if parts.scheme in _SENTINEL:
        service, _, database = parts.path.strip("/").partition("/")
        options |= {**_login(parts), "ssl": parts.scheme.startswith("rediss"), "db": int(database or 0)}
        sentinel = AsyncSentinel(_hosts(parts, _SENTINEL_PORT), sentinel_kwargs=_sentinel_login(parts, settings))  # type: ignore[no-untyped-call]
        return cast("redis.asyncio.Redis", sentinel.master_for(service, **options))
    return redis.asyncio.Redis.from_url(url, **options)


def _sentinel_login(parts: SplitResult, settings: RedisSettings) -> dict[str, Any]:
    (password, *_) = parse_qs(parts.query).get("sentinel_password", [None])
    return {
        "socket_timeout": settings.timeout_s,
        "socket_connect_timeout": settings.timeout_s,
        "password": password,
    }


def _cluster(parts: SplitResult, options: dict[str, Any]) -> "redis.Redis":
    nodes = [ClusterNode(*place) for place in _hosts(parts, _REDIS_PORT)]  # type: ignore[no-untyped-call]
    options = {**options, **_login(parts), "ssl": parts.scheme.startswith("rediss")}
    with typed_errors():
        return cast("redis.Redis", RedisCluster(startup_nodes=nodes, **options))


def _behind_sentinel(parts: SplitResult, options: dict[str, Any], settings: RedisSettings) -> "redis.Redis":
    service, _, database = parts.path.strip("/").partition("/")
    asked = _sentinel_login(parts, settings)
    sentinel = Sentinel(_hosts(parts, _SENTINEL_PORT), sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
    options = {**options, **_login(parts), "ssl": parts.scheme.startswith("rediss"), "db": int(database or 0)}
    return cast("redis.Redis", sentinel.master_for(service, **options))  # type: ignore[no-untyped-call]


def _hosts(parts: SplitResult, default_port: int) -> list[tuple[str, int]]:
    hosts = []
    for place in parts.netloc.rpartition("@")[2].split(","):
        single = urlsplit(f"//{place}")
        hosts.append((single.hostname or "localhost", single.port or default_port))
    return hosts


def _login(parts: SplitResult) -> dict[str, str | None]:
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    return {"username": unquote(user) or None, "password": unquote(password) or None}


@contextmanager
def typed_errors() -> Iterator[None]:
    """Turn what redis-py raises while the server is away, full or read-only into Unavailable."""
    try:
        yield
    except _AWAY as error:
        raise Unavailable("redis", str(error) or type(error).__name__) from error


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a script. Its keys share a hash tag."""

    keys: Sequence[str]
    arguments: Sequence[bytes | str | int | float]


class Script:
    """A Lua script, run many times in one round trip, also on a cluster."""

    def __init__(self, client: "redis.Redis", text: str) -> None:
        self._client = client
        self._text = text
        self._sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def run(self, call: Call) -> Any:
        """Run it once.

        Raises:
            Unavailable: Redis is away.
        """
        return self.run_all([call])[0]

    def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """Run it for each call, in order; each run is atomic, all of them are not.

        Raises:
            Unavailable: Redis is away. Some may have run.
        """
        with typed_errors():
            answers = self._run(calls)
            unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:
                self._client.script_load(self._text)
                again = self._run([calls[place] for place in unknown])
                for place, answer in zip(unknown, again, strict=True):
                    answers[place] = answer
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    def _run(self, calls: Sequence[Call]) -> list[Any]:
        # Not `evalsha`: redis-py's pipelines for clusters refuse it by name, and route it well.
        with self._client.pipeline(transaction=False) as pipeline:
            for call in calls:
                evaluated = ("EVALSHA", self._sha, len(call.keys), *call.keys, *call.arguments)
                pipeline.execute_command(*evaluated)  # type: ignore[no-untyped-call]
            return list(pipeline.execute(raise_on_error=False))
