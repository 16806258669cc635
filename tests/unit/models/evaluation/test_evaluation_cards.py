import json
from pathlib import Path

import pytest

from models.evaluation.card_parts import (
    TEXTS,
    CardData,
    Curves,
    Notes,
    TrainingPoint,
    card_data,
    read_curves,
    read_notes,
)
from models.evaluation.cards import MARK, detector_card
from models.evaluation.exceptions import CardIncomplete, ReportInvalid
from models.evaluation.lineup import FACE_SIZE, SHARPNESS
from models.evaluation.report import EvaluationReport
from models.manifest import Manifest

NOTES = Notes({heading: f"Words about: {heading.lower()}." for heading in TEXTS})
CURVES = Curves(
    recipe={"size": 192, "learning_rate": 0.0008, "fixed_norm": True},
    points=tuple(
        TrainingPoint(
            step=10 * at,
            loss=1 / at,
            accuracy=0.5 + at / 200,
            validation_auc=None if at % 2 else 0.6 + at / 200,
            seconds=36.0 * at,
        )
        for at in range(1, 42)
    ),
)


@pytest.fixture(scope="session")
def data(report: EvaluationReport, tiny: Manifest) -> CardData:
    return card_data(report, tiny.entry("tiny"), 12_345_678)


def test_a_card_says_where_its_model_separates_and_where_it_does_not(data: CardData, tiny: Manifest) -> None:
    text = detector_card(tiny.entry("tiny"), data, NOTES)
    assert MARK in text
    assert "* On *bright* it separates, " in text
    assert "* On *alike* it **does not separate**: AUC 0." in text
    assert "* On *clips, videos* there are too few files to tell (2 real, 2 fake)" in text
    assert "| weight | 0.7: separates on bright; does not separate on alike; too few files to tell on clips" in text


def test_a_card_of_a_model_that_separates_nowhere_says_that_it_must_not_count(
    report: EvaluationReport, tiny: Manifest
) -> None:
    only = report.model_copy(update={"results": tuple(each for each in report.results if each.subset == "alike")})
    text = detector_card(tiny.entry("tiny"), card_data(only, tiny.entry("tiny"), 1), NOTES)
    assert "it separates" not in text
    assert "it counts 0.7 in decisions, and was not found to separate: set it to 0" in text


def test_a_card_has_facts_texts_and_the_baselines_beside_its_figures(data: CardData, tiny: Manifest) -> None:
    entry = tiny.entry("tiny")
    text = detector_card(entry, data, NOTES)
    assert text.startswith("# tiny 1\n\nWords about: what it is.\n")
    assert all(f"Words about: {heading.lower()}." in text for heading in TEXTS)
    assert f"| sha256 | `{entry.source.sha256}` |" in text
    assert "| size | 12.3 MB |" in text
    assert "| licence | Apache-2.0 |" in text
    assert text.index("AUC of size alone") < text.index("## Robustness") < text.index("## Limits")
    assert "| JPEG quality 30 |" in text
    assert "## Training\n" not in text
    for view in ("one resolution", "native"):
        figures = text.split(f"### Figures, {view}")[1].split("\n#")[0]
        row = next(line for line in figures.splitlines() if line.startswith("| bright |"))
        size = data.report.results[[each.row for each in data.report.results].index(FACE_SIZE)]
        assert len(row.split("|")) == 15
        assert size.metrics.auc.low is not None


def test_a_card_shows_how_its_model_was_trained(data: CardData, tiny: Manifest) -> None:
    text = detector_card(tiny.entry("tiny"), data, NOTES, CURVES, "tiny.training.png")
    training = text.split("## Training\n")[1].split("\n## ")[0]
    assert "| learning_rate | 0.0008 |" in training
    assert "](tiny.training.png)" in training
    steps = [line for line in training.splitlines() if line.startswith("| ") and "%" in line]
    assert len(steps) <= 8
    # Points with a validation AUC, and the last of them.
    assert steps[-1] == "| 400 | 0.025 | 70.0% | 0.800 | 0.40 |"


def test_a_card_keeps_only_what_is_said_of_its_model(data: CardData) -> None:
    assert {row.name for row in data.report.rows} == {"tiny", FACE_SIZE, SHARPNESS}
    assert {each.row for each in data.report.results} == {"tiny", FACE_SIZE, SHARPNESS}
    assert CardData.model_validate_json(data.model_dump_json()) == data


def test_a_card_is_of_the_model_that_was_measured(report: EvaluationReport, tiny: Manifest) -> None:
    entry = tiny.entry("tiny")
    with pytest.raises(CardIncomplete, match="measured tiny, and not centerface"):
        card_data(report, tiny.entry("centerface"), 1)
    for change, said in (
        ({"version": "2"}, "version was 1"),
        ({"source": entry.source.model_copy(update={"sha256": "0" * 64})}, "sha256 was"),
        ({"input": entry.input.model_copy(update={"size": 48})}, "preprocessing was"),
        ({"output": entry.output.model_copy(update={"threshold": 0.9})}, "threshold was 0.5"),
    ):
        with pytest.raises(CardIncomplete, match=said):
            card_data(report, entry.model_copy(update=change), 1)


def test_notes_are_read_by_heading(tmp_path: Path) -> None:
    path = tmp_path / "tiny.notes.md"
    path.write_text("".join(f"## {heading}\n\n{heading}, in words.\n\n### More\nand more\n" for heading in TEXTS[::-1]))
    assert read_notes(path).texts["Limits"] == "Limits, in words.\n\n### More\nand more"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: write it with `## What it is`"),
        ("", "no text under `## What it is`"),
        ("".join(f"## {heading}\nwords\n" for heading in TEXTS[:3]) + f"## {TEXTS[3]}\n  \n", f"under `## {TEXTS[3]}`"),
        ("## History\nwords\n", "has a text 'History'"),
    ],
)
def test_notes_that_lack_a_text_are_refused(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "tiny.notes.md"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CardIncomplete, match=said):
        read_notes(path)


def test_curves_are_read_as_a_training_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "curves.json"
    path.write_text(json.dumps(CURVES.model_dump(mode="json")))
    assert read_curves(path) == CURVES
    path.write_text('{"recipe": {}}')
    with pytest.raises(ReportInvalid, match="holds no training curves"):
        read_curves(path)
