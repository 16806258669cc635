"""GET with ranges, over connections that go only to checked addresses.

urllib3 speaks the protocol. Ours are the choice of address, the redirects (each hop is a new destination to check),
the retries and the clock: a body that trickles is cut at `request_timeout_s`.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urljoin

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    SSLError,
    TimeoutError as HttpTimeout,
)
from urllib3.util import Timeout, Url, make_headers, parse_url

from agents.media.addresses import admit
from agents.media.exceptions import MediaError
from agents.media.policy import FetchPolicy
from agents.media.uris import redacted, scheme_of

T = TypeVar("T")

_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK = 64 * 1024


class HttpClient:
    """A pool of connections under one policy. May be used by many threads.

    Args:
        policy: Limits, timeouts and the check of addresses.
        sleep: Waits between attempts, in seconds.
    """

    def __init__(self, policy: FetchPolicy, sleep: Callable[[float], None] = time.sleep) -> None:
        self._policy = policy
        self._sleep = sleep
        self._pool = _guarded_pool(policy)

    def close(self) -> None:
        """Closes idle connections."""
        self._pool.clear()

    def retrying(self, attempt: Callable[[], T]) -> T:
        """What `attempt` returns, made again after transient failures as often as the policy says."""
        wait = self._policy.backoff_s
        for _ in range(self._policy.attempts - 1):
            try:
                return attempt()
            except MediaError as error:
                if not error.transient:
                    raise
                self._sleep(wait)
                wait *= 2
        return attempt()

    @contextmanager
    def get(self, url: str, headers: dict[str, str]) -> Iterator["Answer"]:
        """The answer to one GET, its body unread, after following redirects. Its status is 200, 206 or 416.

        Raises:
            MediaError: `unreachable` or `forbidden`; transient where a later attempt may do better.
        """
        began = time.monotonic()
        origin = target = self._destination(url)
        for _ in range(self._policy.max_redirects + 1):
            response = self._request(target, origin, headers)
            try:
                if response.status not in _REDIRECTS:
                    _check(response, target)
                    yield Answer(response, target.url, began + self._policy.request_timeout_s)
                    return
                location = response.headers.get("Location", "")
            finally:
                # What is left unread of a body is not waited for: its connection goes.
                response.close()
            target = self._destination(urljoin(target.url, location))
        raise MediaError("unreachable", f"{redacted(url)} redirects more than {self._policy.max_redirects} times")

    def _destination(self, url: str) -> Url:
        scheme = scheme_of(url)
        if scheme not in {"http", "https"} or scheme not in self._policy.schemes:
            raise MediaError("forbidden", f"{redacted(url)}: the scheme {scheme} is not allowed")
        try:
            parts = parse_url(url)
        except HTTPError:
            raise MediaError("forbidden", f"{redacted(url)} is not a valid URL") from None
        if not parts.host:
            raise MediaError("forbidden", f"{redacted(url)} names no host")
        return parts._replace(fragment=None)

    def _request(self, target: Url, origin: Url, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        sent = {"User-Agent": self._policy.user_agent, "Accept-Encoding": "identity", **headers}
        if origin.auth is not None and (target.scheme, target.netloc) == (origin.scheme, origin.netloc):
            sent |= make_headers(basic_auth=origin.auth)
        try:
            return self._pool.request(
                "GET",
                target._replace(auth=None).url,
                headers=sent,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, OSError) as error:
            raise _transport_error(redacted(target.url), error) from None


class Answer:
    """A response whose body is read under a limit of bytes and of time.

    Attributes:
        url: The address that answered, after redirects.
        status: HTTP status.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, deadline: float) -> None:
        self.url = url
        self.status = response.status
        self._response = response
        self._deadline = deadline

    def header(self, name: str) -> str | None:
        """The header of that name, in any case."""
        return self._response.headers.get(name)

    def body(self, limit: int) -> Iterator[bytes]:
        """The body in chunks.

        Raises:
            MediaError: `too_large` beyond `limit` bytes; `unreachable`, transient, when it stalls or breaks off.
        """
        name, done = redacted(self.url), 0
        try:
            while chunk := self._response.read1(_CHUNK):
                done += len(chunk)
                if done > limit:
                    raise MediaError("too_large", f"{name} sends more than {limit} bytes")
                if time.monotonic() > self._deadline:
                    raise MediaError("unreachable", f"{name} sends its body too slowly", transient=True)
                yield chunk
        except (HTTPError, OSError) as error:
            raise _transport_error(name, error) from None


def _check(response: urllib3.BaseHTTPResponse, target: Url) -> None:
    name, status = redacted(target.url), response.status
    if status not in {200, 206, 416}:
        raise MediaError("unreachable", f"{name} answers with status {status}", transient=status in _TRANSIENT_STATUS)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise MediaError("unreachable", f"{name} sends an encoded body, which was not asked for")


def _transport_error(name: str, error: Exception) -> MediaError:
    """urllib3's and the system's failures in our words: nothing of the message of the other side is quoted."""
    if isinstance(error, ProtocolError) and error.args and isinstance(error.args[-1], OSError):
        error = error.args[-1]
    if isinstance(error, SSLError) or type(error).__name__.startswith("SSL"):
        return MediaError("unreachable", f"{name}: the TLS handshake failed")
    if isinstance(error, (HttpTimeout, TimeoutError)) and not isinstance(error, NewConnectionError):
        what = "cannot be connected to in time" if isinstance(error, ConnectTimeoutError) else "fell silent"
        return MediaError("unreachable", f"{name} {what}", transient=True)
    if isinstance(error, (NewConnectionError, ConnectionRefusedError)):
        return MediaError("unreachable", f"{name} refuses the connection", transient=True)
    return MediaError("unreachable", f"{name}: the connection broke off", transient=True)


def _guarded_pool(policy: FetchPolicy) -> urllib3.PoolManager:
    """A pool manager whose connections resolve, check and pin the address themselves.

    TLS still names and verifies the host of the URL (SNI, certificate); only the address is ours. Proxy variables of
    the environment mean nothing to a plain pool manager.
    """

    def connect(connection: HTTPConnection) -> socket.socket:
        refusal: OSError | None = None
        for address in admit(connection.host, connection.port, policy.address_check, policy.resolver):
            try:
                return socket.create_connection((address, connection.port), policy.connect_timeout_s)
            except TimeoutError:
                refusal = TimeoutError()
            except OSError as error:
                refusal = error
        if isinstance(refusal, TimeoutError):
            raise ConnectTimeoutError(connection, "timed out")
        raise NewConnectionError(connection, "refused")

    class GuardedConnection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class GuardedTlsConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class GuardedPool(HTTPConnectionPool):
        ConnectionCls = GuardedConnection

    class GuardedTlsPool(HTTPSConnectionPool):
        ConnectionCls = GuardedTlsConnection

    manager = urllib3.PoolManager(
        num_pools=16,
        maxsize=8,
        timeout=Timeout(connect=policy.connect_timeout_s, read=policy.read_timeout_s),
    )
    manager.pool_classes_by_scheme = {"http": GuardedPool, "https": GuardedTlsPool}
    return manager
