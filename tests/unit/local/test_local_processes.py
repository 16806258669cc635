import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agents.local import ServerNotRunningError
from agents.local.processes import Command, ServerProcess, await_gone, children_of, is_alive, log_tail

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""
HOLDS_A_CHILD = """
import signal, sys
from pathlib import Path
from agents.local.processes import Command, ServerProcess
process = ServerProcess(Command(("/bin/sleep", "60"), Path("/"), Path(sys.argv[1])))
print(process.pid, flush=True)
signal.pause()
"""


def sleeper(tmp_path: Path) -> Command:
    return Command(("/bin/sleep", "60"), folder=tmp_path, log=tmp_path / "log")


def python(tmp_path: Path, script: str) -> Command:
    return Command((sys.executable, "-c", script), folder=tmp_path, log=tmp_path / "log")


def await_text(log: Path, text: str) -> None:
    ready = threading.Event()
    for _ in range(500):
        if log.exists() and text in log.read_text():
            return
        ready.wait(0.01)
    pytest.fail(f"{text} never appeared in {log}")


def test_a_process_runs_in_a_session_of_its_own_and_ends_by_its_number(tmp_path: Path) -> None:
    process = ServerProcess(sleeper(tmp_path))
    assert os.getsid(process.pid) == process.pid
    assert process.pid in children_of(os.getpid())
    assert process.returncode is None
    process.stop(signal.SIGTERM, timeout_s=5)
    assert process.returncode == -signal.SIGTERM
    assert not is_alive(process.pid)


def test_a_process_that_ignores_the_asking_is_killed(tmp_path: Path) -> None:
    process = ServerProcess(python(tmp_path, STUBBORN))
    await_text(tmp_path / "log", "ready")
    process.stop(signal.SIGTERM, timeout_s=0.2)
    assert process.returncode == -signal.SIGKILL


def test_stopping_twice_does_nothing_and_a_signal_to_the_dead_is_an_error(tmp_path: Path) -> None:
    process = ServerProcess(sleeper(tmp_path))
    process.stop(signal.SIGKILL, timeout_s=5)
    process.stop(signal.SIGKILL, timeout_s=5)
    with pytest.raises(ServerNotRunningError, match="has ended"):
        process.send(signal.SIGTERM)


def test_a_process_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    started: list[ServerProcess] = []
    thread = threading.Thread(target=lambda: started.append(ServerProcess(sleeper(tmp_path))))
    thread.start()
    thread.join()
    assert not started[0].wait(0.3)
    started[0].stop(signal.SIGTERM, timeout_s=5)


def test_a_process_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS_A_CHILD, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    assert is_alive(child)
    holder.kill()
    holder.wait()
    assert await_gone((child,), timeout_s=5) == ()


def test_a_process_inherits_no_secret_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_POSTGRES__URL", "postgresql://u:secret@h/db")
    process = ServerProcess(python(tmp_path, "import os; print(sorted(os.environ))"))
    assert process.wait(10)
    assert "FLEET_POSTGRES__URL" not in (tmp_path / "log").read_text()


def test_a_program_that_is_not_there_ends_with_the_reason_in_the_log(tmp_path: Path) -> None:
    process = ServerProcess(Command(("/no/such/program",), folder=tmp_path, log=tmp_path / "log"))
    assert process.wait(10)
    assert process.returncode == 1
    assert "No such file" in log_tail(tmp_path / "log")


def test_the_log_tail_is_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_tail(log) == ""
    log.write_text("".join(f"line {number}\n" for number in range(10_000)))
    assert log_tail(log, lines=2) == "line 9998\nline 9999"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_process_of_another_user_dies_with_its_parent_too(tmp_path: Path) -> None:
    script = HOLDS_A_CHILD.replace("Path(sys.argv[1]))", "Path(sys.argv[1]), user=pwd.getpwnam('nobody'))")
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import pwd\n{script}", str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    nobody = 65534
    for _ in range(500):
        if Path(f"/proc/{child}/comm").read_text() == "sleep\n":
            break
        threading.Event().wait(0.01)
    assert Path(f"/proc/{child}").stat().st_uid == nobody
    holder.kill()
    holder.wait()
    assert await_gone((child,), timeout_s=5) == ()
