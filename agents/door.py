"""The deny door: live servers ask whether somebody may publish, and are answered from the leases in Redis."""

import asyncio
import hmac
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import perf_counter, time
from typing import ClassVar
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from agents.blocking.exceptions import QuestionMalformed
from agents.blocking.leases import Deny, DenyLeases
from agents.blocking.servers.catalogue import MANNERS
from agents.blocking.servers.server import Answer, Manners, Publishing, Question
from agents.keyvalue import connect_asyncio
from agents.policies import policy_book
from agents.runtime.exceptions import AgentStopped, Unavailable
from agents.runtime.health import Health
from agents.runtime.metrics import METRICS_CONTENT_TYPE, Metrics
from agents.settings import Settings

_log = logging.getLogger(__name__)
_BEAT_S = 1.0
_MOST_FIELDS = 100


class _Refused(Exception):
    """A question that is not answered."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


def _now_ms() -> int:
    return int(time() * 1000)


class Door:
    """An HTTP service: `/SERVER/publish` for each live server of the settings, `/health` and `/metrics`.

    What is asked and answered is each kind of server's own, see `agents.blocking.servers`. While Redis is away the
    policy of the server's tenant decides: everybody may publish, or nobody.

    Raises:
        PolicyError: the policies of the settings cannot be used.
    """

    name: ClassVar[str] = "door"

    def __init__(self, settings: Settings, metrics: Metrics, now_ms: Callable[[], int] = _now_ms) -> None:
        self._settings = settings
        self._metrics = metrics
        self._now_ms = now_ms
        self._health = Health(self.name, metrics, settings.runtime.stalled_after_s)
        book = policy_book(settings.policies)
        servers = settings.blocking.servers
        self._manners: Mapping[str, Manners] = {name: MANNERS[each.kind] for name, each in servers.items()}
        self._fail_closed = {name: book.for_stream(each.tenant).live.fail_closed for name, each in servers.items()}
        self._token = settings.door.token
        self._stopping: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False
        self.port = 0

    def stop(self) -> None:
        """Answer what is being asked, and end. From any thread."""
        self._stopped = True
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    def run(self) -> None:
        """Serve until stopped.

        Raises:
            AgentStopped: it cannot listen where it is told to.
        """
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        if self._stopped:
            return
        redis = self._settings.redis.model_copy(update={"timeout_s": self._settings.door.redis_timeout_s})
        client = connect_asyncio(redis)
        leases = DenyLeases(client, redis)
        runner = web.AppRunner(self.application(leases), access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._settings.door.host, self._settings.door.port)
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise AgentStopped(f"the door cannot listen: {error}") from error
        self.port = runner.addresses[0][1]
        _log.info("door: at http://%s:%d, for %s", *runner.addresses[0][:2], ", ".join(self._manners) or "no server")
        self._health.enter("running")
        try:
            while not self._stopping.is_set():
                self._health.beat()
                try:
                    await asyncio.wait_for(self._stopping.wait(), _BEAT_S)
                except TimeoutError:
                    continue
        finally:
            self._health.enter("stopped")
            await runner.cleanup()
            await client.aclose()

    def application(self, leases: DenyLeases) -> web.Application:
        """Return the service, answering from these leases."""
        service = web.Application(client_max_size=self._settings.door.max_body_kib << 10)

        async def publish(request: web.Request) -> web.Response:
            started = perf_counter()
            answer = await self._publish(request, leases)
            self._metrics.door_seconds.observe(perf_counter() - started)
            return answer

        service.router.add_route("*", "/{server}/publish", publish)
        service.router.add_get("/health", self._tell_health)
        service.router.add_get("/health/live", self._tell_health)
        service.router.add_get("/health/ready", self._tell_health)
        service.router.add_get("/metrics", self._tell_metrics)
        return service

    async def _publish(self, request: web.Request, leases: DenyLeases) -> web.Response:
        server = request.match_info["server"]
        try:
            manners = self._manners_of(server, request.query.get("token", ""))
            publishing = manners.read(await _question(request))
        except _Refused as refused:
            return self._refused(refused.status, str(refused))
        except QuestionMalformed as error:
            return self._refused(HTTPStatus.BAD_REQUEST, str(error))
        if publishing is None:
            return self._say("not_ours", manners.allow())
        patience_s = 2 * self._settings.door.redis_timeout_s
        try:
            deny = await asyncio.wait_for(leases.find(server, publishing.path), patience_s)
        except (Unavailable, TimeoutError) as error:
            return self._without_redis(server, manners, publishing, error)
        self._health.back("redis")
        if deny is None or deny.until_ms <= self._now_ms():
            return self._say("allowed", manners.allow())
        return self._denied(server, manners, publishing, deny)

    def _manners_of(self, server: str, token: str) -> Manners:
        if server not in self._manners:
            raise _Refused(HTTPStatus.NOT_FOUND, f"no live server {server[:64]!r} in blocking.servers")
        wanted = self._token
        if wanted is not None and not hmac.compare_digest(token.encode(), wanted.get_secret_value().encode()):
            raise _Refused(HTTPStatus.UNAUTHORIZED, "a wrong token")
        return self._manners[server]

    def _denied(self, server: str, manners: Manners, publishing: Publishing, deny: Deny) -> web.Response:
        _log.info("%s: %s is denied (%s): %s", server, publishing.path, publishing.client, deny.reason)
        return self._say("denied", manners.deny("this stream is blocked"))

    def _without_redis(self, server: str, manners: Manners, publishing: Publishing, error: Exception) -> web.Response:
        self._health.away("redis", str(error))
        if self._fail_closed[server]:
            _log.warning("%s: %s is denied, since it cannot be known who is: %s", server, publishing.path, error)
            return self._say("denied_unknown", manners.deny("it cannot be known now who may publish"))
        _log.warning("%s: %s is let in, since it cannot be known who is denied: %s", server, publishing.path, error)
        return self._say("allowed_unknown", manners.allow())

    def _say(self, outcome: str, answer: Answer) -> web.Response:
        self._metrics.door_answers.labels(outcome).inc()
        return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)

    def _refused(self, status: HTTPStatus, why: str) -> web.Response:
        _log.warning("the door refuses a question: %s", why)
        self._metrics.door_answers.labels("refused").inc()
        return web.Response(status=status, text=why)

    async def _tell_health(self, request: web.Request) -> web.Response:
        report = self._health.report()
        # Without Redis it still answers, by policy: it is to be asked on.
        good = report.alive if request.path.endswith("/live") else report.alive and report.state == "running"
        return web.Response(
            status=HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE,
            body=orjson.dumps(report),
            content_type="application/json",
        )

    async def _tell_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": METRICS_CONTENT_TYPE})


async def _question(request: web.Request) -> Question:
    query = {name: value for name, value in request.query.items() if name != "token"}
    body = await request.read()
    # By content: not every server says what it sends.
    if body.lstrip().startswith(b"{"):
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise QuestionMalformed("the body is no JSON") from error
        return Question(query, {}, document)
    try:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise QuestionMalformed("the body is no form") from error
    return Question(query, form)
