import ssl
from collections.abc import Mapping
from pathlib import Path

import faust
import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from agents.runtime.clients import (
    admin_client,
    connection,
    consumer_configuration,
    faust_options,
    first_protocol,
    producer_configuration,
)
from agents.settings import KafkaSettings, RuntimeSettings

WORKER = RuntimeSettings(instance="segments-0")
SCRAM = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "SCRAM-SHA-512",
    "sasl_username": "fleet",
    "sasl_password": "hunter2",
}


CERTIFICATE = Path(__file__).parent / "tls" / "certificate.pem"
"""Self-signed, for nobody. `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 36500
-subj "/CN=localhost/O=Deepfake Fleet tests" -passout "pass:open sesame" -keyout key.pem -out certificate.pem`"""
KEY = CERTIFICATE.with_name("key.pem")


def secured(**settings: object) -> KafkaSettings:
    return KafkaSettings.model_validate({"bootstrap_servers": "one:9093,two:9093", **settings})


def test_without_security_only_the_brokers_are_named() -> None:
    configuration = connection(KafkaSettings())
    assert configuration["bootstrap.servers"] == "localhost:9092"
    assert configuration["security.protocol"] == "PLAINTEXT"
    assert not [name for name in configuration if name.startswith(("sasl.", "ssl."))]


def test_a_scram_login_over_tls_reaches_librdkafka() -> None:
    kafka = secured(**SCRAM, ssl_ca_location=CERTIFICATE)
    configuration = connection(kafka)
    assert configuration["sasl.mechanism"] == "SCRAM-SHA-512"
    assert configuration["sasl.username"] == "fleet"
    assert configuration["sasl.password"] == "hunter2"
    assert configuration["ssl.ca.location"] == str(CERTIFICATE)
    Producer(producer_configuration(kafka))
    admin_client(kafka)


def test_a_client_certificate_reaches_librdkafka() -> None:
    kafka = secured(
        security_protocol="SSL",
        ssl_ca_location=CERTIFICATE,
        ssl_certificate_location=CERTIFICATE,
        ssl_key_location=KEY,
        ssl_key_password="open sesame",
    )
    Producer(producer_configuration(kafka))
    locked = kafka.model_copy(update={"ssl_key_password": None})
    with pytest.raises(KafkaException, match=r"ssl\.key"):
        Producer(producer_configuration(locked))


@pytest.mark.parametrize("instance", ["", "segments-0"])
@pytest.mark.parametrize("protocol", ["consumer", "classic"])
@pytest.mark.parametrize("broker", ["kafka", "embedded"])
def test_librdkafka_takes_every_configuration_of_a_consumer(broker: str, protocol: str, instance: str) -> None:
    kafka = KafkaSettings.model_validate({"broker": broker, "session_timeout_s": 12})
    chosen = first_protocol(kafka) if protocol == "consumer" else "classic"
    configuration = consumer_configuration(kafka, RuntimeSettings(instance=instance), "segments", chosen)
    Consumer(configuration).close()


def test_a_consumer_stores_offsets_itself_and_begins_at_the_start() -> None:
    configuration = consumer_configuration(KafkaSettings(), WORKER, "segments", "consumer")
    assert configuration["enable.auto.offset.store"] is False
    assert configuration["auto.offset.reset"] == "earliest"


def test_kip_848_is_tried_first_where_the_broker_may_have_it() -> None:
    assert first_protocol(KafkaSettings()) == "consumer"
    assert first_protocol(KafkaSettings(group_protocol="consumer")) == "consumer"
    assert first_protocol(KafkaSettings(group_protocol="classic")) == "classic"
    assert first_protocol(KafkaSettings(broker="embedded")) == "classic"
    assert first_protocol(KafkaSettings(broker="embedded", group_protocol="consumer")) == "classic"


def test_kip_848_leaves_sessions_and_assignment_to_the_broker() -> None:
    configuration = consumer_configuration(KafkaSettings(), WORKER, "segments", "consumer")
    assert configuration["group.protocol"] == "consumer"
    assert not configuration.keys() & {"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"}


def test_a_classic_group_is_cooperative_with_the_session_asked_for() -> None:
    configuration = consumer_configuration(KafkaSettings(session_timeout_s=30), WORKER, "segments", "classic")
    assert configuration["partition.assignment.strategy"] == "cooperative-sticky"
    assert configuration["session.timeout.ms"] == 30_000
    assert configuration["heartbeat.interval.ms"] == 3000


def test_the_embedded_broker_gets_what_its_groups_converge_with() -> None:
    configuration = consumer_configuration(KafkaSettings(broker="embedded"), WORKER, "segments", "classic")
    assert configuration["partition.assignment.strategy"] == "range"
    assert configuration["session.timeout.ms"] == 6000
    assert "group.instance.id" not in configuration


def test_a_named_worker_is_a_static_member() -> None:
    configuration = consumer_configuration(KafkaSettings(), WORKER, "segments", "consumer")
    assert configuration["group.instance.id"] == "segments-segments-0"


@pytest.mark.parametrize(
    ("kafka", "runtime"),
    [(KafkaSettings(static_membership=False), WORKER), (KafkaSettings(), RuntimeSettings())],
    ids=["not wanted", "no name"],
)
def test_a_worker_without_a_lasting_name_is_no_static_member(kafka: KafkaSettings, runtime: RuntimeSettings) -> None:
    assert "group.instance.id" not in consumer_configuration(kafka, runtime, "segments", "consumer")


def test_a_prefix_goes_before_the_groups_name() -> None:
    configuration = consumer_configuration(KafkaSettings(topic_prefix="eu."), WORKER, "segments", "consumer")
    assert configuration["group.id"] == "eu.segments"


def test_a_producer_is_idempotent_waits_for_all_and_never_gives_up() -> None:
    configuration = producer_configuration(KafkaSettings())
    assert configuration["enable.idempotence"] is True
    assert configuration["acks"] == "all"
    assert configuration["message.timeout.ms"] == 0
    Producer(configuration)


def test_faust_gets_every_broker() -> None:
    options = faust_options(secured())
    assert options == {"broker": ["kafka://one:9093", "kafka://two:9093"]}
    app = faust.App("fleet", **options)
    assert [str(url) for url in app.conf.broker] == ["kafka://one:9093", "kafka://two:9093"]


def aiokafka_auth(kafka: KafkaSettings) -> Mapping[str, object]:
    """Return what the driver under Faust is told, from the application's configuration on."""
    app = faust.App("fleet", **faust_options(kafka))
    auth: Mapping[str, object] = credentials_to_aiokafka_auth(app.conf.broker_credentials, app.conf.ssl_context)
    return auth


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_faust_logs_in_as_librdkafka_does(protocol: str, mechanism: str) -> None:
    kafka = secured(**SCRAM | {"security_protocol": protocol, "sasl_mechanism": mechanism})
    auth = aiokafka_auth(kafka)
    assert auth["security_protocol"] == protocol
    assert auth["sasl_mechanism"] == mechanism
    assert (auth["sasl_plain_username"], auth["sasl_plain_password"]) == ("fleet", "hunter2")
    assert (auth["ssl_context"] is not None) == (protocol == "SASL_SSL")


def test_faust_trusts_the_certificates_named_and_shows_its_own() -> None:
    kafka = secured(
        security_protocol="SSL",
        ssl_ca_location=CERTIFICATE,
        ssl_certificate_location=CERTIFICATE,
        ssl_key_location=KEY,
        ssl_key_password="open sesame",
    )
    auth = aiokafka_auth(kafka)
    assert auth["security_protocol"] == "SSL"
    context = auth["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    (trusted,) = context.get_ca_certs()
    assert (("commonName", "localhost"),) in trusted["subject"]


def test_a_faust_client_certificate_needs_its_keys_password() -> None:
    kafka = secured(
        security_protocol="SSL",
        ssl_certificate_location=CERTIFICATE,
        ssl_key_location=KEY,
        ssl_key_password="wrong",
    )
    with pytest.raises(ssl.SSLError):
        faust_options(kafka)
