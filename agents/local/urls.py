"""Where a stack's servers are."""

from dataclasses import dataclass, field
from typing import Literal

Broker = Literal["embedded", "apache"]

# What the settings call the two: the embedded broker has group options of its own, the other is any real one.
_KAFKA_BROKER: dict[Broker, str] = {"embedded": "embedded", "apache": "kafka"}


@dataclass(frozen=True, slots=True)
class StackUrls:
    """What clients connect to; the URLs hold passwords, so they stay out of the `repr`.

    Attributes:
        bootstrap_servers: Kafka bootstrap servers, host:port, separated by commas.
        redis_url: redis://… of a Redis or Valkey.
        database_url: postgresql://… of a PostgreSQL.
        broker: Which kind of broker answers: the embedded Tansu, or a real Kafka.
    """

    bootstrap_servers: str
    redis_url: str = field(repr=False)
    database_url: str = field(repr=False)
    broker: Broker

    def environment(self) -> dict[str, str]:
        """Return the variables that make the fleet's settings point here."""
        return {
            "FLEET_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "FLEET_KAFKA__BROKER": _KAFKA_BROKER[self.broker],
            "FLEET_REDIS__URL": self.redis_url,
            "FLEET_POSTGRES__URL": self.database_url,
        }
