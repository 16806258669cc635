"""Connections to Postgres, and which of its errors mean that it is away."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from agents.runtime.exceptions import Reject, Unavailable
from agents.settings import PostgresSettings

Connection = psycopg.Connection[tuple[object, ...]]

_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.ReadOnlySqlTransaction,
    errors.InsufficientResources,
    errors.OperatorIntervention,
    errors.QueryCanceled,
    errors.SerializationFailure,
    errors.DeadlockDetected,
)


def connect(postgres: PostgresSettings) -> Connection:
    """Return a connection that commits only by `transaction()`.

    Raises:
        Unavailable: the database does not answer, or refuses.
    """
    try:
        return psycopg.connect(
            postgres.url.get_secret_value(),
            autocommit=True,
            connect_timeout=postgres.connect_timeout_s,
            application_name="deepfake-fleet",
            options=f"-c statement_timeout={int(postgres.statement_timeout_s * 1000)}",
        )
    except psycopg.Error as error:
        raise Unavailable("postgres", _short(error)) from error


@contextmanager
def typed_errors() -> Iterator[None]:
    """Turn what psycopg raises into Unavailable (away, read-only, full) or Reject (the row cannot be)."""
    try:
        yield
    except _AWAY as error:
        raise Unavailable("postgres", _short(error)) from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise Reject("row_invalid", _short(error)) from error


def _short(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0]
