from pathlib import Path

import pytest

from agents.cli.exits import CommandFailed, ExitCode
from agents.cli.import_model import entry_name, import_model
from models.exceptions import CheckpointError
from models.importing import Facts
from models.manifest import Manifest, Role
from tests.support.tiny_models import write_brightness

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
