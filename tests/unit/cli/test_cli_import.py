from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from agents.cli.app import app
from agents.cli.exits import CommandFailed, ExitCode
from agents.cli.import_model import entry_name, import_model
from agents.cli.models_app import Colour, Crop, ImportedRole, ImportFormat, Layout
from models.exceptions import CheckpointError
from models.families.catalogue import Format
from models.importing import Facts
from models.manifest import Manifest, Role
from tests.support.tiny_models import write_brightness

SAID = (
    *("--format", "onnx", "--architecture", "mobilenet", "--layout", "logit", "--fake-index", "0"),
    *("--licence", "MIT", "--origin", "ours"),
)
FACTS = Facts(licence="MIT", origin="ours", layout="logit", fake_index=1)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    write_brightness(tmp_path / "Our-Detector.v2.onnx")
    return tmp_path / "Our-Detector.v2.onnx"


def test_an_import_shows_its_entry_and_how_to_serve_it(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_model(graph, "onnx", "mobilenet", None, "screen", tmp_path / "m", FACTS)
    shown = capsys.readouterr().out
    manifest = tmp_path / "m" / "manifest.yaml"
    entry = Manifest.load(manifest).by_role(Role.SCREEN)[0]
    assert entry.name == "our_detector_v2"
    for said in (entry.name, "mobilenet", "a score that grows with fake", "MIT", entry.source.sha256):
        assert said in shown
    assert f"FLEET_MODELS__MANIFEST={manifest}" in shown


def test_a_missing_fact_is_told_as_the_option_that_says_it(graph: Path, tmp_path: Path) -> None:
    facts = Facts(licence="MIT", origin="ours", layout="logit")
    with pytest.raises(CommandFailed, match="--fake-index") as raised:
        import_model(graph, "onnx", "mobilenet", "x", None, tmp_path / "m", facts)
    assert raised.value.code is ExitCode.USAGE
    assert not (tmp_path / "m").exists()


def test_a_checkpoint_that_cannot_be_used_is_the_models_own_error(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        import_model(graph, "timm", None, "x", None, tmp_path / "m", FACTS)


def run(*arguments: str | Path) -> tuple[int, str]:
    """Exit code, and what was said on either stream."""
    ended = CliRunner().invoke(app, ["models", "import", *map(str, arguments)], env={"COLUMNS": "100"})
    return ended.exit_code, ended.output


def test_the_command_line_tells_what_the_checkpoint_does_not(graph: Path, tmp_path: Path) -> None:
    said = ("--role", "screen", "--colour", "BGR", "--crop", "inside", "--margin", "1.5", "--version", "3")
    pixels = ("--scale", "0.5", "--mean", "0.1", "0.2", "0.3", "--std", "1", "2", "3")
    code, shown = run(graph, "--into", tmp_path / "m", *SAID, *said, *pixels)
    assert code == ExitCode.OK
    assert "a score that grows with real" in shown
    entry = Manifest.load(tmp_path / "m" / "manifest.yaml").entry("our_detector_v2")
    spec = entry.input
    assert (entry.version, entry.role, entry.output.fake_index) == ("3", Role.SCREEN, 0)
    assert (spec.colour, spec.crop.kind, spec.crop.margin) == ("BGR", "inside", 1.5)
    assert (spec.scale, spec.mean, spec.std) == (0.5, (0.1, 0.2, 0.3), (1, 2, 3))


def test_the_exit_code_says_whether_the_command_line_or_the_checkpoint_is_wrong(graph: Path, tmp_path: Path) -> None:
    into = ("--into", tmp_path / "m")
    code, shown = run(graph, *into, *SAID[:-2])
    assert (code, "--origin" in shown) == (ExitCode.USAGE, True)
    assert run(graph, *into, *SAID, "--layout", "maybe")[0] == ExitCode.USAGE
    assert run(tmp_path / "none.pth", *into, *SAID)[0] == ExitCode.USAGE
    code, shown = run(graph, *into, *SAID, "--format", "timm", "--architecture", "mobilenetv2_100")
    assert (code, "no checkpoint of PyTorch" in shown) == (ExitCode.MODELS_INVALID, True)
    code, shown = run(graph, *into, *SAID, "--name", "../x")
    assert (code, "name" in shown) == (ExitCode.MODELS_INVALID, True)
    assert not (tmp_path / "m").exists()


def test_the_command_line_knows_what_the_models_know() -> None:
    assert [*ImportFormat] == [*Format]
    assert [*ImportedRole] == [role for role in Role if role is not Role.FACES]
    facts = Facts.__annotations__
    for choices, field in ((Crop, "crop"), (Layout, "layout"), (Colour, "colour")):
        assert {*choices} == set(get_args(get_args(facts[field])[0]))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("2.7_80x80_MiniFASNetV2.pth", "2_7_80x80_minifasnetv2"),
        ("Meso4_DF.h5", "meso4_df"),
        ("-x-.onnx", "x"),
        ("…", "imported"),
    ],
)
def test_an_entry_is_named_after_its_file(file: str, name: str) -> None:
    assert entry_name(Path(file)) == name
