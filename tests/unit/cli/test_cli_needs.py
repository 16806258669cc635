"""`fleet models needs`, as a user runs it."""

from pathlib import Path

import pytest

from agents.cli.exits import ExitCode
from models.manifest import Manifest
from tests.support.commands import run_fleet
from tests.support.tiny_models import write_manifest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_manifest(tmp_path)


def test_what_a_model_needs_is_shown_and_nothing_is_written(path: Path) -> None:
    before = path.read_text()
    done = run_fleet("models", "needs", "tiny", variables={"FLEET_MODELS__MANIFEST": str(path)})
    assert done.returncode == ExitCode.OK, done.stderr
    *_, model, on, mebibytes, kept = done.stdout.split()
    assert (model, on, kept) == ("tiny", "cpu", "·")
    assert int(mebibytes) > 0
    assert path.read_text() == before


def test_with_write_it_goes_into_the_manifest_and_a_second_time_takes_its_place(path: Path) -> None:
    before = Manifest.load(path).entry("tiny")
    for _ in range(2):
        done = run_fleet("models", "needs", "tiny", "--write", variables={"FLEET_MODELS__MANIFEST": str(path)})
        assert done.returncode == ExitCode.OK, done.stderr
    after = Manifest.load(path).entry("tiny")
    assert after.needs.keys() == {"cpu"}
    assert after.model_copy(update={"needs": {}}) == before
    assert path.read_text().partition("name: tiny")[2].count("needs:") == 1


def test_an_unknown_model_is_named(path: Path) -> None:
    done = run_fleet("models", "needs", "resnet", variables={"FLEET_MODELS__MANIFEST": str(path)})
    assert done.returncode == ExitCode.MODELS_INVALID
    assert "resnet: name: no such entry" in done.stderr
