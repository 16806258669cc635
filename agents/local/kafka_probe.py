"""Asking a Kafka broker who it is."""

import logging

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from agents.local.ports import LOOPBACK, is_listening

# A broker that is not up yet is expected here; librdkafka would write each refused connection to stderr.
_SILENT = logging.getLogger("agents.local.kafka_probe.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def broker_refusal(port: int, cluster_id: str, timeout_s: float = 1.0) -> str | None:
    """Ask the broker on a loopback port for its metadata; None when it is of this cluster and serves.

    Otherwise the reason why it does not, as a half sentence.
    """
    if not is_listening(port):
        return "nothing listens on its port"
    admin = AdminClient({"bootstrap.servers": f"{LOOPBACK}:{port}"}, logger=_SILENT)
    try:
        cluster = admin.list_topics(timeout=timeout_s)
    except KafkaException as error:
        return f"metadata request: {error}"
    if cluster.cluster_id != cluster_id:
        return f"the broker there is of another cluster, {cluster.cluster_id}"
    if not cluster.brokers or cluster.controller_id < 0:
        return "the cluster has no controller yet"
    return None
