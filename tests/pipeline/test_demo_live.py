"""`fleet demo-live` as a user runs it: a manipulated stream is blocked and kept out, another one is left alone."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.cli.exits import ExitCode
from agents.local import nginx_rtmp_available
from tests.pipeline.test_demo import assert_nothing_is_left
from tests.support.commands import started_fleet

pytestmark = pytest.mark.own_servers


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files that PostgreSQL can reach: where a test runs as root, it does not."""
    folder = Path(tempfile.mkdtemp(prefix="demo-live-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(nginx_rtmp_available() is not None, reason=nginx_rtmp_available() or "")
def test_the_manipulated_stream_is_blocked_and_the_other_one_goes_on(tmp_path: Path, temporary: Path) -> None:
    variables = {"TMPDIR": str(temporary)}
    with started_fleet(tmp_path / "log", "demo-live", variables=variables) as command:
        assert command.end(110) == ExitCode.OK, command.said
        assert_nothing_is_left(command, temporary)
    said = command.said
    for step in ("alert raised", "denied", "kicked", "confirmed", "refused on reconnect"):
        assert f"demo-re-blended: {step}" in said
    assert "demo-untouched: alert" not in said
    assert "publishing, never refused" in said
    assert "one stream blocked and kept out, one left alone" in said
