"""SRS (Simple Realtime Server), versions 4 to 6.

HTTP API: https://ossrs.io/lts/en-us/docs/v5/doc/http-api, `GET /api/v1/streams` with `start` and `count` tells who
publishes, `DELETE /api/v1/clients/{id}` throws a client out; answers are objects whose `code` is 0 where all is well.
The door: https://ossrs.io/lts/en-us/docs/v5/doc/http-callback, `on_publish` posts JSON; status 200 and code 0 let in,
any other code keeps out. A client that has gone is code 2049 (`ERROR_RTMP_CLIENT_NOT_FOUND`), with status 200.
"""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote

import orjson

from agents.blocking.exceptions import AnswerUnexpected
from agents.blocking.names import publish_name
from agents.blocking.servers.answers import asked_text, is_named, list_in, object_in, text_in
from agents.blocking.servers.api import Api
from agents.blocking.servers.server import Answer, Publishing, Question, found_by_any, kicked_by_all

_PAGE = 100
_MOST_PAGES = 1000
_KEPT_OUT = 403
_ALL_WELL = 0
_CLIENT_NOT_FOUND = 2049


class SrsServer:
    """Throws publishers out as clients.

    Args:
        apis: one for each server, where `/api/v1` is.
    """

    def __init__(self, apis: Sequence[Api]) -> None:
        self._apis = apis

    async def kick(self, path: str) -> int:
        """See `LiveServer`."""
        return await kicked_by_all(self._kick(api, path) for api in self._apis)

    async def _kick(self, api: Api, path: str) -> int:
        return await kicked_by_all(_delete(api, client) for client in await _publishers(api, path))

    async def publishing(self, path: str) -> bool:
        """See `LiveServer`."""
        return await found_by_any(self._publishes(api, path) for api in self._apis)

    async def _publishes(self, api: Api, path: str) -> bool:
        return bool(await _publishers(api, path))


async def _publishers(api: Api, path: str) -> Sequence[str]:
    """The clients that publish under a name, in whatever virtual host."""
    found = []
    for page in range(_MOST_PAGES):
        query = {"start": str(page * _PAGE), "count": str(_PAGE)}
        document = await api.read("/api/v1/streams", query)
        where = f"/api/v1/streams of {api.host}"
        if object_in(document, where).get("code") != 0:
            raise AnswerUnexpected(f"{where}: code {object_in(document, where).get('code')!r}")
        streams = list_in(document, "streams", where)
        for stream in streams:
            publish = stream.get("publish")
            if not isinstance(publish, dict) or publish.get("active") is not True:
                continue
            if is_named(path, text_in(stream, "app"), text_in(stream, "name")):
                # A number before version 4.
                found.append(str(publish.get("cid")))
        if len(streams) < _PAGE:
            return found
    raise AnswerUnexpected(f"/api/v1/streams of {api.host}: streams without end")


async def _delete(api: Api, client: str) -> int:
    """Throw a client out; none where it has gone by itself meanwhile."""
    status, body = await api.ask("DELETE", f"/api/v1/clients/{quote(client, safe='')}")
    if status == HTTPStatus.NOT_FOUND:
        return 0
    try:
        code = object_in(orjson.loads(body), f"/api/v1/clients of {api.host}").get("code")
    except orjson.JSONDecodeError as error:
        raise AnswerUnexpected(f"/api/v1/clients of {api.host}: no JSON") from error
    if code not in {_ALL_WELL, _CLIENT_NOT_FOUND}:
        raise AnswerUnexpected(f"/api/v1/clients of {api.host}: code {code!r}")
    return int(code == _ALL_WELL)


class SrsManners:
    """`on_publish`; other actions are not ours."""

    def read(self, question: Question) -> Publishing | None:
        """See `Manners`."""
        document = question.document
        if asked_text(document, "action", "SRS") != "on_publish":
            return None
        app, stream = asked_text(document, "app", "SRS"), asked_text(document, "stream", "SRS")
        return Publishing(publish_name(app, stream), str(document.get("ip", "")))

    def allow(self) -> Answer:
        """See `Manners`."""
        return Answer(HTTPStatus.OK, b'{"code":0}', "application/json")

    def deny(self, reason: str) -> Answer:
        """See `Manners`."""
        return Answer(HTTPStatus.OK, orjson.dumps({"code": _KEPT_OUT, "msg": reason}), "application/json")
