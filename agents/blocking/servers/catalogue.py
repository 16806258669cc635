"""Every kind of live server, and those of the settings."""

from collections.abc import Mapping

from agents.blocking.servers.api import Api
from agents.blocking.servers.mediamtx import MediaMtxManners, MediaMtxServer
from agents.blocking.servers.nginx_rtmp import NginxRtmpManners, NginxRtmpServer
from agents.blocking.servers.node_media_server import NodeMediaManners, NodeMediaServer
from agents.blocking.servers.server import LiveServer, Manners
from agents.blocking.servers.srs import SrsManners, SrsServer
from agents.settings import BlockingSettings, LiveServerSettings

MANNERS: Mapping[str, Manners] = {
    "nginx-rtmp": NginxRtmpManners(),
    "srs": SrsManners(),
    "mediamtx": MediaMtxManners(),
    "node-media-server": NodeMediaManners(),
}
"""By kind."""


def live_servers(settings: BlockingSettings) -> Mapping[str, LiveServer]:
    """Return the live servers of the settings, by name."""
    return {name: _server(each, settings.timeout_s) for name, each in settings.servers.items()}


def _server(settings: LiveServerSettings, timeout_s: float) -> LiveServer:
    if settings.kind == "node-media-server":
        plain = [Api(url, timeout_s, token=settings.token) for url in settings.api_urls]
        return NodeMediaServer(plain, settings.username, settings.password)
    apis = [
        Api(url, timeout_s, username=settings.username, password=settings.password, token=settings.token)
        for url in settings.api_urls
    ]
    match settings.kind:
        case "nginx-rtmp":
            return NginxRtmpServer(apis)
        case "srs":
            return SrsServer(apis)
        case "mediamtx":
            return MediaMtxServer(apis)
