"""Fixtures of the tests that go through real servers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from agents.migrations import migrate
from agents.settings import PostgresSettings
from tests.support.fleet import TEMPLATE_DATABASE, Fleet, database_url
from tests.support.media import MediaFolder
from tests.support.tiny_models import write_manifest

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

    def make(*, provisioned: bool = True, **overrides: str) -> Fleet:
        fleets.append(Fleet(migrated, tmp_path, provisioned=provisioned, overrides=overrides))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.close()


@pytest.fixture
def fleet(new_fleet: NewFleet) -> Fleet:
    """A fleet with the default settings."""
    return new_fleet()


@pytest.fixture(scope="session")
def tiny_manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest with the real face detector and a detector that calls bright faces altered."""
    return write_manifest(tmp_path_factory.mktemp("models"))


@pytest.fixture
def scoring_fleet(new_fleet: NewFleet, tiny_manifest: Path) -> Fleet:
    """A fleet whose detector is a tiny one."""
    return new_fleet(FLEET_MODELS__MANIFEST=str(tiny_manifest))


@pytest.fixture
def media(tmp_path: Path) -> MediaFolder:
    """A folder that the test's fleet may read."""
    return MediaFolder(tmp_path)
