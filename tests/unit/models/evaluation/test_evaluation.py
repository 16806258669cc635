from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.report.evaluation import evaluation_markdown
from agents.report.evaluation_plots import write_plots
from models.artifacts.analysis import ANALYSES
from models.detectors import DetectorSet, LoadOptions
from models.evaluation.evaluation import evaluate
from models.evaluation.exceptions import ReportInvalid
from models.evaluation.layout import read_layout
from models.evaluation.lineup import FACE_SIZE, FUSED, SHARPNESS, Lineup, fused_as_decided, weights_in_force
from models.evaluation.report import EvaluationReport, Judgement, Kind, Level, read_report
from models.evaluation.scoring import Plan
from models.evaluation.summary import summaries
from models.manifest import Manifest
from models.sources import default_cache
from tests.support.tiny_models import write_manifest
from tests.unit.models.evaluation.conftest import COUNT, PLAN, evaluated


def test_every_row_is_there_and_the_baselines_always(report: EvaluationReport) -> None:
    names = [row.name for row in report.rows]
    assert names == ["tiny", FUSED, *ANALYSES, FACE_SIZE, SHARPNESS]
    for subset in ("alike", "bright"):
        for view in report.views:
            found = {each.row: each for each in report.results if (each.subset, each.view) == (subset, view)}
            assert list(found) == names
            assert all(each.margin is not None for name, each in found.items() if name != FACE_SIZE)


def test_brightness_separates_what_differs_in_it_and_nothing_else(report: EvaluationReport) -> None:
    bright, alike = (report.result(subset, "tiny", Level.FRAME) for subset in ("bright", "alike"))
    assert bright is not None
    assert alike is not None
    assert bright.metrics.auc.value == 1
    assert bright.judgement is Judgement.SEPARATES
    assert alike.judgement is not Judgement.SEPARATES
    fused = report.result("bright", FUSED, Level.FRAME)
    assert fused is not None
    assert (fused.metrics.auc, fused.judgement) == (bright.metrics.auc, bright.judgement)


def test_what_could_not_be_judged_is_counted_and_named(report: EvaluationReport) -> None:
    counts = {(each.subset, each.fake): each for each in report.media}
    real, fake = counts["bright", False], counts["bright", True]
    assert (real.files, real.judged, real.without_face, real.unreadable) == (COUNT + 1, COUNT, 1, 0)
    assert (fake.files, fake.judged, fake.without_face, fake.unreadable) == (COUNT + 1, COUNT, 0, 1)
    assert counts["clips", True].unreadable == 1
    assert {(each.subset, each.file, each.why) for each in report.left_out} == {
        ("bright", "sky.jpg", "no face"),
        ("bright", "torn.jpg", "unreadable"),
        ("clips", "torn.mp4", "unreadable"),
    }
    assert {each.name: each.ignored for each in report.subsets} == {"alike": 0, "bright": 1, "clips": 0}


def test_clips_are_ranked_as_frames_and_as_videos(report: EvaluationReport) -> None:
    frames, videos = (report.result("clips", "tiny", level) for level in Level)
    assert frames is not None
    assert videos is not None
    assert (frames.reals, frames.real_files) == (6, 2)
    assert (videos.reals, videos.real_files) == (2, 2)
    assert videos.judgement is Judgement.TOO_FEW
    assert report.result("bright", "tiny", Level.VIDEO) is None


def test_the_same_files_and_seed_give_the_same_report(labelled: Path, tiny: Manifest, report: EvaluationReport) -> None:
    again = evaluated(labelled, tiny, PLAN)
    assert again == report


def test_robustness_has_a_point_for_every_step_and_the_size_beside(report: EvaluationReport) -> None:
    points = [each for each in report.robustness if each.subset == "bright"]
    steps = [(each.kind, each.value) for each in points if each.row == "tiny"]
    assert steps[0] == ("none", 0)
    assert steps[1:5] == [("jpeg", 90), ("jpeg", 70), ("jpeg", 50), ("jpeg", 30)]
    assert len(steps) == len(set(steps)) == 13
    assert [each.kind for each in points if each.row == FACE_SIZE] == ["none"]
    # Compression changes no brightness.
    assert all(each.auc.value == 1 for each in points if each.row == "tiny")
    assert {(each.real_files, each.fake_files) for each in points} == {(PLAN.robustness_files,) * 2}


def test_a_report_is_read_as_it_was_written(report: EvaluationReport, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(report.model_dump_json(indent=1))
    assert read_report(path) == report
    path.write_text(report.model_dump_json().replace('"schema_version":1', '"schema_version":0'))
    with pytest.raises(ReportInvalid, match="no report of version 1: schema_version"):
        read_report(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ReportInvalid, match="cannot be read"):
        read_report(path)


def test_a_report_is_a_document_with_the_size_in_every_table(report: EvaluationReport) -> None:
    text = evaluation_markdown(report, [("ROC curves", "roc.png")])
    sections = text.split("\n## ")
    tables = [section for section in sections if ", pictures and frames, " in section or ", videos, " in section]
    assert len(tables) == 2 * 4
    assert all(f"| {FACE_SIZE}" in section for section in tables)
    assert all(f"| {name} |" in text for name in ("tiny", *ANALYSES))
    assert "![ROC curves](roc.png)" in text
    assert "| bright | sky.jpg | no face |" in text
    assert "1 other file in its folders, not looked at" in text
    assert "points the wrong way" in text or "does not separate" in text


def test_a_report_is_drawn(report: EvaluationReport, tmp_path: Path) -> None:
    pictures = write_plots(report, tmp_path)
    assert [name for _, name in pictures] == ["auc.png", "roc.png", "scores.png", "reliability.png", "robustness.png"]
    for _, name in pictures:
        with Image.open(tmp_path / name) as image:
            assert image.format == "PNG"
            pixels = np.asarray(image.convert("RGB"))
        # Neither blank nor a wall of colour.
        assert 0.5 < float((pixels == 255).all(axis=2).mean()) < 0.99


def test_what_separates_nowhere_has_no_weight_or_is_complained_of(labelled: Path, tiny: Manifest) -> None:
    class Undecided:
        """An analysis of clips that finds all of them the same."""

        names = ("undecided", "unanswered")

        def scores(self, clip: Path) -> dict[str, float]:
            return {"undecided": 0.5}

    with DetectorSet.load(tiny, LoadOptions(cache=default_cache(), threads=1)) as loaded:
        lineup = Lineup(
            faces=loaded.faces,
            detectors={},
            weights={"undecided": 0.4},
            clips=(Undecided(),),
            artifacts=False,
        )
        report = evaluate(read_layout(labelled / "clips"), lineup, replace(PLAN, native=False), lambda *_: None)
    assert [row.name for row in report.rows] == ["undecided", "unanswered", FACE_SIZE, SHARPNESS]
    assert not report.robustness
    said = {each.row.name: each for each in summaries(report)}
    assert said["undecided"].weighs_without_ground
    assert said["undecided"].words.endswith("it counts 0.4 in decisions, and was not found to separate: set it to 0")
    assert not said["unanswered"].weighs_without_ground
    assert said["unanswered"].words == "had no answer to reals and fakes; weight 0"
    found = report.result("clips", "undecided", Level.VIDEO)
    assert found is not None
    assert found.metrics.auc.value == 0.5
    assert {row.kind for row in report.rows} == {Kind.TEMPORAL, Kind.BASELINE}
    assert evaluation_markdown(report)


def test_faces_are_brought_to_one_resolution_unless_it_is_said_otherwise(labelled: Path, tiny: Manifest) -> None:
    plan = Plan(one_resolution=None, limit=2, robustness_files=0, rounds=10)
    report = evaluated(labelled / "bright", tiny, plan)
    assert report.views == ("native",)
    assert not report.robustness
    assert {(each.fake, each.files) for each in report.media} == {(False, 2), (True, 2)}
    assert "judged as found" in evaluation_markdown(report)


def test_a_file_that_subsets_share_is_scored_once(labelled: Path, tiny: Manifest) -> None:
    steps: list[tuple[str, int, int]] = []
    layout = read_layout(labelled, ["one=bright/real:bright/fake", "two=bright/real:alike/fake"])
    with DetectorSet.load(tiny, LoadOptions(cache=default_cache(), threads=1)) as loaded:
        lineup = Lineup(loaded.faces, loaded.detectors, weights_in_force(loaded.detectors), artifacts=False)
        plan = Plan(limit=2, robustness_files=0, rounds=10)
        evaluate(layout, lineup, plan, lambda *step: steps.append(step))
    assert [step for step in steps if step[0] == "files"] == [("files", done, 6) for done in range(1, 7)]


def test_fusion_is_what_the_fleet_decides(tmp_path: Path) -> None:
    options = LoadOptions(cache=default_cache(), threads=1)
    with DetectorSet.load(Manifest.load(write_manifest(tmp_path)), options) as loaded:
        fuse = fused_as_decided(loaded.detectors)
        assert fuse is not None
        # One detector: pooled as a track is, see `models.pooling.pool`.
        assert fuse({"tiny": [2.0]}) == pytest.approx(2.0)
        assert fuse({"tiny": [0.0, 0.0, 0.0, 4.0]}) == pytest.approx(0.5 * (1.0 + 2.0))
        assert fuse({"tiny": [500.0]}) < 30
        assert fused_as_decided({}) is None


def test_liveness_alone_decides_nothing(tmp_path: Path) -> None:
    manifest = Manifest.load(write_manifest(tmp_path, role="liveness"))
    with DetectorSet.load(manifest, LoadOptions(cache=default_cache(), threads=1)) as loaded:
        assert fused_as_decided(loaded.detectors) is None
