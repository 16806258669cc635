"""What must be there before agents start: servers, topics, tables."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from confluent_kafka.admin import AdminClient

from agents.local import EmbeddedStack, StackUrls
from agents.migrations import Migration, migrate
from agents.runtime.clients import connection
from agents.settings import KafkaSettings, Settings, load_settings
from topics.catalogue import all_topics
from topics.provisioning import Report, provision

_SILENT = logging.getLogger(f"{__name__}.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

_BROKERS: dict[str, Literal["embedded", "apache"]] = {"embedded": "embedded", "kafka": "apache"}
"""What the settings call a broker, and what the stack calls it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What had to be done."""

    topics: Report
    migrations: tuple[Migration, ...]


def quiet_admin(kafka: KafkaSettings) -> AdminClient:
    """Return an admin client whose failures are told by its answers alone, and not by librdkafka on stderr."""
    return AdminClient(connection(kafka), logger=_SILENT)


def provision_topics(kafka: KafkaSettings, timeout_s: float = 30.0) -> Report:
    """Bring the broker's topics in line with the catalogue.

    Raises:
        ProvisioningFailed: the broker is away or refused.
    """
    return provision(
        quiet_admin(kafka),
        all_topics(),
        prefix=kafka.topic_prefix,
        replication_factor=kafka.replication_factor,
        timeout_s=timeout_s,
    )


def prepare(settings: Settings) -> Prepared:
    """Bring topics and tables to where agents can start.

    Raises:
        ProvisioningFailed: the broker is away or refused.
        MigrationFailed: a migration failed.
        Unavailable: the database is away.
    """
    return Prepared(provision_topics(settings.kafka), tuple(migrate(settings.postgres)))


def embedded_stack(settings: Settings, folder: Path | None = None) -> EmbeddedStack:
    """Return a stack that will start what the settings do not point elsewhere.

    Args:
        settings: a server whose URL was set, by variable or file, is used and not started.
        folder: as for `EmbeddedStack`.
    """
    given_broker = "bootstrap_servers" in settings.kafka.model_fields_set
    return EmbeddedStack(
        kafka=settings.kafka.bootstrap_servers if given_broker else None,
        redis=settings.redis.url.get_secret_value() if "url" in settings.redis.model_fields_set else None,
        database=settings.postgres.url.get_secret_value() if "url" in settings.postgres.model_fields_set else None,
        broker=_BROKERS[settings.kafka.broker] if given_broker else None,
        folder=folder,
    )


def settings_at(urls: StackUrls) -> Settings:
    """Return the settings of this process, pointed at a stack.

    Raises:
        SettingsInvalid: a setting cannot be.
    """
    broker = next(ours for ours, theirs in _BROKERS.items() if theirs == urls.broker)
    return load_settings(
        kafka={"bootstrap_servers": urls.bootstrap_servers, "broker": broker},
        redis={"url": urls.redis_url},
        postgres={"url": urls.database_url},
    )
