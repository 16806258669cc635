"""HTTP to places that others name: only to addresses that may be reached, no redirects, small answers, no proxy."""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from agents.media.addresses import AddressCheck, admit, refuse_private
from agents.media.exceptions import MediaError
from agents.notifying.outcomes import Delivered, Later, Never, Outcome

_READ = 4096
"""Of an answer that nobody reads; the rest is left."""
_AGAIN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_LONGEST_ASKED_S = 86_400.0


@dataclass(frozen=True, slots=True)
class HttpRules:
    """Where requests may go.

    Attributes:
        allow_http: whether without TLS.
        private_hosts: names that may have private addresses.
        timeout_s: for a whole request, seconds.
    """

    allow_http: bool = False
    private_hosts: frozenset[str] = frozenset()
    timeout_s: float = 10.0


class GuardedHttp:
    """Posts JSON. For one event loop, from `open` to `close`."""

    def __init__(self, rules: HttpRules) -> None:
        self._rules = rules
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make it ready."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=_Guard(self._rules.private_hosts), limit=256, limit_per_host=8),
            timeout=aiohttp.ClientTimeout(total=self._rules.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Post a body; 2xx is delivered.

        Tried again: no answer in time, 5xx, 408, 425, 429, redirects (which are not followed) and what else is not
        said to be for ever; not again: addresses that may not be reached, 410 (gone), and other 4xx that say the
        request itself is wrong.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" and not (self._rules.allow_http and parts.scheme == "http"):
            return Never(f"{parts.scheme} is not allowed")
        if self._session is None:
            raise RuntimeError("not open")
        try:
            if _is_address(host):
                # aiohttp asks no resolver for an address.
                _check(host, self._rules.private_hosts)(host, parts.port or 0)
            async with self._session.post(url, data=body, headers=dict(headers), allow_redirects=False) as answer:
                await answer.content.read(_READ)
                return _outcome(answer.status, answer.headers.get("Retry-After"))
        except MediaError as error:
            return Never(str(error))
        except aiohttp.ClientConnectorDNSError as error:
            refused = error.__cause__
            return Never(str(refused)) if isinstance(refused, _Forbidden) else Later("its name cannot be resolved")
        except TimeoutError:
            return Later(f"no answer within {self._rules.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            # Without the error's own text, which may cite the URL.
            return Later(f"no connection ({type(error).__name__})")


class _Forbidden(OSError):
    """The name has an address that may not be reached."""


class _Guard(AbstractResolver):
    """Resolves names once, and gives the connection only addresses that were checked."""

    def __init__(self, private_hosts: frozenset[str]) -> None:
        self._private_hosts = private_hosts

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002  (both kinds of addresses are given)
    ) -> list[ResolveResult]:
        try:
            addresses = await asyncio.to_thread(admit, host, port, _check(host, self._private_hosts))
        except MediaError as error:
            raise (_Forbidden if error.kind == "forbidden" else OSError)(str(error)) from error
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing to let go of."""


def _check(host: str, private_hosts: frozenset[str]) -> AddressCheck:
    return (lambda _address, _port: None) if host in private_hosts else refuse_private


def _is_address(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return True


def _outcome(status: int, retry_after: str | None) -> Outcome:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Delivered(f"status {status}")
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _AGAIN:
        return Never(f"status {status}")
    asked = float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
    return Later(f"status {status}", None if asked is None else min(asked, _LONGEST_ASKED_S))
