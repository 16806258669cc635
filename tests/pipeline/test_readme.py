"""Every command of the README works as it stands there."""

import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from agents.settings import Settings
from tests.pipeline.conftest import NewFleet
from tests.support.media import Clip, MediaFolder, image_bytes, photograph

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def commands(program: str) -> list[list[str]]:
    """The arguments of each command of the README that runs `program`."""
    split = [shlex.split(command) for command in COMMANDS]
    return [arguments for name, *arguments in split if name.rpartition("/")[2] == program]


def fleet_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "agents.cli", *arguments]


def test_there_is_no_command_that_no_test_knows() -> None:
    programs = {shlex.split(command)[0].rpartition("/")[2] for command in COMMANDS}
    assert programs == {"make", "fleet", "export", "python3"}


def test_its_make_targets_exist_and_ci_runs_them() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    for arguments in commands("make"):
        assert re.search(rf"^{arguments[0]}:", makefile, re.MULTILINE), arguments
        assert f"make {' '.join(arguments)}" in script, arguments


def test_its_variables_are_settings() -> None:
    for (assignment,) in commands("export"):
        section, _, key = assignment.partition("=")[0].removeprefix("FLEET_").lower().partition("__")
        annotation = Settings.model_fields[section].annotation
        assert annotation is not None
        assert key in annotation.model_fields


def test_its_files_exist() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_its_installation_carries_everything_that_runs(tmp_path: Path) -> None:
    assert commands("python3") == [["-m", "pip", "install", ".[cpu]"]]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT],
        check=True,
        timeout=100,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {
        "schemas/sql/0001_results.sql",
        "schemas/generated/asyncapi.json",
        "models/manifest.yaml",
        "models/policies.yaml",
        "models/weights/blend_primary.onnx",
        "models/weights/clip_synthetic_head.npz",
        "agents/cli/__main__.py",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]


def test_a_scan_works_as_it_stands_there(tmp_path: Path, tiny_manifest: Path) -> None:
    media = MediaFolder(tmp_path)
    media.write("photo.jpg", image_bytes(photograph(), "JPEG"))
    media.clip(Clip(width=256, height=256, fps=10, frames=20)).rename(tmp_path / "clip.mp4")
    (scan,) = [arguments for arguments in commands("fleet") if arguments[0] == "scan"]
    environment = {**os.environ, "FLEET_MODELS__MANIFEST": str(tiny_manifest)}
    done = subprocess.run(
        fleet_command(*scan), cwd=tmp_path, env=environment, check=True, timeout=100, capture_output=True
    )
    assert b"photo.jpg" in done.stdout
    assert list(tmp_path.glob("timeline*.png"))


@pytest.mark.timeout(200)
def test_a_fleet_of_its_commands_brings_a_submitted_upload_to_its_verdict(
    new_fleet: NewFleet, tmp_path: Path, tiny_manifest: Path
) -> None:
    fleet = new_fleet(provisioned=False, FLEET_MODELS__MANIFEST=str(tiny_manifest))
    media = MediaFolder(tmp_path)
    clip = media.clip(Clip(width=256, height=256, fps=10, frames=20))
    environment = {**{k: v for k, v in os.environ.items() if not k.startswith("FLEET_")}, **fleet.environment}
    background = []
    submitted = 0
    try:
        for arguments in commands("fleet"):
            if arguments[0] == "scan":
                continue
            if arguments[0] == "run":
                background.append(subprocess.Popen(fleet_command(*arguments), env=environment))
                continue
            # No name on the network is the README's example: the test's own clip takes its place.
            here = [str(clip) if argument.startswith("https:") else argument for argument in arguments]
            submitted += here != arguments
            subprocess.run(fleet_command(*here), env=environment, check=True, timeout=100)
    finally:
        for process in background:
            process.terminate()
            process.wait(60)
    assert submitted == 1
    assert len(background) == 1
    rows = fleet.rows("SELECT outcome FROM deepfake_detection.analysis_results")
    assert rows in ([("scored",)], [])  # the sink may have been drained before it had read the verdict
    with fleet.running("sink"):
        query = "SELECT outcome FROM deepfake_detection.analysis_results"
        fleet.await_that(lambda: fleet.rows(query) == [("scored",)], "the row")
