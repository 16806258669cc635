"""MediaMTX, API version 3.

Control API: https://github.com/bluenviron/mediamtx/blob/main/api/openapi.yaml, `GET /v3/paths/list` tells the source of
each path, `POST /v3/rtmpconns/kick/{id}` and the like throw one out; newer versions name that
`/v3/rtmp/conns/kick/{id}`. Either is asked where the other is unknown. The door: `authHTTPAddress` of
https://github.com/bluenviron/mediamtx/blob/main/mediamtx.yml, JSON with `action`, `path`, `ip`; a status that begins
with 20 lets in, every other one keeps out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

from agents.blocking.exceptions import AnswerUnexpected, LiveServerRefused
from agents.blocking.names import publish_name
from agents.blocking.servers.answers import asked_text, is_named, list_in, object_in, text_in
from agents.blocking.servers.api import Api
from agents.blocking.servers.server import Answer, Publishing, Question, found_by_any, kicked_by_all

_PAGE = 100
_MOST_PAGES = 1000
_KICKED_AT: Mapping[str, Sequence[str]] = {
    "rtmpConn": ("rtmpconns", "rtmp/conns"),
    "rtmpsConn": ("rtmpsconns", "rtmps/conns"),
    "rtspSession": ("rtspsessions", "rtsp/sessions"),
    "rtspsSession": ("rtspssessions", "rtsps/sessions"),
    "srtConn": ("srtconns", "srt/conns"),
    "webRTCSession": ("webrtcsessions", "webrtc/sessions"),
    "moqSession": ("moqsessions", "moq/sessions"),
}
"""Kinds of sources that are publishers, and where they are thrown out: as it was named first, and since."""


@dataclass(frozen=True, slots=True)
class _Source:
    kind: str
    id: str


class MediaMtxServer:
    """Throws publishers out by the kind of their connection.

    Args:
        apis: one for each server, where `/v3` is.
    """

    def __init__(self, apis: Sequence[Api]) -> None:
        self._apis = apis

    async def kick(self, path: str) -> int:
        """See `LiveServer`.

        Raises:
            LiveServerRefused: also where the stream is not published, but pulled by the server itself.
        """
        return await kicked_by_all(self._kick(api, path) for api in self._apis)

    async def _kick(self, api: Api, path: str) -> int:
        return await kicked_by_all(_throw_out(api, source) for source in await _sources(api, path))

    async def publishing(self, path: str) -> bool:
        """See `LiveServer`."""
        return await found_by_any(self._publishes(api, path) for api in self._apis)

    async def _publishes(self, api: Api, path: str) -> bool:
        return bool(await _sources(api, path))


async def _throw_out(api: Api, source: _Source) -> int:
    if source.kind not in _KICKED_AT:
        raise LiveServerRefused(f"{api.host}: a source of kind {source.kind!r} cannot be thrown out")
    for kicked_at in _KICKED_AT[source.kind]:
        status, _ = await api.ask("POST", f"/v3/{kicked_at}/kick/{quote(source.id, safe='')}")
        if status != HTTPStatus.NOT_FOUND:
            return 1
    # Not found under either name: it has gone by itself meanwhile.
    return 0


async def _sources(api: Api, path: str) -> Sequence[_Source]:
    """What feeds paths of that name, however they are written there."""
    found = []
    for page in range(_MOST_PAGES):
        where = f"/v3/paths/list of {api.host}"
        document = await api.read("/v3/paths/list", {"page": str(page), "itemsPerPage": str(_PAGE)})
        for item in list_in(document, "items", where):
            source = item.get("source")
            if isinstance(source, dict) and is_named(path, text_in(item, "name")):
                found.append(_Source(text_in(source, "type"), text_in(source, "id")))
        pages = object_in(document, where).get("pageCount")
        if not isinstance(pages, int):
            raise AnswerUnexpected(f"{where}: no number 'pageCount'")
        if page + 1 >= pages:
            return found
    raise AnswerUnexpected(f"/v3/paths/list of {api.host}: paths without end")


class MediaMtxManners:
    """Action `publish`; reading, playback and its API are not ours to deny."""

    def read(self, question: Question) -> Publishing | None:
        """See `Manners`."""
        document = question.document
        if asked_text(document, "action", "MediaMTX") != "publish":
            return None
        return Publishing(publish_name(asked_text(document, "path", "MediaMTX")), str(document.get("ip", "")))

    def allow(self) -> Answer:
        """See `Manners`."""
        return Answer(HTTPStatus.OK)

    def deny(self, reason: str) -> Answer:
        """See `Manners`. Not 401: that asks for a password."""
        return Answer(HTTPStatus.FORBIDDEN, reason.encode())
