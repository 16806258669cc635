"""Bring a broker's topics in line with the catalogue: create, grow, report. Data is never touched."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic, sleep

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType

from topics.catalogue import Topic
from topics.exceptions import ProvisioningFailed

_LOOK_AGAIN_S = 0.05
"""How often new topics are looked for in the metadata, seconds."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting of a topic that the broker has otherwise than the catalogue."""

    topic: str
    setting: str
    wanted: str
    found: str


@dataclass(slots=True)
class Report:
    """What provisioning did and found."""

    created: list[str] = field(default_factory=list)
    grown: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the broker has it."""

    name: str
    partitions: int
    replicas: int


def provision(
    admin: AdminClient,
    topics: Sequence[Topic],
    *,
    prefix: str = "",
    replication_factor: int = 1,
    timeout_s: float = 30.0,
) -> Report:
    """Create what is missing, add partitions where the catalogue grew, and report other differences.

    Running it again changes nothing. Configuration that differs is reported, not altered: an operator may
    have had a reason.

    Raises:
        ProvisioningFailed: the broker is away or refused.
    """
    report = Report()
    existing = {state.name: state for state in states(admin, timeout_s=timeout_s)}
    missing = [topic for topic in topics if prefix + topic.name not in existing]
    _create(admin, missing, prefix, replication_factor, timeout_s, report)
    for topic in topics:
        name = prefix + topic.name
        state = existing.get(name)
        if state is None:
            continue
        if state.partitions < topic.partitions:
            _grow(admin, name, topic.partitions, timeout_s)
            report.grown.append(name)
        else:
            report.unchanged.append(name)
        if state.partitions > topic.partitions:
            # More partitions than declared are harmless, and Kafka cannot take them away.
            report.differences.append(Difference(name, "partitions", str(topic.partitions), str(state.partitions)))
    found = [topic for topic in topics if prefix + topic.name in existing]
    report.differences.extend(_configuration_differences(admin, found, prefix, timeout_s))
    return report


def states(admin: AdminClient, *, timeout_s: float = 30.0) -> list[TopicState]:
    """Return the topics that the broker has, by name.

    Raises:
        ProvisioningFailed: the broker is away.
    """
    try:
        metadata = admin.list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise ProvisioningFailed(f"the broker's topics cannot be listed: {error.args[0]}") from error
    return [
        TopicState(
            name,
            len(topic.partitions),
            min((len(partition.replicas) for partition in topic.partitions.values()), default=0),
        )
        for name, topic in sorted(metadata.topics.items())
    ]


def _create(
    admin: AdminClient,
    topics: Sequence[Topic],
    prefix: str,
    replication_factor: int,
    timeout_s: float,
    report: Report,
) -> None:
    if not topics:
        return
    requests = [
        NewTopic(
            prefix + topic.name,
            num_partitions=topic.partitions,
            replication_factor=replication_factor,
            config=topic.configuration,
        )
        for topic in topics
    ]
    futures = admin.create_topics(requests, operation_timeout=timeout_s, request_timeout=timeout_s)
    for name, future in futures.items():
        # Another process may have created it since it was looked for.
        if _done(future, f"topic {name} cannot be created", accept=(KafkaError.TOPIC_ALREADY_EXISTS,)):
            report.created.append(name)
        else:
            report.unchanged.append(name)
    _await_visible(admin, set(futures), timeout_s)


def _await_visible(admin: AdminClient, names: set[str], timeout_s: float) -> None:
    """Wait until the broker's metadata have the topics: a consumer that starts now would miss them."""
    deadline = monotonic() + timeout_s
    while missing := names - {state.name for state in states(admin, timeout_s=timeout_s)}:
        if monotonic() > deadline:
            raise ProvisioningFailed(f"created, but not in the broker's metadata: {', '.join(sorted(missing))}")
        sleep(_LOOK_AGAIN_S)


def _grow(admin: AdminClient, name: str, partitions: int, timeout_s: float) -> None:
    futures = admin.create_partitions([NewPartitions(name, partitions)], request_timeout=timeout_s)
    for future in futures.values():
        # INVALID_PARTITIONS: another process has grown it since.
        _done(future, f"partitions of {name} cannot be added", accept=(KafkaError.INVALID_PARTITIONS,))


def _done(future: "Future[None]", what: str, accept: Iterable[int]) -> bool:
    try:
        future.result()
    except KafkaException as error:
        if error.args[0].code() in accept:
            return False
        raise ProvisioningFailed(f"{what}: {error.args[0]}") from error
    return True


def _configuration_differences(
    admin: AdminClient, topics: Sequence[Topic], prefix: str, timeout_s: float
) -> list[Difference]:
    if not topics:
        return []
    wanted = {prefix + topic.name: topic.configuration for topic in topics}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in wanted]
    differences = []
    for resource, future in admin.describe_configs(resources, request_timeout=timeout_s).items():
        try:
            entries = future.result()
        except KafkaException as error:
            raise ProvisioningFailed(f"{resource.name} cannot be described: {error.args[0]}") from error
        for setting, value in wanted[resource.name].items():
            entry = entries.get(setting)
            if entry is not None and entry.value != value:
                differences.append(Difference(resource.name, setting, value, str(entry.value)))
    return differences
