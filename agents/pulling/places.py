"""Where a stream may be pulled from: the schemes that are known, and the addresses that are allowed."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from agents.media.addresses import AddressCheck, Resolver, admit, refuse_private, resolve
from agents.media.exceptions import MediaError
from agents.pulling.exceptions import Trouble


@dataclass(frozen=True, slots=True)
class _Scheme:
    port: int
    form: str
    """FFmpeg's demuxer."""
    protocols: str
    """That FFmpeg may open."""
    pinned: bool
    """Whether FFmpeg is given the address in place of the name."""
    web: bool = False
    """Whether our own HTTP opens it, see `agents.pulling.web`."""


_SCHEMES: Mapping[str, _Scheme] = {
    "rtmp": _Scheme(1935, "flv", "rtmp,tcp", pinned=True),
    "rtmps": _Scheme(443, "flv", "rtmps,rtmp,tls,tcp", pinned=True),
    "rtsp": _Scheme(554, "rtsp", "rtsp,rtp,tcp", pinned=True),
    "https": _Scheme(443, "hls", "http,https,tcp,tls", pinned=False, web=True),
    "http": _Scheme(80, "hls", "http,tcp", pinned=False, web=True),
}
_LOW_LATENCY = {"fflags": "nobuffer+discardcorrupt", "probesize": "131072", "analyzeduration": "500000"}
"""FFmpeg's demuxers (https://ffmpeg.org/ffmpeg-formats.html#Format-Options): nothing is held back, and half a second
(microseconds) is enough to know a stream."""


@dataclass(frozen=True, slots=True)
class Place:
    """A stream's address as FFmpeg is given it."""

    url: str
    form: str
    options: Mapping[str, str]
    web: bool


def _admit_any(address: str, port: int) -> None:
    """Refuse nothing."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Which hosts may be connected to.

    Attributes:
        allow_private: whether private addresses may.
        hosts: names or addresses that may, whatever their addresses.
        resolver: how names become addresses.
    """

    allow_private: bool
    hosts: frozenset[str]
    resolver: Resolver = resolve

    def place(self, url: str) -> Place:
        """Return where to connect to, resolved and checked now: asked again before each connection.

        Raises:
            Trouble: `forbidden`, for a scheme or an address; `unreachable`, for a name without addresses.
        """
        parts = urlsplit(url)
        scheme = _SCHEMES.get(parts.scheme)
        if scheme is None:
            raise Trouble("forbidden", f"{parts.scheme}: streams are pulled from {', '.join(_SCHEMES)}")
        try:
            host, port = parts.hostname or "", parts.port or scheme.port
        except ValueError:
            raise Trouble("forbidden", "the URL's port is none") from None
        free = self.allow_private or host in self.hosts
        check: AddressCheck = _admit_any if free else refuse_private
        try:
            address = admit(host, port, check, self.resolver)[0]
        except MediaError as error:
            raise Trouble("forbidden" if error.kind == "forbidden" else "unreachable", error.reason) from error
        options = {**_LOW_LATENCY, "protocol_whitelist": scheme.protocols, **_options(parts)}
        target = _pinned(parts, address) if scheme.pinned else url
        return Place(target, scheme.form, options, scheme.web)


def _pinned(parts: SplitResult, address: str) -> str:
    """The URL with an address in place of the name: the name is not asked for again (DNS rebinding)."""
    login, at, _ = parts.netloc.rpartition("@")
    host = f"[{address}]" if ":" in address else address
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{login}{at}{host}{port}").geturl()


def _options(parts: SplitResult) -> Mapping[str, str]:
    if parts.scheme == "rtsp":
        return {"rtsp_transport": "tcp"}
    if parts.scheme in {"http", "https"}:
        # From the newest segment on, and with connections that are ours.
        return {
            "live_start_index": "-1",
            "http_persistent": "0",
            "http_multiple": "0",
            "format_whitelist": "hls,mpegts,mov,aac",
        }
    # The server is told the name that it is known by (virtual hosts), and not the address. Application and stream are
    # told apart as FFmpeg does: the application is the first part of the path.
    application = parts.path.strip("/").partition("/")[0]
    host = parts.netloc.rpartition("@")[2]
    options = {
        "format_whitelist": "flv",
        "rtmp_live": "live",
        "rtmp_buffer": "100",
        "rtmp_tcurl": f"{parts.scheme}://{host}/{application}",
    }
    return {**options, **_certificates(parts.hostname or "")} if parts.scheme == "rtmps" else options


def _certificates(host: str) -> Mapping[str, str]:
    """FFmpeg verifies no certificate unless it is told to, and then one for the name that it was given: an address."""
    authorities = ssl.get_default_verify_paths()
    options = {"tls_verify": "1", "verifyhost": host}
    file = authorities.cafile or authorities.openssl_cafile
    return {**options, "ca_file": file} if file and Path(file).is_file() else options
