"""Decoder processes of an agent, from `open` to `close`, and what their absence means to it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from agents.media.decoder import DecoderStartError, SandboxPolicy
from agents.media.frames import Decoding
from agents.media.sandbox import DecoderPool, DecoderPoolClosed
from agents.runtime.exceptions import Unavailable
from agents.runtime.metrics import Metrics

_log = logging.getLogger(__name__)
_MOST_SAID = 16
"""The reasons come from decoder processes, which may have been taken over."""


class Decoders:
    """A pool that starts with the agent. Thread-safe between `open` and `close`."""

    def __init__(self, policy: SandboxPolicy, metrics: Metrics) -> None:
        self._policy = policy
        self._metrics = metrics
        self._pool: DecoderPool | None = None
        self._said: set[Decoding] = set()

    def open(self) -> None:
        """Start the processes."""
        self._pool = DecoderPool(self._policy, self.note)

    @contextmanager
    def use(self) -> Iterator[DecoderPool]:
        """Give the pool to a handler.

        Raises:
            Unavailable: no process comes up, or the agent is closing: it says nothing of the media.
        """
        if self._pool is None:
            raise Unavailable("decoder", "not started")
        try:
            yield self._pool
        except (DecoderStartError, DecoderPoolClosed) as error:
            raise Unavailable("decoder", str(error)) from error

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.close()

    def note(self, decoding: Decoding) -> None:
        """Count a decoded video, and say once each what decodes them and why."""
        self._metrics.decoded_streams.labels(decoding.decoder).inc()
        if decoding in self._said or len(self._said) >= _MOST_SAID:
            return
        self._said.add(decoding)
        otherwise = decoding.decoder == "software" and self._policy.hardware != "none"
        how = "in software" if decoding.decoder == "software" else f"by {decoding.decoder}"
        why = f": {decoding.why}" if decoding.why else ""
        _log.log(logging.WARNING if otherwise else logging.INFO, "videos are decoded %s%s", how, why)
