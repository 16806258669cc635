"""What can keep real Apache Kafka from being run."""

from agents.local.exceptions import LocalStackError, MissingProgramError


class KafkaJarsError(LocalStackError):
    """Kafka's jars are not in the cache, or are not those whose checksums are committed: run `make kafka`."""


class MissingJavaError(MissingProgramError):
    """There is no Java to run Kafka with."""


class MavenError(LocalStackError):
    """Maven is not there, or could not resolve Kafka's jars."""
