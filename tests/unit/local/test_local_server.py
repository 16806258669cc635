import socket
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from agents.local import LocalStackError, ServerNotRunningError, ServerStartError
from agents.local.ports import LOOPBACK, is_listening
from agents.local.processes import Command, is_alive
from agents.local.server import Server
from agents.runtime.deadline import Deadline


class WebServer(Server):
    """The web server of Python's own library: small, real, and quick to start."""

    name = "web"
    module: tuple[str, ...] = ("http.server", "--bind", LOOPBACK)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def _prepare(self, deadline: Deadline) -> Command:
        program = (sys.executable, "-u", "-m", *self.module, str(self.port))
        return Command(program, folder=self.folder, log=self.log)

    def _refusal(self) -> str | None:
        try:
            urllib.request.urlopen(self.url, timeout=1).close()
        except urllib.error.URLError as error:
            return str(error)
        return None


class NeverReady(WebServer):
    start_timeout_s = 0.5

    def _refusal(self) -> str | None:
        return "it says no"


class WrongOption(WebServer):
    module = ("http.server", "--no-such-option")


class LosesItsFirstPort(WebServer):
    """Another program takes the first port that was chosen, before the server does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.thief: socket.socket | None = None
        self.first_port = 0

    def _prepare(self, deadline: Deadline) -> Command:
        if self.thief is None:
            self.thief = socket.create_server((LOOPBACK, self.port))
            self.first_port = self.port
        return super()._prepare(deadline)

    def _refusal(self) -> str | None:
        return "that is the thief" if self.port == self.first_port else super()._refusal()


def test_a_started_server_answers_and_a_stopped_one_is_gone(tmp_path: Path) -> None:
    server = WebServer(tmp_path)
    server.start()
    pid = server.pid
    assert is_listening(server.port)
    server.stop()
    assert not is_alive(pid)
    assert not is_listening(server.port)
    server.stop()


def test_a_killed_server_comes_back_on_its_port(tmp_path: Path) -> None:
    server = WebServer(tmp_path)
    server.start()
    port, pid = server.port, server.pid
    server.kill()
    assert not server.running
    with pytest.raises(ServerNotRunningError):
        server.kill()
    server.restart()
    assert (server.port, server.pid != pid) == (port, True)
    server.stop()


def test_a_port_that_is_lost_to_another_program_is_replaced(tmp_path: Path) -> None:
    server = LosesItsFirstPort(tmp_path)
    server.start()
    assert server.thief is not None
    assert server.port != server.thief.getsockname()[1]
    server.stop()
    server.thief.close()


def test_a_server_that_ends_at_once_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    server = WrongOption(tmp_path)
    with pytest.raises(ServerStartError, match="ended with status 2") as failure:
        server.start()
    assert failure.value.server == "web"
    assert "unrecognized arguments: --no-such-option" in failure.value.log_tail
    assert "unrecognized arguments" in str(failure.value)


def test_a_server_that_never_answers_is_an_error_with_its_last_refusal_and_is_ended(tmp_path: Path) -> None:
    server = NeverReady(tmp_path)
    with pytest.raises(ServerStartError, match=r"within 0\.5 s \(it says no\)"):
        server.start()
    assert not server.running


def test_stopping_from_another_thread_ends_a_start_under_way(tmp_path: Path) -> None:
    server = NeverReady(tmp_path)
    server.start_timeout_s = 30.0  # type: ignore[misc]
    stopper = threading.Timer(0.3, server.stop)
    stopper.start()
    with pytest.raises(ServerStartError):
        server.start()
    stopper.join()
    assert not server.running


def test_a_server_that_was_never_started_has_no_port_and_no_process(tmp_path: Path) -> None:
    server = WebServer(tmp_path)
    for ask in (lambda: server.port, lambda: server.pid, server.restart, server.kill):
        with pytest.raises(LocalStackError):
            ask()
    server.stop()
