"""The servers that a fleet needs, run on this machine from wheels: broker, key-value store and database."""

from agents.local.apache import ApacheKafka, apache_available
from agents.local.broker import EmbeddedBroker
from agents.local.exceptions import (
    FolderError,
    LocalStackError,
    MissingProgramError,
    ServerNotRunningError,
    ServerStartError,
    ServerStopError,
)
from agents.local.nginx_rtmp import NginxRtmp, nginx_rtmp_available
from agents.local.postgres import Postgres
from agents.local.server import Server
from agents.local.stack import EmbeddedStack
from agents.local.urls import Broker, StackUrls
from agents.local.valkey import Valkey

__all__ = [
    "ApacheKafka",
    "Broker",
    "EmbeddedBroker",
    "EmbeddedStack",
    "FolderError",
    "LocalStackError",
    "MissingProgramError",
    "NginxRtmp",
    "Postgres",
    "Server",
    "ServerNotRunningError",
    "ServerStartError",
    "ServerStopError",
    "StackUrls",
    "Valkey",
    "apache_available",
    "nginx_rtmp_available",
]
