"""A process dies where it is told to, and nowhere else."""

import signal
import subprocess
import sys

import pytest

from agents.settings import SettingsInvalid, load_settings

_PROGRAM = """
from agents.runtime.failpoints import arm, reached
arm({"after-redis": 3})
for turn in range(1, 6):
    reached("after-produce")
    reached("after-redis")
    print(turn, flush=True)
"""


def test_a_process_is_killed_at_the_pass_that_was_named() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == ["1", "2"]


@pytest.mark.parametrize("passes", ['{"after-lunch": 1}', '{"after-redis": 0}'])
def test_what_is_no_point_or_no_pass_is_refused(passes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_RUNTIME__FAILPOINTS", passes)
    with pytest.raises(SettingsInvalid, match="failpoints"):
        load_settings()
