import json
from pathlib import Path
from shutil import copytree

import cv2
import numpy as np
import pytest
from PIL import Image

from agents.cli.card import card
from agents.cli.evaluate import EvaluateOptions, evaluate
from agents.cli.exits import CommandFailed
from models.evaluation.card_parts import TEXTS, CardData, read_curves, read_notes
from models.evaluation.cards import detector_card
from models.evaluation.scoring import Plan
from models.exceptions import ManifestError
from models.manifest import Manifest
from tests.support.media import photograph
from tests.support.tiny_models import write_manifest

CURVES = {
    "recipe": {"size": 32, "steps": 20},
    "points": [
        {"step": 10, "loss": 0.7, "accuracy": 0.5, "validation_auc": None, "seconds": 1.0},
        {"step": 20, "loss": 0.4, "accuracy": 0.8, "validation_auc": 0.9, "seconds": 2.0},
    ],
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest, a report of its detector, curves, and cards with notes."""
    folder = tmp_path_factory.mktemp("measured")
    for label, level in (("real", 0.6), ("fake", 1.4)):
        (folder / "faces" / label).mkdir(parents=True)
        picture = (photograph()[:300, 90:390] * level).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "faces" / label / "0.png"), picture[:, :, ::-1])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FLEET_MODELS__MANIFEST", str(write_manifest(folder)))
        environment.setenv("FLEET_MODELS__THREADS", "1")
        plan = Plan(robustness_files=1, rounds=10)
        evaluate(folder / "faces", EvaluateOptions(plan, (), (), folder / "out", analyses=False))
    (folder / "curves.json").write_text(json.dumps(CURVES))
    (folder / "cards").mkdir()
    (folder / "cards" / "tiny.notes.md").write_text("".join(f"## {heading}\nwords\n" for heading in TEXTS))
    return folder


@pytest.fixture
def home(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, to write into."""
    folder = tmp_path / "home"
    copytree(measured, folder)
    monkeypatch.setenv("FLEET_MODELS__MANIFEST", str(folder / "manifest.yaml"))
    return folder


def test_a_card_is_written_with_all_that_it_was_made_from(home: Path) -> None:
    cards = home / "cards"
    card("tiny", home / "out" / "report.json", home / "curves.json", cards)
    assert {path.name for path in cards.iterdir()} == {
        "tiny.md",
        "tiny.notes.md",
        "tiny.evaluation.json",
        "tiny.curves.json",
        "tiny.training.png",
    }
    with Image.open(cards / "tiny.training.png") as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 10
    entry = Manifest.load(home / "manifest.yaml").entry("tiny")
    data = CardData.model_validate_json((cards / "tiny.evaluation.json").read_text())
    assert data.file_bytes == (home / "tiny.onnx").stat().st_size
    parts = read_notes(cards / "tiny.notes.md"), read_curves(cards / "tiny.curves.json")
    assert (cards / "tiny.md").read_text() == detector_card(entry, data, *parts, "tiny.training.png")


def test_a_card_may_be_written_again_and_finds_the_curves_beside_it(home: Path) -> None:
    cards, report = home / "cards", home / "out" / "report.json"
    card("tiny", report, home / "curves.json", cards)
    first = (cards / "tiny.md").read_text()
    assert "tiny.training.png" in first
    card("tiny", report, None, cards)
    assert (cards / "tiny.md").read_text() == first


def test_a_model_that_was_not_trained_here_has_a_card_without_curves(home: Path) -> None:
    card("tiny", home / "out" / "report.json", None, home / "cards")
    assert "## Training\n" not in (home / "cards" / "tiny.md").read_text()
    assert not (home / "cards" / "tiny.training.png").exists()


def test_figures_alone_are_the_cards_own(home: Path) -> None:
    cards, report = home / "cards", home / "out" / "report.json"
    (cards / "tiny.notes.md").unlink()
    card("tiny", report, None, cards, figures_only=True)
    assert [path.name for path in cards.iterdir()] == ["tiny.evaluation.json"]
    alone = CardData.model_validate_json((cards / "tiny.evaluation.json").read_text())
    assert [each.name for each in alone.report.detectors] == ["tiny"]


def test_a_card_of_another_command_is_not_written_over(home: Path) -> None:
    other = home / "cards" / "tiny.md"
    other.write_text("# written by hand\n")
    with pytest.raises(CommandFailed, match="was not written by this command"):
        card("tiny", home / "out" / "report.json", None, home / "cards")
    assert other.read_text() == "# written by hand\n"
    assert [path.name for path in (home / "cards").iterdir() if path.suffix == ".json"] == []


def test_a_card_that_cannot_be_filled_says_why(home: Path) -> None:
    cards, report = home / "cards", home / "out" / "report.json"
    with pytest.raises(CommandFailed, match=r"report.json cannot be read"):
        card("tiny", home / "report.json", None, cards)
    with pytest.raises(CommandFailed, match="holds no training curves"):
        card("tiny", report, report, cards)
    with pytest.raises(ManifestError, match="no such entry"):
        card("other", report, None, cards)
    (cards / "tiny.notes.md").unlink()
    with pytest.raises(CommandFailed, match=r"tiny.notes.md cannot be read: write it with"):
        card("tiny", report, None, cards)
    assert not (cards / "tiny.md").exists()
