"""The real node-media-server 4, installed by npm into the cache, where node and npm are there."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import ClassVar
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from agents.local.ports import LOOPBACK
from agents.local.processes import Command
from agents.local.server import Server
from agents.runtime.deadline import Deadline
from agents.settings import default_cache

VERSION = "4.4.3"
USERNAME, PASSWORD = "admin", "secret-for-tests"
_SCRIPT = """
const NodeMediaServer = require(process.argv[2]);
new NodeMediaServer(JSON.parse(require("fs").readFileSync(process.argv[3], "utf8"))).run();
"""


@cache
def node_media_server_missing() -> str | None:
    """Install it, once; return why it cannot be had, or nothing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "node and npm are not installed"
    if _package().is_dir():
        return None
    _folder().mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--prefix", str(_folder()), "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        subprocess.run([*command, f"node-media-server@{VERSION}"], check=True, capture_output=True, timeout=100)
    except (subprocess.SubprocessError, OSError) as error:
        return f"npm cannot install node-media-server {VERSION}: {type(error).__name__}"
    return None if _package().is_dir() else "npm installed nothing"


class NodeMedia(Server):
    """One node-media-server.

    Args:
        folder: where its files lie.
        notify: URL that it tells of events.
    """

    name: ClassVar[str] = "node-media-server"

    def __init__(self, folder: Path, notify: str) -> None:
        super().__init__(folder, port_count=2)
        self._notify = notify

    @property
    def url(self) -> str:
        """Where streams are published, with the application."""
        return f"rtmp://{LOOPBACK}:{self.port}/live"

    @property
    def api_url(self) -> str:
        """Where its API begins."""
        return f"http://{LOOPBACK}:{self.ports[1]}"

    def _prepare(self, deadline: Deadline) -> Command:
        home = self.folder / self.name
        home.mkdir(exist_ok=True)
        users = [{"username": USERNAME, "password": PASSWORD, "role": "admin"}]
        config = {
            "bind": LOOPBACK,
            "rtmp": {"port": self.port},
            "http": {"port": self.ports[1]},
            "notify": {"url": self._notify},
            "store": {"path": str(home / "data")},
            "record": {"auto": False, "path": str(home / "record")},
            "auth": {"play": False, "publish": False, "jwt": {"secret": "a secret of the tests", "users": users}},
        }
        (home / "config.json").write_text(json.dumps(config))
        (home / "run.js").write_text(_SCRIPT)
        node = shutil.which("node") or "node"
        return Command(
            (node, str(home / "run.js"), str(_package()), str(home / "config.json")), folder=home, log=self.log
        )

    def _refusal(self) -> str | None:
        try:
            with urlopen(f"{self.api_url}/api/v1/streams", timeout=1):
                return "it answers without a login"
        except HTTPError as error:
            return None if error.code == 401 else f"status {error.code}"
        except (URLError, OSError) as error:
            return str(error)


def _folder() -> Path:
    return default_cache() / f"node-media-server-{VERSION}"


def _package() -> Path:
    return _folder() / "node_modules" / "node-media-server"
