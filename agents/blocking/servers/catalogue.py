"""Every kind of live server, and those of the settings."""

from collections.abc import Callable, Mapping, Sequence

from agents.blocking.servers.api import Api
from agents.blocking.servers.nginx_rtmp import NginxRtmpManners, NginxRtmpServer
from agents.blocking.servers.server import LiveServer, Manners
from agents.settings import BlockingSettings, LiveServerSettings

_SERVERS: Mapping[str, Callable[[Sequence[Api]], LiveServer]] = {
    "nginx-rtmp": NginxRtmpServer,
}
MANNERS: Mapping[str, Manners] = {
    "nginx-rtmp": NginxRtmpManners(),
}
"""By kind."""


def live_servers(settings: BlockingSettings) -> Mapping[str, LiveServer]:
    """Return the live servers of the settings, by name."""
    return {name: _server(each, settings.timeout_s) for name, each in settings.servers.items()}


def _server(settings: LiveServerSettings, timeout_s: float) -> LiveServer:
    return _SERVERS[settings.kind](
        [
            Api(url, timeout_s, username=settings.username, password=settings.password, token=settings.token)
            for url in settings.api_urls
        ]
    )
