"""`fleet models golden`, as a user runs it."""

from pathlib import Path

import pytest

from agents.cli.exits import ExitCode
from models.manifest import Manifest
from tests.support.commands import run_fleet
from tests.support.tiny_models import write_brightness, write_manifest


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return {"FLEET_MODELS__MANIFEST": str(write_manifest(tmp_path))}


def test_a_model_that_answers_as_it_did_passes(variables: dict[str, str]) -> None:
    done = run_fleet("models", "golden", "tiny", "--check", variables=variables)
    assert done.returncode == ExitCode.OK, done.stderr
    assert done.stdout.split() == ["model", "off", "by", "tolerance", "tiny", "0.0000", "0.01"]


def test_one_that_answers_otherwise_ends_with_its_exit_code(tmp_path: Path, variables: dict[str, str]) -> None:
    path = Path(variables["FLEET_MODELS__MANIFEST"])
    before = Manifest.load(path).entry("tiny").source.sha256
    path.write_text(path.read_text().replace(before, write_brightness(tmp_path / "tiny.onnx", gain=25.0)))
    done = run_fleet("models", "golden", "tiny", "--check", variables=variables)
    assert done.returncode == ExitCode.MODELS_INVALID
    assert "tiny" in done.stdout


def test_an_unknown_model_is_named(variables: dict[str, str]) -> None:
    done = run_fleet("models", "golden", "resnet", "--check", variables=variables)
    assert done.returncode == ExitCode.MODELS_INVALID
    assert "resnet: name: no such entry" in done.stderr
