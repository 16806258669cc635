"""Kafka client configuration from the settings, for librdkafka and for Faust."""

from pathlib import Path
from typing import Any, Literal

from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from agents.settings import KafkaSettings, RuntimeSettings

Configuration = dict[str, str | int | float | bool]
GroupProtocol = Literal["consumer", "classic"]

_EMBEDDED_SESSION_MS = 6000
"""The embedded broker's groups converge with `range` assignment, short sessions, no static members."""


def connection(kafka: KafkaSettings) -> Configuration:
    """Return what every librdkafka client needs to reach the brokers."""
    configuration: Configuration = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": kafka.security_protocol,
        "client.id": "deepfake-fleet",
        "log.connection.close": False,
    }
    optional: dict[str, str | Path | SecretStr | None] = {
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": kafka.sasl_password,
        "ssl.ca.location": kafka.ssl_ca_location,
        "ssl.certificate.location": kafka.ssl_certificate_location,
        "ssl.key.location": kafka.ssl_key_location,
        "ssl.key.password": kafka.ssl_key_password,
    }
    for name, value in optional.items():
        if isinstance(value, SecretStr):
            configuration[name] = value.get_secret_value()
        elif value is not None:
            configuration[name] = str(value)
    return configuration


def first_protocol(kafka: KafkaSettings) -> GroupProtocol:
    """Return the group protocol to begin with; with `auto`, the loop falls back to classic."""
    if kafka.broker == "embedded" or kafka.group_protocol == "classic":
        return "classic"
    return "consumer"


def consumer_configuration(
    kafka: KafkaSettings, runtime: RuntimeSettings, group: str, protocol: GroupProtocol
) -> Configuration:
    """Return the configuration of an agent's consumer.

    Offsets are stored by the loop, when a message is done, and committed from the store.
    """
    configuration = connection(kafka) | {
        "group.id": kafka.topic_prefix + group,
        "group.protocol": protocol,
        "enable.auto.offset.store": False,
        "enable.auto.commit": True,
        "auto.commit.interval.ms": 1000,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": False,
        # Fetched ahead and not yet handed to the loop: small, since the loop has its own budget.
        "queued.max.messages.kbytes": 16_384,
        "fetch.wait.max.ms": 50,
    }
    static = kafka.static_membership and runtime.instance and kafka.broker != "embedded"
    if static:
        configuration["group.instance.id"] = f"{group}-{runtime.instance}"
    if protocol == "classic":
        embedded = kafka.broker == "embedded"
        configuration["partition.assignment.strategy"] = "range" if embedded else "cooperative-sticky"
        session_ms = _EMBEDDED_SESSION_MS if embedded else int(kafka.session_timeout_s * 1000)
        configuration["session.timeout.ms"] = session_ms
        configuration["heartbeat.interval.ms"] = min(3000, session_ms // 4)
    return configuration


def producer_configuration(kafka: KafkaSettings) -> Configuration:
    """Return the configuration of an agent's producer: idempotent, and patient while the broker is away."""
    return connection(kafka) | {
        "enable.idempotence": True,
        "acks": "all",
        # Without end: what a handler made waits for the broker, and the message behind it is not committed.
        "message.timeout.ms": 0,
        "linger.ms": 5,
        # As Java's and Python's other clients choose: a key is in one partition, whoever writes it.
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "message.max.bytes": 8 << 20,
        "queue.buffering.max.kbytes": 262_144,
    }


def admin_client(kafka: KafkaSettings) -> AdminClient:
    """Return a client that manages topics."""
    return AdminClient(connection(kafka))


def faust_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the options of a `faust.App` for the same brokers and the same login.

    `dict[str, Any]`, since they are keyword arguments of an untyped library.
    """
    import ssl  # noqa: PLC0415  (Faust and its event loop are the control plane's alone)

    import faust  # noqa: PLC0415
    from faust.types.auth import SASLMechanism  # noqa: PLC0415

    options: dict[str, Any] = {"broker": [f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")]}
    context = None
    if kafka.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=str(kafka.ssl_ca_location) if kafka.ssl_ca_location else None)
        if kafka.ssl_certificate_location is not None:
            password = kafka.ssl_key_password
            context.load_cert_chain(
                str(kafka.ssl_certificate_location),
                str(kafka.ssl_key_location),
                password.get_secret_value() if password else None,
            )
    if kafka.sasl_mechanism is not None and kafka.sasl_password is not None:
        options["broker_credentials"] = faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value(),
            mechanism=SASLMechanism(kafka.sasl_mechanism),
            ssl_context=context,
        )
    elif context is not None:
        options["broker_credentials"] = faust.SSLCredentials(context)
    return options
