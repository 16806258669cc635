"""Servers to measure on, and fleets on them."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from agents.local import EmbeddedStack
from agents.local.urls import Broker
from agents.migrations import migrate
from agents.settings import PostgresSettings
from tests.support.fleet import TEMPLATE_DATABASE, Fleet, database_url

BROKERS: dict[Broker, str] = {"embedded": "embedded (Tansu)", "apache": "Apache Kafka"}


class Servers:
    """The embedded stack, with a migrated database that fleets' own are copied from."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._numbers = count()
        with psycopg.connect(environment["FLEET_POSTGRES__URL"], autocommit=True) as database:
            database.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE_DATABASE)))
        url = database_url(environment["FLEET_POSTGRES__URL"], TEMPLATE_DATABASE)
        migrate(PostgresSettings.model_validate({"url": url}))

    @contextmanager
    def fleet(self, overrides: Mapping[str, str] | None = None, *, partitions: int = 3, **more: str) -> Iterator[Fleet]:
        """A fleet with topics, keys and a database of its own, and a folder that it may read."""
        folder = self._folder / f"fleet-{next(self._numbers)}"
        folder.mkdir()
        fleet = Fleet(self._environment, folder, provisioned=True, partitions=partitions, overrides=overrides, **more)
        try:
            yield fleet
        finally:
            fleet.close()


@contextmanager
def running_servers(broker: Broker, folder: Path) -> Iterator[Servers]:
    """Start the servers, and stop them at the end."""
    with EmbeddedStack(broker=broker) as stack:
        yield Servers(stack.urls.environment(), folder)
        # Clients that nothing refers to any more would complain that the broker goes.
        gc.collect()
