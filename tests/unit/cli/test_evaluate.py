import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from agents.cli.evaluate import EvaluateOptions, evaluate
from agents.cli.exits import CommandFailed, ExitCode
from models.evaluation.report import Kind, read_report
from models.evaluation.scoring import Plan
from models.exceptions import ManifestError
from tests.support.media import photograph
from tests.support.tiny_models import write_manifest

PLAN = Plan(limit=3, robustness_files=2, rounds=20)


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    path = write_manifest(folder)
    monkeypatch.setenv("FLEET_MODELS__MANIFEST", str(path))
    monkeypatch.setenv("FLEET_MODELS__THREADS", "1")
    monkeypatch.setenv("COLUMNS", "160")
    return path


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    for label, level in (("real", 0.6), ("fake", 1.4)):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            picture = (photograph()[number * 4 : 300 + number * 4, 90:390] * level).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / label / f"{number}.png"), picture[:, :, ::-1])
    cv2.imwrite(str(folder / "real" / "0-grey.png"), np.full((64, 64, 3), 90, np.uint8))
    return folder


def options(output: Path, plan: Plan = PLAN, **changes: object) -> EvaluateOptions:
    fields = {"plan": plan, "subsets": (), "models": (), "output": output, "analyses": True}
    return EvaluateOptions(**{**fields, **changes})  # type: ignore[arg-type]


def test_an_evaluation_writes_report_and_pictures_and_shows_the_figures(
    manifest: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out" / "deep"
    evaluate(faces, options(output))
    assert {path.name for path in output.iterdir()} == {
        "report.json",
        "report.md",
        "auc.png",
        "roc.png",
        "scores.png",
        "robustness.png",
    }
    report = read_report(output / "report.json")
    assert [each.name for each in report.detectors] == ["tiny"]
    assert {row.kind for row in report.rows} == set(Kind)
    text = (output / "report.md").read_text()
    assert "face_size" in text
    assert all(f"]({path.name})" in text for path in output.glob("*.png"))
    shown = capsys.readouterr()
    assert "faces, pictures and frames · 2 reals, 3 fakes · one resolution" in shown.out
    assert "face_size" in shown.out
    assert "too few files to tell" in shown.out
    assert "of 3 real files 0 unreadable, 1 without a face" in shown.err
    # Of five files nothing can be said: what counts in decisions nevertheless is told.
    assert "tiny counts 0.7 in decisions, and was not found to separate" in shown.err


def test_an_evaluation_may_leave_the_analyses_out_and_name_models(manifest: Path, faces: Path, tmp_path: Path) -> None:
    asked = options(tmp_path / "out", analyses=False, models=("tiny",), subsets=("mine=real:fake",))
    evaluate(faces, asked)
    report = read_report(tmp_path / "out" / "report.json")
    assert [row.name for row in report.rows] == ["tiny", "fused", "face_size", "sharpness"]
    assert [each.name for each in report.subsets] == ["mine"]
    with pytest.raises(ManifestError, match="no such entry"):
        evaluate(faces, options(tmp_path / "out", models=("other",)))


def test_media_that_are_not_laid_out_by_label_are_a_wrong_command(manifest: Path, faces: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="there is no folder") as failed:
        evaluate(faces, options(tmp_path / "out", subsets=("mine=real:other",)))
    assert failed.value.code is ExitCode.USAGE
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_told(manifest: Path, faces: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CommandFailed, match="cannot be written"):
        evaluate(faces, options(tmp_path / "file", Plan(limit=1, robustness_files=0, rounds=10), analyses=False))


def test_without_the_extra_that_draws_it_is_told_before_anything_is_measured(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "agents.report.evaluation_plots", None)
    with pytest.raises(CommandFailed, match="extra `plot`"):
        evaluate(faces, options(tmp_path / "out"))
