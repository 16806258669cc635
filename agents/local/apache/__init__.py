"""Real Apache Kafka: its jars from Maven (`make kafka`), and a broker that runs on them."""

from agents.local.apache.exceptions import KafkaJarsError, MavenError, MissingJavaError
from agents.local.apache.jars import KAFKA_VERSION, apache_available, fetch, jar_folder, verified_jars
from agents.local.apache.kafka import ApacheKafka
from agents.local.apache.listener import CLIENTS, Listener

__all__ = [
    "CLIENTS",
    "KAFKA_VERSION",
    "ApacheKafka",
    "KafkaJarsError",
    "Listener",
    "MavenError",
    "MissingJavaError",
    "apache_available",
    "fetch",
    "jar_folder",
    "verified_jars",
]
