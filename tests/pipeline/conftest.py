"""Fixtures of the tests that go through real servers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from agents.migrations import migrate
from agents.settings import PostgresSettings
from tests.support.fleet import TEMPLATE_DATABASE, Fleet, database_url

NewFleet = Callable[..., Fleet]


@pytest.fixture(scope="session")
def migrated(server_environment: dict[str, str]) -> dict[str, str]:
    """The servers, with a migrated database that the tests' own are copied from."""
    server = server_environment["FLEET_POSTGRES__URL"]
    with psycopg.connect(server, autocommit=True) as database:
        # Several workers come here at once.
        database.execute("SELECT pg_advisory_lock(1)")
        exists = database.execute("SELECT FROM pg_database WHERE datname = %s", (TEMPLATE_DATABASE,)).fetchone()
        if exists is None:
            database.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE_DATABASE)))
            migrate(PostgresSettings.model_validate({"url": database_url(server, TEMPLATE_DATABASE)}))
    return server_environment


@pytest.fixture
def new_fleet(migrated: dict[str, str], tmp_path: Path) -> Iterator[NewFleet]:
    """Make fleets with settings of the test's own."""
    fleets: list[Fleet] = []

    def make(**overrides: str) -> Fleet:
        fleets.append(Fleet(migrated, tmp_path, **overrides))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.close()


@pytest.fixture
def fleet(new_fleet: NewFleet) -> Fleet:
    """A fleet with the default settings."""
    return new_fleet()
