"""W3C Trace Context: one trace from the upload event to its verdict."""

import re
from hashlib import sha256

from agents.runtime.messages import Incoming

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent(message: Incoming) -> str:
    """Return the `traceparent` of what follows from a message.

    The trace is the message's own, or, where it carries none, one that is derived from where it lies, so that
    a replay belongs to the same trace. The span is this hop's, derived likewise.
    """
    place = f"{message.partition.topic}/{message.partition.number}/{message.offset}".encode()
    digest = sha256(place).hexdigest()
    header = message.headers.get("traceparent", b"").decode(errors="replace")
    if _TRACEPARENT.fullmatch(header):
        _, trace, _, flags = header.split("-")
        return f"00-{trace}-{digest[:16]}-{flags}"
    return f"00-{digest[:32]}-{digest[32:48]}-01"
