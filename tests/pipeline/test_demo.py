"""`fleet demo` as a user runs it: to its end, broken off, and killed."""

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.cli.exits import ExitCode
from schemas.verdict import Verdict
from tests.support.commands import Command, started_fleet

pytestmark = pytest.mark.own_servers

FILES = ("still-untouched.jpg", "still-re-blended.jpg", "clip-untouched.mp4", "clip-re-blended.mp4")


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files that PostgreSQL can reach: where a test runs as root, it does not."""
    folder = Path(tempfile.mkdtemp(prefix="demo-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def variables(temporary: Path, tiny_manifest: Path) -> dict[str, str]:
    return {"TMPDIR": str(temporary), "FLEET_MODELS__MANIFEST": str(tiny_manifest)}


def holders(folder: Path) -> list[str]:
    """Return the command lines of processes that run in a folder, or name it in arguments or environment."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            place = str((process / "cwd").readlink())
        except OSError:
            continue
        if str(folder).encode() in said or place.startswith(str(folder)):
            found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def assert_nothing_is_left(command: Command, temporary: Path) -> None:
    assert command.left_behind() == ()
    assert holders(temporary) == []
    assert not list(temporary.iterdir())


def test_the_demo_ends_with_four_verdicts_and_their_rows(
    tmp_path: Path, temporary: Path, variables: dict[str, str]
) -> None:
    kept = tmp_path / "kept"
    with started_fleet(tmp_path / "log", "demo", "--keep", str(kept), variables=variables) as command:
        assert command.end(100) == ExitCode.OK, command.said
        assert_nothing_is_left(command, temporary)
    said = command.said
    assert "4 uploads in, 4 verdicts out, 4 rows in Postgres, in " in said
    verdicts = [Verdict.model_validate_json(line) for line in (kept / "verdicts.jsonl").read_text().splitlines()]
    assert len({verdict.verdict_id for verdict in verdicts}) == 4
    for file, verdict in zip(FILES, verdicts, strict=True):
        assert (kept / file).is_file()
        assert f"verdict {verdict.verdict_id}" in said
        assert re.search(rf"{str(verdict.verdict_id)[:8]}…\s+demo-{Path(file).stem}\s+{verdict.label}", said)
    for log in ("uploads.log", "segments.log", "sink.log", "postgres.log"):
        assert (kept / log).is_file()


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("started: broker", signal.SIGINT),
        ("agents: uploads", signal.SIGINT),
        ("0 of 1 segment", signal.SIGINT),
        ("rows with the verdicts' ids", signal.SIGINT),
        ("0 of 1 segment", signal.SIGTERM),
    ],
)
def test_a_signal_at_any_moment_leaves_nothing(
    tmp_path: Path, temporary: Path, variables: dict[str, str], moment: str, number: signal.Signals
) -> None:
    with started_fleet(tmp_path / "log", "demo", variables=variables) as command:
        command.await_said(moment)
        command.note_family()
        command.process.send_signal(number)
        assert command.end(30) == (ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED)
        assert_nothing_is_left(command, temporary)
    assert "Traceback" not in command.said


def test_no_process_outlives_a_demo_that_is_killed(tmp_path: Path, temporary: Path, variables: dict[str, str]) -> None:
    with started_fleet(tmp_path / "log", "demo", variables=variables) as command:
        command.await_said("0 of 1 segment")
        command.note_family()
        assert len(command.family) >= 6
        command.process.kill()
        assert command.left_behind(within_s=10.0) == ()


def test_an_agent_that_dies_ends_the_demo_and_its_log_is_kept(
    tmp_path: Path, temporary: Path, variables: dict[str, str]
) -> None:
    with started_fleet(tmp_path / "log", "demo", variables=variables) as command:
        command.await_said("agents: uploads")
        os.kill(command.descendant("agents.cli run segments"), signal.SIGKILL)
        assert command.end(30) == ExitCode.AGENT_STOPPED, command.said
        assert command.left_behind() == ()
    assert "fleet: segments ended with status -9" in command.said
    (logs,) = temporary.glob("fleet-demo-logs-*")
    assert f"logs of servers and agents: {logs}" in command.said
    assert (logs / "segments.log").is_file()


def test_a_demo_that_is_late_says_what_is_missing(tmp_path: Path, temporary: Path, variables: dict[str, str]) -> None:
    with started_fleet(tmp_path / "log", "demo", "--timeout", "1", variables=variables) as command:
        assert command.end(60) == ExitCode.TIMED_OUT, command.said
        assert command.left_behind() == ()
    assert "no verdict in time: still-untouched.jpg (published)" in command.said
