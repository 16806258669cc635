"""An RTMP live server for demos and tests: nginx with its RTMP module, both from the system's packages."""

import shutil
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import ClassVar

from agents.local.exceptions import MissingProgramError
from agents.local.ports import LOOPBACK, is_listening
from agents.local.processes import Command
from agents.local.server import Server
from agents.runtime.deadline import Deadline

_MODULES = (Path("/usr/lib/nginx/modules/ngx_rtmp_module.so"), Path("/usr/lib64/nginx/modules/ngx_rtmp_module.so"))
_SBIN = "/usr/sbin:/usr/local/sbin"
APPLICATION = "live"
"""The application that streams are published to and played from."""
# One process, so that nothing outlives a kill: fit for a demo and for tests, not for a live platform.
_CONFIGURATION = """\
load_module {module};
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
rtmp {{
    access_log off;
    server {{
        listen {address}:{rtmp};
        chunk_size 4096;
        ping 5s;
        ping_timeout 5s;
        notify_method post;
        application {application} {{
            live on;
            {hooks}
        }}
    }}
}}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen {address}:{http};
        location /control {{ rtmp_control all; }}
        location /stat {{ rtmp_stat all; }}
        location /answers {{ return 200 "{mark}"; }}
    }}
}}
"""


def nginx_rtmp_available() -> str | None:
    """Return why nginx with its RTMP module cannot be run here; None when it can."""
    if _program() is None:
        return "there is no nginx (Debian: apt-get install nginx-light libnginx-mod-rtmp)"
    if _module() is None:
        return "nginx has no RTMP module (Debian: apt-get install libnginx-mod-rtmp)"
    return None


class NginxRtmp(Server):
    """One nginx that takes RTMP streams, with its control and statistics over HTTP.

    Args:
        folder: where its files lie.
        on_publish: URL that is asked whether somebody may publish; without one everybody may.
        on_update: URL that is asked again while somebody publishes, every 2 seconds.
    """

    name: ClassVar[str] = "nginx-rtmp"

    def __init__(self, folder: Path, *, on_publish: str | None = None, on_update: str | None = None) -> None:
        super().__init__(folder, port_count=2)
        self._on_publish = on_publish
        self._on_update = on_update

    @property
    def url(self) -> str:
        """Where streams are published and played: the URL of the application, `rtmp://…/live`."""
        return f"rtmp://{LOOPBACK}:{self.port}/{APPLICATION}"

    @property
    def control_url(self) -> str:
        """Where its publishers can be dropped (nginx-rtmp's control module)."""
        return f"http://{LOOPBACK}:{self.ports[1]}/control"

    @property
    def statistics_url(self) -> str:
        """Where it tells, in XML, who publishes (nginx-rtmp's stat module)."""
        return f"http://{LOOPBACK}:{self.ports[1]}/stat"

    def _prepare(self, deadline: Deadline) -> Command:  # noqa: ARG002 - nothing to prepare takes time
        program, module = _program(), _module()
        if program is None or module is None:
            raise MissingProgramError(nginx_rtmp_available() or "nginx cannot be run")
        home = self.folder / self.name
        home.mkdir(mode=0o700, exist_ok=True)
        hooks = []
        if self._on_publish is not None:
            hooks.append(f"on_publish {self._on_publish};")
        if self._on_update is not None:
            hooks.append(f"notify_update_timeout 2s; notify_update_strict on; on_update {self._on_update};")
        configuration = home / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                module=module,
                home=home,
                address=LOOPBACK,
                rtmp=self.port,
                http=self.ports[1],
                application=APPLICATION,
                hooks=" ".join(hooks),
                mark=self._mark,
            )
        )
        return Command((program, "-e", "stderr", "-p", str(home), "-c", str(configuration)), folder=home, log=self.log)

    @property
    def _mark(self) -> str:
        return self.folder.name

    def _refusal(self) -> str | None:
        if not is_listening(self.port):
            return "RTMP: nobody listens"
        connection = HTTPConnection(LOOPBACK, self.ports[1], timeout=1.0)
        try:
            connection.request("GET", "/answers")
            answer = connection.getresponse().read().decode(errors="replace")
        except (OSError, HTTPException) as error:
            return f"HTTP: {error}"
        finally:
            connection.close()
        return None if answer == self._mark else "HTTP: another server answers"


def _program() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path=_SBIN)


def _module() -> Path | None:
    return next((module for module in _MODULES if module.exists()), None)
