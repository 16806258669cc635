"""nginx with its RTMP module.

Control: https://github.com/arut/nginx-rtmp-module/wiki/Control-module, `drop/publisher` answers how many were dropped.
Who publishes: https://github.com/arut/nginx-rtmp-module/wiki/Directives#statistics, XML. The door: `on_publish` and
`on_update` in the same wiki, a form with `call`, `app`, `name`, `addr`; 2xx lets in, 4xx keeps out.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from xml.etree.ElementTree import Element, ParseError, XMLParser

from agents.blocking.exceptions import AnswerUnexpected, QuestionMalformed
from agents.blocking.names import publish_name
from agents.blocking.servers.api import Api
from agents.blocking.servers.server import Answer, Publishing, Question, found_by_any, kicked_by_all

_COUNT = re.compile(rb"\s*([0-9]{1,9})\s*")
_FORBIDDEN_XML = (b"<!DOCTYPE", b"<!ENTITY")


class NginxRtmpServer:
    """Throws publishers out by the control module, and finds them by the statistics.

    Args:
        apis: one for each nginx; each where `/control` and `/stat` are.
    """

    def __init__(self, apis: Sequence[Api]) -> None:
        self._apis = apis

    async def kick(self, path: str) -> int:
        """See `LiveServer`. Names are the module's own: one that is written otherwise is looked up first."""
        return await kicked_by_all(self._kick(api, path) for api in self._apis)

    async def _kick(self, api: Api, path: str) -> int:
        kicked = 0
        for app, name in await _publishers(api, path):
            _, body = await api.ask("GET", "/control/drop/publisher", {"app": app, "name": name})
            count = _COUNT.fullmatch(body)
            if count is None:
                raise AnswerUnexpected(f"the control module of {api.host} answers no number of dropped publishers")
            kicked += int(count[1])
        return kicked

    async def publishing(self, path: str) -> bool:
        """See `LiveServer`."""
        return await found_by_any(self._publishes(api, path) for api in self._apis)

    async def _publishes(self, api: Api, path: str) -> bool:
        return bool(await _publishers(api, path))


async def _publishers(api: Api, path: str) -> Sequence[tuple[str, str]]:
    """Application and name of every stream of that path that somebody publishes."""
    _, body = await api.ask("GET", "/stat")
    found = []
    for application in _parsed(body, api).iter("application"):
        app = application.findtext("name") or ""
        for stream in application.iter("stream"):
            name = stream.findtext("name") or ""
            if stream.find("publishing") is not None and _is(path, app, name):
                found.append((app, name))
    return found


def _is(path: str, app: str, name: str) -> bool:
    try:
        return publish_name(app, name) == path
    except QuestionMalformed:
        return False


def _parsed(body: bytes, api: Api) -> Element:
    # Entities are how a small document becomes a large one; the module writes none.
    if any(word in body.upper() for word in _FORBIDDEN_XML):
        raise AnswerUnexpected(f"the statistics of {api.host} declare a document type")
    parser = XMLParser()  # noqa: S314  (no entities, and a bounded body)
    try:
        parser.feed(body)
        return parser.close()
    except ParseError as error:
        raise AnswerUnexpected(f"the statistics of {api.host} are no XML: {error}") from error


class NginxRtmpManners:
    """`on_publish`, and `on_update` for those who are in already; `on_play` and others are not ours."""

    def read(self, question: Question) -> Publishing | None:
        """See `Manners`."""
        # `notify_method get` puts the same fields into the URL.
        fields = {**question.query, **question.form}
        call = fields.get("call")
        if call is None or "app" not in fields:
            raise QuestionMalformed("no fields `call` and `app` of nginx-rtmp")
        if call not in {"publish", "update_publish"}:
            return None
        if "name" not in fields:
            raise QuestionMalformed("no field `name` of nginx-rtmp")
        return Publishing(publish_name(fields["app"], fields["name"]), fields.get("addr", ""))

    def allow(self) -> Answer:
        """See `Manners`."""
        return Answer(HTTPStatus.NO_CONTENT)

    def deny(self, reason: str) -> Answer:
        """See `Manners`."""
        return Answer(HTTPStatus.FORBIDDEN, reason.encode())
