"""Whether the agent lives and works: its state, and the HTTP endpoint that tells it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from time import monotonic
from types import MappingProxyType

import orjson

from agents.runtime.metrics import METRICS_CONTENT_TYPE, Metrics

Documents = Mapping[str, Callable[[], object]]
_POLL_S = 0.1
"""How late the endpoint notices that it is to close, seconds."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """A moment's view."""

    agent: str
    alive: bool
    """The loop turned lately."""
    ready: bool
    """Alive, started, not draining, and nothing that it needs is away."""
    loop_age_s: float
    """Seconds since the loop last turned."""
    partitions: int
    """Partitions assigned."""
    away: Mapping[str, str] = field(default_factory=dict)
    """What it needs and cannot reach, and why."""
    state: str = "starting"
    """`starting`, `running`, `draining` or `stopped`."""


class Health:
    """Where the parts of an agent say how they are. Thread-safe."""

    def __init__(
        self, agent: str, metrics: Metrics, stalled_after_s: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._agent = agent
        self._metrics = metrics
        self._stalled_after_s = stalled_after_s
        self._clock = clock
        self._lock = Lock()
        self._turned_at = clock()
        self._partitions = 0
        self._away: dict[str, str] = {}
        self._state = "starting"

    def beat(self) -> None:
        """Note that the loop turned."""
        with self._lock:
            self._turned_at = self._clock()

    def enter(self, state: str) -> None:
        """Note the state that the agent is in now."""
        with self._lock:
            self._state = state

    def assigned(self, partitions: int) -> None:
        """Note how many partitions the worker has."""
        with self._lock:
            self._partitions = partitions
        self._metrics.assigned_partitions.set(partitions)

    def away(self, dependency: str, detail: str) -> None:
        """Note that something which the agent needs does not answer."""
        with self._lock:
            self._away[dependency] = detail
        self._metrics.dependency_up.labels(dependency).set(0)

    def back(self, dependency: str) -> None:
        """Note that it answers."""
        with self._lock:
            self._away.pop(dependency, None)
        self._metrics.dependency_up.labels(dependency).set(1)

    def report(self) -> HealthReport:
        """Return how the agent is now."""
        with self._lock:
            age = self._clock() - self._turned_at
            alive = age < self._stalled_after_s and self._state != "stopped"
            return HealthReport(
                agent=self._agent,
                alive=alive,
                ready=alive and self._state == "running" and not self._away,
                loop_age_s=round(age, 3),
                partitions=self._partitions,
                away=dict(self._away),
                state=self._state,
            )


class HealthEndpoint:
    """HTTP: `/health` (all), `/health/live`, `/health/ready` (200 or 503), `/metrics` (Prometheus), and documents.

    Args:
        health: what is told.
        metrics: what is counted.
        host: where to listen.
        port: 0 takes a free one.
        documents: by path, what returns a document, of which JSON is made.
    """

    def __init__(
        self, health: Health, metrics: Metrics, host: str, port: int, documents: Documents = MappingProxyType({})
    ) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(health, metrics, documents))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(_POLL_S,), name="health", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(health: Health, metrics: Metrics, documents: Documents) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "fleet"
        sys_version = ""
        timeout = 5.0

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(HTTPStatus.OK, METRICS_CONTENT_TYPE, metrics.render())
                return
            if path in documents:
                self._answer(HTTPStatus.OK, "application/json", orjson.dumps(documents[path]()))
                return
            report = health.report()
            good = {"/health": report.ready, "/health/live": report.alive, "/health/ready": report.ready}
            if path not in good:
                self._answer(HTTPStatus.NOT_FOUND, "application/json", b'{"error":"not found"}')
                return
            status = HTTPStatus.OK if good[path] else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "application/json", orjson.dumps(report))

        def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
            """Probes come every few seconds: they are not logged."""

    return Handler
