"""Webhook endpoints as platforms have them, good and bad, in a thread of the test's process."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event as Flag, Lock, Thread

from agents.local.ports import LOOPBACK


@dataclass(frozen=True, slots=True)
class Got:
    """A request that came."""

    headers: Mapping[str, str]
    body: bytes


@dataclass
class Endpoint:
    """What came, and what is answered: `answer` is told how many came before."""

    url: str
    answer: Callable[[int], int | None]
    """A status; None never answers."""
    headers: Mapping[str, str] = field(default_factory=dict)
    got: list[Got] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)
    ended: Flag = field(default_factory=Flag)


@contextmanager
def endpoint(
    answer: Callable[[int], int | None] = lambda _: 200, headers: Mapping[str, str] | None = None
) -> Iterator[Endpoint]:
    """Run an endpoint."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with place.lock:
                number = len(place.got)
                place.got.append(Got({name.lower(): value for name, value in self.headers.items()}, body))
            status = place.answer(number)
            if status is None:
                place.ended.wait(60)
                return
            self.send_response(status)
            for name, value in place.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    place = Endpoint(f"http://{LOOPBACK}:{server.server_address[1]}/hook", answer, headers or {})
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield place
    finally:
        place.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
