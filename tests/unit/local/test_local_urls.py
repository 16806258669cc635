from agents.local import Broker, StackUrls


def urls(broker: Broker) -> StackUrls:
    return StackUrls("127.0.0.1:9092", "redis://:secret@127.0.0.1:1/0", "postgresql://fleet:secret@h/db", broker)


def test_the_environment_points_the_settings_at_the_stack() -> None:
    assert urls("embedded").environment() == {
        "FLEET_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9092",
        "FLEET_KAFKA__BROKER": "embedded",
        "FLEET_REDIS__URL": "redis://:secret@127.0.0.1:1/0",
        "FLEET_POSTGRES__URL": "postgresql://fleet:secret@h/db",
    }


def test_apache_kafka_is_a_kafka_like_any_other_to_the_settings() -> None:
    assert urls("apache").environment()["FLEET_KAFKA__BROKER"] == "kafka"


def test_passwords_stay_out_of_the_repr() -> None:
    assert "secret" not in repr(urls("embedded"))
