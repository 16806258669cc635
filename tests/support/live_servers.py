"""Small live servers by their documents, which `agents.blocking.servers` names; they refuse what these do not allow."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Middleware

from agents.local.ports import LOOPBACK


@dataclass
class Stage:
    """Who publishes, by application and name, and what the server was asked.

    Attributes:
        publishers: id of the client of each stream; MediaMTX' have a kind before a colon.
        asked: method and path of each request.
        trouble: answers in place of the server, if it is set.
    """

    publishers: dict[tuple[str, str], str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    trouble: Callable[[], web.Response] | None = None
    url: str = ""


@asynccontextmanager
async def serving(stage: Stage, *routes: web.RouteDef, middleware: Middleware | None = None) -> AsyncIterator[Stage]:
    """Serve routes on a free port, behind a middleware of the test."""

    @web.middleware
    async def note(request: web.Request, handler: Callable[..., object]) -> web.StreamResponse:
        stage.asked.append(f"{request.method} {request.path}")
        if stage.trouble is not None:
            return stage.trouble()
        return await handler(request)  # type: ignore[misc,no-any-return]

    application = web.Application(middlewares=[note] if middleware is None else [note, middleware])
    application.add_routes(routes)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    stage.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    try:
        yield stage
    finally:
        await runner.cleanup()


def srs(stage: Stage) -> list[web.RouteDef]:
    """SRS' `/api/v1/streams` and `/api/v1/clients`."""

    async def streams(request: web.Request) -> web.Response:
        start, count = int(request.query.get("start", "0")), int(request.query.get("count", "10"))
        listed = [
            {
                "id": f"vid-{name}",
                "name": name,
                "vhost": "vid-1",
                "app": app,
                "publish": {"active": True, "cid": client},
            }
            for (app, name), client in stage.publishers.items()
        ]
        idle = {"id": "vid-idle", "name": "bob", "vhost": "vid-1", "app": "live", "publish": {"active": False}}
        return web.json_response({"code": 0, "server": "vid-0", "streams": [idle, *listed][start : start + count]})

    async def delete(request: web.Request) -> web.Response:
        client = request.match_info["client"]
        for key, known in list(stage.publishers.items()):
            if known == client:
                del stage.publishers[key]
                return web.json_response({"code": 0})
        return web.json_response({"code": 2049})

    return [web.get("/api/v1/streams", streams), web.delete("/api/v1/clients/{client}", delete)]


def mediamtx(stage: Stage) -> list[web.RouteDef]:
    """MediaMTX' `/v3/paths/list` and what throws connections out, by the names of its first versions."""
    return _mediamtx(
        stage,
        {
            "rtmpConn": "rtmpconns",
            "rtmpsConn": "rtmpsconns",
            "rtspSession": "rtspsessions",
            "rtspsSession": "rtspssessions",
            "srtConn": "srtconns",
            "webRTCSession": "webrtcsessions",
        },
    )


def mediamtx_of_today(stage: Stage) -> list[web.RouteDef]:
    """The same by the names of its newer versions."""
    return _mediamtx(
        stage,
        {
            "rtmpConn": "rtmp/conns",
            "rtmpsConn": "rtmps/conns",
            "rtspSession": "rtsp/sessions",
            "rtspsSession": "rtsps/sessions",
            "srtConn": "srt/conns",
            "webRTCSession": "webrtc/sessions",
            "moqSession": "moq/sessions",
        },
    )


def _mediamtx(stage: Stage, kinds: Mapping[str, str]) -> list[web.RouteDef]:

    async def paths(request: web.Request) -> web.Response:
        page, size = int(request.query.get("page", "0")), int(request.query.get("itemsPerPage", "100"))
        idle = {"name": "live/idle", "source": None, "ready": False}
        items = [
            idle,
            *(
                {"name": f"{app}/{name}", "source": dict(zip(("type", "id"), client.split(":"), strict=True))}
                for (app, name), client in stage.publishers.items()
            ),
        ]
        shown = items[page * size : (page + 1) * size]
        return web.json_response({"itemCount": len(items), "pageCount": -(-len(items) // size), "items": shown})

    async def kick(request: web.Request) -> web.Response:
        if await request.read():
            return web.json_response({"status": "error", "error": "no body was expected"}, status=400)
        for key, known in list(stage.publishers.items()):
            kind, _, client = known.partition(":")
            if client == request.match_info["id"] and request.path == f"/v3/{kinds.get(kind)}/kick/{client}":
                del stage.publishers[key]
                return web.json_response({"status": "ok"})
        return web.json_response({"status": "error", "error": "connection not found"}, status=404)

    return [
        web.get("/v3/paths/list", paths),
        *(web.post(f"/v3/{named}/kick/{{id}}", kick) for named in kinds.values()),
    ]


def node_media_server(stage: Stage) -> list[web.RouteDef]:
    """node-media-server's login, streams and sessions."""

    def refused(request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == "Bearer jwt":
            return None
        return web.json_response({"success": False, "code": "UNAUTHORIZED"}, status=401)

    async def login(request: web.Request) -> web.Response:
        if await request.json() != {"username": "admin", "password": "secret"}:
            return web.json_response({"success": False, "data": {}}, status=401)
        return web.json_response({"success": True, "data": {"token": "jwt"}})

    async def streams(request: web.Request) -> web.Response:
        listed = [
            {"key": f"/{app}/{name}", "app": app, "name": name, "status": "publishing", "publisher": {"id": client}}
            for (app, name), client in stage.publishers.items()
        ]
        idle = {"key": "/live/idle", "app": "live", "name": "idle", "status": "idle", "publisher": None}
        gone = {
            "key": "/live/carol",
            "app": "live",
            "name": "carol",
            "status": "reconnecting",
            "publisher": {"id": "x"},
        }
        return refused(request) or web.json_response({"success": True, "data": {"streams": [idle, gone, *listed]}})

    async def delete(request: web.Request) -> web.Response:
        if (no := refused(request)) is not None:
            return no
        for key, known in list(stage.publishers.items()):
            if known == request.match_info["id"]:
                del stage.publishers[key]
                return web.json_response({"success": True, "data": {"id": known}})
        return web.json_response({"success": False, "data": {}}, status=404)

    return [
        web.post("/api/v1/login", login),
        web.get("/api/v1/streams", streams),
        web.delete("/api/v1/sessions/{id}", delete),
    ]


def nginx_rtmp(stage: Stage) -> list[web.RouteDef]:
    """nginx-rtmp's control and statistics."""

    async def stat(_: web.Request) -> web.Response:
        streams = "".join(
            f"<application><name>{app}</name><live><stream><name>{name}</name><publishing/></stream></live></application>"
            for app, name in stage.publishers
        )
        return web.Response(
            body=f"<?xml version='1.0'?><rtmp><server>{streams}</server></rtmp>", content_type="text/xml"
        )

    async def drop(request: web.Request) -> web.Response:
        found = stage.publishers.pop((request.query["app"], request.query["name"]), None)
        return web.Response(text="0" if found is None else "1")

    return [web.get("/stat", stat), web.get("/control/drop/publisher", drop)]
