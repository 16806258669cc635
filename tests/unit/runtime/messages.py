"""Messages as tests of the runtime hand them in."""

from collections.abc import Mapping

from agents.runtime.messages import Incoming, Partition
from topics.catalogue import UPLOADS, Topic


def incoming(
    offset: int = 0,
    topic: Topic = UPLOADS,
    partition: int = 0,
    *,
    key: bytes | None = b"key",
    value: bytes | None = b"{}",
    headers: Mapping[str, bytes] | None = None,
    timestamp_ms: int = 0,
) -> Incoming:
    """Return a message of a topic without prefix."""
    return Incoming(
        topic=topic,
        partition=Partition(topic.name, partition),
        offset=offset,
        key=key,
        value=value,
        headers=headers or {},
        timestamp_ms=timestamp_ms,
    )
