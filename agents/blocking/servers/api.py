"""HTTP interfaces of live servers: small requests, bounded answers, no redirects, nothing secret in an error."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal
from urllib.parse import urlsplit

import aiohttp
import orjson
from pydantic import SecretStr

from agents.blocking.exceptions import AnswerUnexpected, LiveServerAway, LiveServerRefused

_LARGEST_ANSWER = 8 << 20
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}


class Api:
    """One HTTP interface.

    Args:
        url: where it begins, without a slash at its end.
        timeout_s: for a whole request, seconds.
        username: of basic authentication, if it wants one.
        password: likewise.
        token: of bearer authentication, if it wants one.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float,
        *,
        username: str | None = None,
        password: SecretStr | None = None,
        token: SecretStr | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self.host = urlsplit(url).netloc.rpartition("@")[2]
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._auth = None
        if username is not None:
            self._auth = aiohttp.BasicAuth(username, "" if password is None else password.get_secret_value())

    async def ask(
        self,
        method: Literal["GET", "POST", "DELETE"],
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        document: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Return status and body of an answer; what is neither 2xx nor 404 is an error.

        Raises:
            LiveServerAway: it does not answer, or with 5xx.
            LiveServerRefused: 401, 403 or 429.
            AnswerUnexpected: another status, or a body without end.
        """
        where = f"{method} {path} of {self.host}"
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout, auth=self._auth) as session,
                session.request(
                    method,
                    self._url + path,
                    params=query,
                    json=document,
                    headers={**self._headers, **(headers or {})},
                    allow_redirects=False,
                ) as answer,
            ):
                body = await answer.content.read(_LARGEST_ANSWER)
                if not answer.content.at_eof():
                    raise AnswerUnexpected(f"{where}: more than {_LARGEST_ANSWER} bytes")
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LiveServerAway(f"{where}: {type(error).__name__}: {error}") from error
        if status in _REFUSED:
            raise LiveServerRefused(f"{where}: status {status}")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise LiveServerAway(f"{where}: status {status}")
        if status != HTTPStatus.NOT_FOUND and not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise AnswerUnexpected(f"{where}: status {status}")
        return status, body

    async def read(self, path: str, query: Mapping[str, str] | None = None) -> object:
        """Return the JSON document of a GET; none where there is nothing (404).

        Raises:
            LiveServerAway, LiveServerRefused, AnswerUnexpected: see `ask`; also where it is no JSON.
        """
        status, body = await self.ask("GET", path, query)
        if status == HTTPStatus.NOT_FOUND:
            return None
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise AnswerUnexpected(f"GET {path} of {self.host}: no JSON") from error
