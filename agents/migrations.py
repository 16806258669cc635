"""Apply the SQL migrations: in order, each once, each in a transaction, one process at a time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources

import psycopg

from agents.database import connect
from agents.settings import PostgresSettings

_NAME = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)\.sql")
_LOCK = int.from_bytes(sha256(b"deepfake_detection.migrations").digest()[:8], "big", signed=True)

_BOOKKEEPING = """
CREATE SCHEMA IF NOT EXISTS deepfake_detection;
CREATE TABLE IF NOT EXISTS deepfake_detection.schema_migrations (
    number      integer     PRIMARY KEY,
    name        text        NOT NULL,
    sha256      text        NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationFailed(Exception):
    """A migration could not be applied, or one that was applied has changed since."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of SQL."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The checksum of its text."""
        return sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return the fleet's migrations in order."""
    found = [
        Migration(int(match["number"]), match["name"], file.read_text("utf-8"))
        for file in resources.files("schemas.sql").iterdir()
        if (match := _NAME.fullmatch(file.name))
    ]
    return sorted(found, key=lambda migration: migration.number)


def migrate(postgres: PostgresSettings, known: Sequence[Migration] | None = None) -> list[Migration]:
    """Apply what is not applied yet, and return it. Several processes may call it at once.

    Raises:
        MigrationFailed: a migration failed (and was rolled back), or an applied one has changed.
        Unavailable: the database does not answer.
    """
    known = migrations() if known is None else known
    with connect(postgres) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        try:
            connection.execute(_BOOKKEEPING)
            rows = connection.execute("SELECT number, sha256 FROM deepfake_detection.schema_migrations")
            applied = {row[0]: row[1] for row in rows}
            for migration in known:
                if applied.get(migration.number, migration.sha256) != migration.sha256:
                    raise MigrationFailed(
                        f"migration {migration.number:04d}_{migration.name} was applied with another text; "
                        "write a new one instead of changing it"
                    )
            missing = [migration for migration in known if migration.number not in applied]
            for migration in missing:
                _apply(connection, migration)
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
    return missing


def _apply(connection: "psycopg.Connection[tuple[object, ...]]", migration: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(migration.sql.encode())
            connection.execute(
                "INSERT INTO deepfake_detection.schema_migrations (number, name, sha256) VALUES (%s, %s, %s)",
                (migration.number, migration.name, migration.sha256),
            )
    except psycopg.Error as error:
        raise MigrationFailed(f"migration {migration.number:04d}_{migration.name}: {error}") from error
