"""Every kind of live server, by its documents: the same asked of each."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import SecretStr

from agents.blocking.exceptions import (
    AnswerUnexpected,
    BlockingError,
    LiveServerAway,
    LiveServerRefused,
    QuestionMalformed,
)
from agents.blocking.servers.api import Api
from agents.blocking.servers.catalogue import MANNERS, live_servers
from agents.blocking.servers.node_media_server import NodeMediaServer
from agents.blocking.servers.server import LiveServer, Publishing, Question
from agents.settings import BlockingSettings
from tests.support import live_servers as documented
from tests.support.live_servers import Stage, serving


@dataclass(frozen=True)
class Kind:
    name: str
    routes: Callable[[Stage], list[web.RouteDef]]
    client: str
    login: dict[str, str]


KINDS = [
    Kind("nginx-rtmp", documented.nginx_rtmp, "7", {}),
    Kind("srs", documented.srs, "9308h583", {}),
    Kind("mediamtx", documented.mediamtx, "rtmpConn:5f1c6d7e-0000", {}),
    Kind("mediamtx", documented.mediamtx_of_today, "rtmpConn:5f1c6d7e-0000", {}),
    Kind(
        "node-media-server",
        documented.node_media_server,
        "m1abcdef",
        {"username": "admin", "password": "secret"},
    ),
]
NGINX_RTMP, SRS, MEDIAMTX, _, NODE_MEDIA_SERVER = KINDS
each_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.routes.__name__ for kind in KINDS])


def server_of(kind: Kind, *urls: str, timeout_s: float = 5.0) -> LiveServer:
    settings = {"kind": kind.name, "api_urls": urls, **kind.login}
    return live_servers(BlockingSettings.model_validate({"servers": {"edge": settings}, "timeout_s": timeout_s}))[
        "edge"
    ]


def on_loop(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@each_kind
def test_who_publishes_is_found_by_any_spelling_and_thrown_out_alone(kind: Kind) -> None:
    async def play() -> None:
        stage = Stage({("live", "Bob"): kind.client, ("live", "alice"): kind.client + "-other"})
        async with serving(stage, *kind.routes(stage)):
            server = server_of(kind, stage.url)
            assert await server.publishing("live/bob")
            assert not await server.publishing("live/carol")
            assert await server.kick("live/carol") == 0
            assert await server.kick("live/bob") == 1
            assert list(stage.publishers) == [("live", "alice")]
            assert not await server.publishing("live/bob")

    on_loop(play())


@each_kind
def test_all_servers_of_a_name_are_asked(kind: Kind) -> None:
    async def play() -> None:
        one, two = Stage(), Stage({("live", "bob"): kind.client})
        async with serving(one, *kind.routes(one)), serving(two, *kind.routes(two)):
            server = server_of(kind, one.url, two.url)
            assert await server.publishing("live/bob")
            assert await server.kick("live/bob") == 1

    on_loop(play())


@pytest.mark.parametrize("kind", [SRS, MEDIAMTX], ids=["srs", "mediamtx"])
def test_those_on_later_pages_are_found(kind: Kind) -> None:
    async def play() -> None:
        client = kind.client
        stage = Stage({("live", f"s{number}"): f"{client}{number}" for number in range(250)})
        async with serving(stage, *kind.routes(stage)):
            assert await server_of(kind, stage.url).kick("live/s249") == 1

    on_loop(play())


@each_kind
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: web.Response(status=500), LiveServerAway),
        (lambda: web.Response(status=403), LiveServerRefused),
        (lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), AnswerUnexpected),
        (lambda: web.Response(text="<html>hello"), AnswerUnexpected),
        (lambda: web.Response(text="[1, 2]"), AnswerUnexpected),
        (lambda: web.Response(text='{"code": 0, "streams": 7, "items": 7, "data": {"streams": 7}}'), AnswerUnexpected),
    ],
)
def test_trouble_is_typed(kind: Kind, answer: Callable[[], web.Response], error: type[BlockingError]) -> None:
    async def play() -> None:
        stage = Stage(trouble=answer)
        async with serving(stage, *kind.routes(stage)):
            with pytest.raises(error):
                await server_of(kind, stage.url).kick("live/bob")

    on_loop(play())


@each_kind
def test_a_server_that_is_not_there_is_away(kind: Kind) -> None:
    async def play() -> None:
        with pytest.raises(LiveServerAway):
            await server_of(kind, "http://127.0.0.1:1", timeout_s=0.5).publishing("live/bob")

    on_loop(play())


def test_statistics_with_a_document_type_are_not_parsed() -> None:
    async def play() -> None:
        bomb = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'b'>]><rtmp>&b;</rtmp>"
        stage = Stage(trouble=lambda: web.Response(text=bomb))
        async with serving(stage, *documented.nginx_rtmp(stage)):
            with pytest.raises(AnswerUnexpected, match="document type"):
                await server_of(NGINX_RTMP, stage.url).publishing("live/bob")

    on_loop(play())


def test_a_wrong_login_is_refused() -> None:
    async def play() -> None:
        kind = Kind("node-media-server", documented.node_media_server, "x", {"username": "admin", "password": "wrong"})
        stage = Stage({("live", "bob"): "x"})
        async with serving(stage, *kind.routes(stage)):
            with pytest.raises(LiveServerRefused):
                await server_of(kind, stage.url).kick("live/bob")

    on_loop(play())


def test_a_refused_login_rests_for_a_minute_and_a_good_one_serves_all() -> None:
    async def play(password: str, now: list[float]) -> tuple[int, int]:
        stage = Stage({("live", f"bob{spelling}"): str(spelling) for spelling in range(3)})
        async with serving(stage, *documented.node_media_server(stage)):
            server = NodeMediaServer([Api(stage.url, 5.0)], "admin", SecretStr(password), lambda: now[0])
            for _ in range(5):
                with suppress(LiveServerRefused):
                    await asyncio.gather(*(server.publishing(f"live/bob{spelling}") for spelling in range(3)))
            soon = stage.asked.count("POST /api/v1/login")
            now[0] += 61
            with suppress(LiveServerRefused):
                await server.publishing("live/bob0")
            return soon, stage.asked.count("POST /api/v1/login")

    assert asyncio.run(play("wrong", [1000.0])) == (1, 2)
    assert asyncio.run(play("secret", [1000.0])) == (1, 1)


def test_too_many_requests_are_a_refusal() -> None:
    async def play() -> None:
        stage = Stage(trouble=lambda: web.Response(status=429))
        async with serving(stage, *documented.node_media_server(stage)):
            with pytest.raises(LiveServerRefused, match="429"):
                await server_of(NODE_MEDIA_SERVER, stage.url).kick("live/bob")

    on_loop(play())


@each_kind
def test_one_who_left_between_look_and_kick_is_no_trouble(kind: Kind) -> None:
    async def play() -> None:
        stage = Stage({("live", "bob"): kind.client})

        @web.middleware
        async def leaving(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.method in {"DELETE", "POST"} or request.path.startswith("/control"):
                stage.publishers.pop(("live", "bob"), None)
            return await handler(request)

        async with serving(stage, *kind.routes(stage), middleware=leaving):
            assert await server_of(kind, stage.url).kick("live/bob") == 0

    on_loop(play())


@each_kind
def test_a_server_that_is_away_keeps_no_other_from_throwing_out(kind: Kind) -> None:
    async def play() -> None:
        stage = Stage({("live", "bob"): kind.client, ("live", "alice"): kind.client + "-other"})
        async with serving(stage, *kind.routes(stage)):
            server = server_of(kind, "http://127.0.0.1:1", stage.url, timeout_s=0.5)
            with pytest.raises(LiveServerAway):
                await server.kick("live/bob")
            assert list(stage.publishers) == [("live", "alice")]
            assert await server.publishing("live/alice")
            with pytest.raises(LiveServerAway):
                await server.publishing("live/bob")

    on_loop(play())


def test_a_path_that_the_server_pulls_itself_is_not_kicked_but_other_spellings_of_it_are() -> None:
    async def play() -> None:
        stage = Stage({("live", "bob"): "rtspSource:1", ("live", "Bob"): "rtspsSession:2"})
        async with serving(stage, *documented.mediamtx(stage)):
            with pytest.raises(LiveServerRefused, match="rtspSource"):
                await server_of(MEDIAMTX, stage.url).kick("live/bob")
            assert list(stage.publishers) == [("live", "bob")]

    on_loop(play())


@pytest.mark.parametrize(
    "source", ["rtmpConn", "rtmpsConn", "rtspSession", "rtspsSession", "srtConn", "webRTCSession", "moqSession"]
)
def test_whatever_mediamtx_is_published_by_is_thrown_out(source: str) -> None:
    async def play() -> None:
        stage = Stage({("live", "bob"): f"{source}:1"})
        async with serving(stage, *documented.mediamtx_of_today(stage)):
            assert await server_of(MEDIAMTX, stage.url).kick("live/bob") == 1
            assert stage.publishers == {}

    on_loop(play())


QUESTIONS = {
    "nginx-rtmp": Question(form={"call": "publish", "app": "live", "name": "Bob?key=1", "addr": "10.0.0.1"}),
    "srs": Question(
        document={"action": "on_publish", "client_id": "1", "ip": "10.0.0.1", "vhost": "v", "app": "live",
                  "stream": "Bob", "param": "?key=1"}
    ),
    "mediamtx": Question(
        document={"action": "publish", "path": "live/Bob", "ip": "10.0.0.1", "protocol": "rtmp", "query": "key=1"}
    ),
    "node-media-server": Question(document={"action": "prePublish", "app": "live", "name": "Bob", "ip": "10.0.0.1"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", MANNERS)
def test_each_kind_is_understood_at_the_door(kind: str) -> None:
    assert MANNERS[kind].read(QUESTIONS[kind]) == Publishing("live/bob", "10.0.0.1")


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        ("nginx-rtmp", Question(form={"call": "play", "app": "live", "name": "bob"})),
        ("nginx-rtmp", Question(form={"call": "connect", "app": "live"})),
        ("srs", Question(document={"action": "on_play", "app": "live", "stream": "bob"})),
        ("mediamtx", Question(document={"action": "read", "path": "live/bob"})),
        ("mediamtx", Question(document={"action": "api", "path": ""})),
        ("node-media-server", Question(document={"action": "doneRecord"})),
    ],
)
def test_what_is_not_publishing_is_not_ours(kind: str, question: Question) -> None:
    assert MANNERS[kind].read(question) is None


@pytest.mark.parametrize("kind", MANNERS)
@pytest.mark.parametrize("question", [Question(), Question(document={"action": 7}), Question(form={"call": "publish"})])
def test_what_no_such_server_asks_is_refused(kind: str, question: Question) -> None:
    with pytest.raises(QuestionMalformed):
        MANNERS[kind].read(question)


def test_each_kind_is_answered_as_it_wants() -> None:
    allowed = {kind: (manners.allow().status, manners.allow().body) for kind, manners in MANNERS.items()}
    denied = {kind: (manners.deny("no").status, manners.deny("no").body) for kind, manners in MANNERS.items()}
    assert allowed == {
        "nginx-rtmp": (204, b""),
        "srs": (200, b'{"code":0}'),
        "mediamtx": (200, b""),
        "node-media-server": (200, b""),
    }
    assert denied == {
        "nginx-rtmp": (403, b"no"),
        "srs": (200, b'{"code":403,"msg":"no"}'),
        "mediamtx": (403, b"no"),
        "node-media-server": (403, b"no"),
    }
