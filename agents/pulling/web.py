"""HLS over our own HTTP: what a playlist names is fetched only where the playlist itself might have been.

FFmpeg asks for each playlist and segment here (`io_open`), and opens nothing by itself: every hop and every address is
checked, so that a stranger's playlist cannot make us read files or private hosts.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from agents.media.addresses import refuse_private, resolve
from agents.media.http_client import HttpClient
from agents.media.policy import FetchPolicy

_MOST_BYTES = 64 << 20
"""Of a segment: a minute of the fattest stream."""
_REQUEST_S = 30.0


class WebFile:
    """The body of an answer, as a file that can only be read on."""

    def __init__(self, held: ExitStack, body: Iterator[bytes]) -> None:
        self._held = held
        self._body = body
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; none at the end.

        Raises:
            MediaError: it broke off, or is too large.
        """
        if not self._left:
            self._left = next(self._body, b"")
        piece = self._left if size < 0 else self._left[:size]
        self._left = self._left[len(piece) :]
        return piece

    def close(self) -> None:
        """Let go of the connection."""
        self._held.close()


class Web:
    """Opens the URLs of HLS for FFmpeg.

    Args:
        allow_private: whether private addresses may be connected to.
        hosts: names or addresses that may, whatever their addresses.
        timeout_s: of connections, and between two pieces of an answer, seconds.
    """

    def __init__(self, allow_private: bool, hosts: Sequence[str], timeout_s: float) -> None:
        allowed: set[str] = set()

        def resolved(host: str, port: int) -> Sequence[str]:
            addresses = resolve(host, port)
            if host in hosts:
                allowed.update(addresses)
            return addresses

        def check(address: str, port: int) -> None:
            if not allow_private and address not in allowed:
                refuse_private(address, port)

        self._client = HttpClient(
            FetchPolicy(
                schemes=frozenset({"http", "https"}),
                connect_timeout_s=timeout_s,
                read_timeout_s=timeout_s,
                request_timeout_s=_REQUEST_S,
                check_address=check,
                resolver=resolved,
            )
        )

    def open(self, url: str, _flags: int, _options: dict[str, str]) -> WebFile:
        """Return what is at a URL; FFmpeg's `io_open`.

        Raises:
            MediaError: it cannot be had, or must not.
        """
        held = ExitStack()
        answer = held.enter_context(self._client.get(url, {}))
        return WebFile(held, answer.body(_MOST_BYTES))
