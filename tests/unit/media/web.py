"""A web server on loopback whose every answer a test can choose, and which writes down what was asked of it."""

import re
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class Request(BaseHTTPRequestHandler):
    """One request; a page answers it by these methods, or by those of its base."""

    protocol_version = "HTTP/1.1"
    web: "Web"

    def do_GET(self) -> None:
        """Hands over to the page of that path."""
        path = self.path.partition("?")[0]
        self.web.asked.append((path, {name.lower(): value for name, value in self.headers.items()}))
        page = self.web.pages.get(path)
        if page is None:
            self.answer(404)
        else:
            page(self)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer."""
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def asked_range(self, size: int) -> tuple[int, int]:
        """First and last byte that are asked for."""
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        assert match is not None
        return int(match[1]), min(int(match[2]), size - 1)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Says nothing."""


Page = Callable[[Request], None]


class Web:
    """The server, running while the context is open.

    Attributes:
        pages: What answers which path.
        asked: Path and headers (names in lower case) of each request so far.
    """

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        handler = type("Handler", (Request,), {"web": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    def url(self, path: str, query: str = "", user: str = "") -> str:
        """The address of a page."""
        return f"http://{user}127.0.0.1:{self.port}{path}{query}"

    def serve(self, path: str, body: bytes, **headers: str) -> str:
        """Serves a body with range requests, and returns its address."""

        def page(request: Request) -> None:
            if not body:
                request.answer(416, b"", Content_Range="bytes */0", **headers)
                return
            first, last = request.asked_range(len(body))
            content_range = f"bytes {first}-{last}/{len(body)}"
            request.answer(206, body[first : last + 1], Content_Range=content_range, **headers)

        self.pages[path] = page
        return self.url(path)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def closed_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
