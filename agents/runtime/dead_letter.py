"""A message that could not be handled, as it is kept for operators."""

from agents.runtime.exceptions import Reject
from agents.runtime.messages import Incoming
from topics.serialisation import RawMessage

_DETAIL_LIMIT = 2000
"""Characters of detail in a header: enough for every field of a schema, bounded for any input."""


def dead_letter(message: Incoming, reject: Reject, attempts: int, agent: str) -> RawMessage:
    """Return the message as it came, with why, how often it was tried, and where it came from, in headers."""
    origin = {
        "dlq-reason": reject.reason,
        "dlq-detail": reject.detail[:_DETAIL_LIMIT],
        "dlq-attempts": str(attempts),
        "dlq-agent": agent,
        "dlq-source-topic": message.partition.topic,
        "dlq-source-partition": str(message.partition.number),
        "dlq-source-offset": str(message.offset),
        "dlq-source-timestamp-ms": str(message.timestamp_ms),
    }
    # A detail may name a file whose name is no UTF-8.
    headers = {**message.headers, **{name: value.encode(errors="backslashreplace") for name, value in origin.items()}}
    return RawMessage(message.key, message.value, headers)
