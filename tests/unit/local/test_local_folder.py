import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from agents.local import FolderError
from agents.local.folder import RunFolder, unreachable_ancestor

ENDS_WITHOUT_CLOSING = """
import os
from agents.local.folder import RunFolder
print(RunFolder().path, flush=True)
os._exit(0)
"""


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def abandoned_folder() -> Path:
    script = [sys.executable, "-c", ENDS_WITHOUT_CLOSING]
    return Path(subprocess.run(script, check=True, capture_output=True, text=True).stdout.strip())


def test_a_temporary_folder_is_removed_at_the_end() -> None:
    run = RunFolder()
    (run.path / "valkey").mkdir()
    run.close()
    run.close()
    assert not run.path.exists()


def test_what_a_killed_run_left_behind_is_removed_by_the_next_while_living_runs_keep_theirs() -> None:
    living = RunFolder()
    abandoned = abandoned_folder()
    assert abandoned.exists()
    later = RunFolder()
    assert not abandoned.exists()
    assert living.path.exists()
    later.close()
    living.close()


def test_a_folder_of_another_name_or_without_a_lock_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "deepfake-fleet-being-made").mkdir()
    (tmp_path / "other").mkdir()
    RunFolder().close()
    assert {path.name for path in tmp_path.iterdir()} == {"deepfake-fleet-being-made", "other"}


def test_a_given_folder_is_kept(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "given" / "here")
    run.close()
    assert (tmp_path / "given" / "here").is_dir()


def test_a_given_folder_must_be_empty(tmp_path: Path) -> None:
    (tmp_path / "full").write_text("")
    with pytest.raises(FolderError, match="is not empty"):
        RunFolder(tmp_path)
    with pytest.raises(FolderError, match="cannot be made"):
        RunFolder(tmp_path / "full")


def test_the_topmost_closed_folder_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "open"
    inner.mkdir(parents=True)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o001)
    (tmp_path / "closed").chmod(0o700)
    assert unreachable_ancestor(inner / "file") == tmp_path / "closed"
    (tmp_path / "closed").chmod(0o711)
    assert unreachable_ancestor(inner / "file") is None
