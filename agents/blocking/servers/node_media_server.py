"""node-media-server, version 4 (what version 2 did is otherwise).

REST API, from its own docs/api.md and source (npm node-media-server 4.4.3): `POST /api/v1/login` gives a token for a
user and password, `GET /api/v1/streams` tells who publishes, `DELETE /api/v1/sessions/{id}` closes a session. Its
sessions list names no streams. The door: `notify.url` is told of `prePublish` and `postPublish` when somebody is in
already; an answer of another status than 200 closes the session. So a denied publisher is in for the time of an answer.
"""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote

import orjson
from pydantic import SecretStr

from agents.blocking.exceptions import AnswerUnexpected, LiveServerRefused
from agents.blocking.names import publish_name
from agents.blocking.servers.answers import asked_text, is_named, list_in, object_in, text_in
from agents.blocking.servers.api import Api
from agents.blocking.servers.server import Answer, Publishing, Question

_OURS = ("prePublish", "postPublish")


class NodeMediaServer:
    """Closes the sessions of publishers.

    Args:
        apis: one for each server, where `/api/v1` is; without a login of their own.
        username: of its administrator; none where its API has no login.
        password: likewise.
    """

    def __init__(self, apis: Sequence[Api], username: str | None = None, password: SecretStr | None = None) -> None:
        self._logins = [_LoggedIn(api, username, password) for api in apis]

    async def kick(self, path: str) -> int:
        """See `LiveServer`."""
        kicked = 0
        for login in self._logins:
            for session in await _publishers(login, path):
                status, _ = await login.ask("DELETE", f"/api/v1/sessions/{quote(session, safe='')}")
                # Not found: it has gone by itself meanwhile.
                kicked += status != HTTPStatus.NOT_FOUND
        return kicked

    async def publishing(self, path: str) -> bool:
        """See `LiveServer`."""
        return any([await _publishers(login, path) for login in self._logins])


class _LoggedIn:
    """An API with a token, which is asked for again when it is refused."""

    def __init__(self, api: Api, username: str | None, password: SecretStr | None) -> None:
        self.host = api.host
        self._api = api
        self._username = username
        self._password = password
        self._token = ""

    async def ask(self, method: str, path: str) -> tuple[int, bytes]:
        try:
            return await self._ask(method, path)
        except LiveServerRefused:
            if self._username is None:
                raise
            await self._log_in()
            return await self._ask(method, path)

    async def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return await self._api.ask("DELETE" if method == "DELETE" else "GET", path, headers=headers)

    async def _log_in(self) -> None:
        password = "" if self._password is None else self._password.get_secret_value()
        login = {"username": self._username, "password": password}
        _, body = await self._api.ask("POST", "/api/v1/login", document=login)
        where = f"/api/v1/login of {self.host}"
        self._token = text_in(object_in(object_in(_json(body, where), where).get("data"), where), "token")
        if not self._token:
            raise AnswerUnexpected(f"{where}: no token")


async def _publishers(login: _LoggedIn, path: str) -> Sequence[str]:
    """The sessions that publish under a name."""
    where = f"/api/v1/streams of {login.host}"
    _, body = await login.ask("GET", "/api/v1/streams")
    found = []
    for stream in list_in(object_in(_json(body, where), where).get("data"), "streams", where):
        publisher = stream.get("publisher")
        # One that has gone is kept for half a minute, as `reconnecting`.
        if stream.get("status") != "publishing":
            continue
        if isinstance(publisher, dict) and is_named(path, text_in(stream, "app"), text_in(stream, "name")):
            found.append(text_in(publisher, "id"))
    return found


def _json(body: bytes, where: str) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise AnswerUnexpected(f"{where}: no JSON") from error


class NodeMediaManners:
    """`prePublish` and `postPublish`; other actions are not ours."""

    def read(self, question: Question) -> Publishing | None:
        """See `Manners`."""
        document = question.document
        if asked_text(document, "action", "node-media-server") not in _OURS:
            return None
        app, name = (asked_text(document, field, "node-media-server") for field in ("app", "name"))
        return Publishing(publish_name(app, name), str(document.get("ip", "")))

    def allow(self) -> Answer:
        """See `Manners`. Exactly 200: every other status closes the session."""
        return Answer(HTTPStatus.OK)

    def deny(self, reason: str) -> Answer:
        """See `Manners`."""
        return Answer(HTTPStatus.FORBIDDEN, reason.encode())
