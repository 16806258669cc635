"""Decoder processes of an agent, from `open` to `close`, and what their absence means to it."""

from collections.abc import Iterator
from contextlib import contextmanager

from agents.media.decoder import DecoderStartError, SandboxPolicy
from agents.media.sandbox import DecoderPool, DecoderPoolClosed
from agents.runtime.exceptions import Unavailable


class Decoders:
    """A pool that starts with the agent. Thread-safe between `open` and `close`."""

    def __init__(self, policy: SandboxPolicy) -> None:
        self._policy = policy
        self._pool: DecoderPool | None = None

    def open(self) -> None:
        """Start the processes."""
        self._pool = DecoderPool(self._policy)

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
