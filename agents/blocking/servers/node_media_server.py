"""node-media-server, version 4 (what version 2 did is otherwise).

REST API, from its own docs/api.md and source (npm node-media-server 4.4.3): `POST /api/v1/login` gives a token for a
user and password, `GET /api/v1/streams` tells who publishes, `DELETE /api/v1/sessions/{id}` closes a session. Its
sessions list names no streams. The door: `notify.url` is told of `prePublish` and `postPublish` when somebody is in
already; an answer of another status than 200 closes the session. So a denied publisher is in for the time of an answer.

Closing is half a close of its TCP connection: a publisher that takes no notice stays in, however often it is closed
(tried with 4.4.3). It is never taken for gone, as it stays in the streams list.
"""

from asyncio import Lock
from collections.abc import Callable, Sequence
from http import HTTPStatus
from time import monotonic
from urllib.parse import quote

import orjson
from pydantic import SecretStr

from agents.blocking.exceptions import AnswerUnexpected, LiveServerRefused
from agents.blocking.names import publish_name
from agents.blocking.servers.answers import asked_text, is_named, list_in, object_in, text_in
from agents.blocking.servers.api import Api
from agents.blocking.servers.server import Answer, Publishing, Question, found_by_any, kicked_by_all

_OURS = ("prePublish", "postPublish")
_LOGIN_AGAIN_S = 60.0
"""It takes 10 logins a minute, and locks an account out for 15 minutes after 5 wrong ones."""


class NodeMediaServer:
    """Closes the sessions of publishers.

    Args:
        apis: one for each server, where `/api/v1` is; without a login of their own.
        username: of its administrator; none where its API has no login.
        password: likewise.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        apis: Sequence[Api],
        username: str | None = None,
        password: SecretStr | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._logins = [_LoggedIn(api, username, password, clock) for api in apis]

    async def kick(self, path: str) -> int:
        """See `LiveServer`."""
        return await kicked_by_all(self._kick(login, path) for login in self._logins)

    async def _kick(self, login: "_LoggedIn", path: str) -> int:
        return await kicked_by_all(_close(login, session) for session in await _publishers(login, path))

    async def publishing(self, path: str) -> bool:
        """See `LiveServer`."""
        return await found_by_any(self._publishes(login, path) for login in self._logins)

    async def _publishes(self, login: "_LoggedIn", path: str) -> bool:
        return bool(await _publishers(login, path))


class _LoggedIn:
    """An API with a token, which is asked for again when it is refused; a refused login is let rest for a minute."""

    def __init__(self, api: Api, username: str | None, password: SecretStr | None, clock: Callable[[], float]) -> None:
        self.host = api.host
        self._api = api
        self._username = username
        self._password = password
        self._clock = clock
        self._token = ""
        self._logging_in = Lock()
        self._not_before = clock()

    async def ask(self, method: str, path: str) -> tuple[int, bytes]:
        token = self._token
        try:
            return await self._ask(method, path)
        except LiveServerRefused:
            if self._username is None:
                raise
            await self._log_in_after(token)
            return await self._ask(method, path)

    async def _log_in_after(self, token: str) -> None:
        """Get a token that is another one than the refused."""
        async with self._logging_in:
            if self._token != token:
                return
            if self._clock() < self._not_before:
                raise LiveServerRefused(f"/api/v1/login of {self.host}: refused less than {_LOGIN_AGAIN_S:.0f} s ago")
            try:
                await self._log_in()
            except LiveServerRefused:
                self._not_before = self._clock() + _LOGIN_AGAIN_S
                raise

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


async def _close(login: _LoggedIn, session: str) -> int:
    """Close a session; none where it has gone by itself meanwhile."""
    status, _ = await login.ask("DELETE", f"/api/v1/sessions/{quote(session, safe='')}")
    return int(status != HTTPStatus.NOT_FOUND)


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
