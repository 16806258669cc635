"""Broker, key-value store and database of a whole fleet, started together."""

from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import TracebackType
from typing import Self

from agents.local.apache import ApacheKafka
from agents.local.broker import EmbeddedBroker
from agents.local.exceptions import LocalStackError, ServerNotRunningError
from agents.local.folder import RunFolder
from agents.local.postgres import Postgres
from agents.local.server import Server
from agents.local.urls import Broker, StackUrls
from agents.local.valkey import Valkey


class EmbeddedStack:
    """Runs the servers that the fleet needs on free loopback ports, each unless its URL is given.

    A context manager: inside it the servers answer, after it they are gone, and so are their data unless a
    folder was given. They also end when this process does, however it ends.

    Attributes:
        kafka: The broker that was started; None when its URL was given.
        valkey: The Valkey that was started; None when its URL was given.
        postgres: The PostgreSQL that was started; None when its URL was given.
        folder: Where the data and the logs (`<server>.log`) are while the stack runs.

    Raises:
        LocalStackError: On entering, when a server cannot be started; the others are stopped again.
    """

    def __init__(
        self,
        *,
        kafka: str | None = None,
        redis: str | None = None,
        database: str | None = None,
        broker: Broker | None = None,
        folder: Path | None = None,
    ) -> None:
        """Say what is there already and what is to be started.

        Args:
            kafka: Bootstrap servers of a Kafka to use in place of one of our own.
            redis: URL of a Redis or Valkey to use in place of one of our own.
            database: URL of a PostgreSQL to use in place of one of our own.
            broker: Which broker to start, `embedded` unless said otherwise; of a given one, which kind it is,
                `apache` (any real Kafka) unless said otherwise.
            folder: An empty or new folder for the data and logs, kept afterwards; by default a temporary one.
        """
        self._given = (kafka, redis, database)
        self._broker: Broker = broker or ("embedded" if kafka is None else "apache")
        self._given_folder = folder
        self._run_folder: RunFolder | None = None
        self.kafka: EmbeddedBroker | ApacheKafka | None = None
        self.valkey: Valkey | None = None
        self.postgres: Postgres | None = None

    @property
    def folder(self) -> Path:
        """The folder of data and logs.

        Raises:
            ServerNotRunningError: The stack does not run.
        """
        if self._run_folder is None:
            raise ServerNotRunningError("the embedded stack does not run")
        return self._run_folder.path

    @property
    def servers(self) -> tuple[Server, ...]:
        """The servers that were started here."""
        return tuple(server for server in (self.kafka, self.valkey, self.postgres) if server is not None)

    @property
    def urls(self) -> StackUrls:
        """What clients connect to.

        Raises:
            ServerNotRunningError: The stack does not run.
        """
        kafka, redis, database = self._given
        if self._run_folder is None:
            raise ServerNotRunningError("the embedded stack does not run")
        return StackUrls(
            bootstrap_servers=kafka or _url(self.kafka),
            redis_url=redis or _url(self.valkey),
            database_url=database or _url(self.postgres),
            broker=self._broker,
        )

    def start(self) -> StackUrls:
        """Start what was not given, all at once, and wait until everything answers.

        Raises:
            LocalStackError: It runs already, or a server cannot be started; what was started is stopped again.
        """
        if self._run_folder is not None:
            raise LocalStackError("the embedded stack runs already: stop it before starting it again")
        self._run_folder = RunFolder(self._given_folder)
        try:
            self._choose(self._run_folder.path)
            self._start_all()
        except BaseException:
            self.stop()
            raise
        return self.urls

    def stop(self) -> None:
        """Stop the servers and remove what a temporary folder holds; may be repeated.

        Raises:
            ServerStopError: A server's process cannot be ended.
        """
        if self._run_folder is None:
            return
        servers = self.servers
        if servers:
            with ThreadPoolExecutor(len(servers), thread_name_prefix="stop") as pool:
                stopped = [pool.submit(server.stop) for server in servers]
            for end in stopped:
                end.result()
        self._run_folder.close()
        self._run_folder = None
        self.kafka = self.valkey = self.postgres = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _choose(self, folder: Path) -> None:
        kafka, redis, database = self._given
        if kafka is None:
            self.kafka = ApacheKafka(folder) if self._broker == "apache" else EmbeddedBroker(folder)
        if redis is None:
            self.valkey = Valkey(folder)
        if database is None:
            self.postgres = Postgres(folder)

    def _start_all(self) -> None:
        servers = self.servers
        if not servers:
            return
        with ThreadPoolExecutor(len(servers), thread_name_prefix="start") as pool:
            starts = [pool.submit(server.start) for server in servers]
            try:
                for start in as_completed(starts):
                    start.result()
            except BaseException:
                for server in servers:
                    server.stop()
                raise


def _url(server: Server | None) -> str:
    if server is None:
        raise ServerNotRunningError("the embedded stack does not run")
    return server.url
