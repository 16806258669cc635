from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.detectors import DetectorSet, LoadOptions
from models.evaluation.temporal import TemporalAnalyses, scorer_of
from models.manifest import CropSpec, Manifest
from models.sources import default_cache
from models.temporal.analysis import ANALYSES
from tests.support.media import Clip, write_clip
from tests.support.tiny_models import write_manifest

OPTIONS = LoadOptions(cache=default_cache(), threads=1)


def test_analyses_over_time_judge_a_clip_and_those_of_scores_want_a_detector(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, Clip(width=320, height=320, frames=50, fps=10))
    with DetectorSet.load(Manifest.load(write_manifest(tmp_path)), OPTIONS) as loaded:
        scorer = scorer_of(loaded.detectors)
        assert scorer is not None
        crops = np.stack([np.full((256, 256, 3), level, np.uint8) for level in (0, 255)])
        assert scorer(crops).tolist() == pytest.approx([-10, 10], abs=0.1)
        scored = TemporalAnalyses(loaded.faces, scorer).scores(path)
        unscored = TemporalAnalyses(loaded.faces).scores(path)
    assert TemporalAnalyses(loaded.faces).names == tuple(ANALYSES)
    assert set(unscored) < set(scored) <= set(ANALYSES)
    assert set(scored) - set(unscored) <= {"score_smoothness", "change_points", "score_spectrum"}
    assert all(0 <= score <= 1 for score in scored.values())


def test_a_clip_without_a_face_has_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "grey.mp4"
    write_clip(path, Clip(frames=20, flat=(90, 90, 90)))
    with DetectorSet.load(Manifest.load(write_manifest(tmp_path)), OPTIONS) as loaded:
        assert TemporalAnalyses(loaded.faces).scores(path) == {}


def test_a_detector_of_other_crops_is_no_scorer_of_a_track(tmp_path: Path) -> None:
    with DetectorSet.load(Manifest.load(write_manifest(tmp_path)), OPTIONS) as loaded:
        tiny = loaded.detectors["tiny"]
        wider = tiny.entry.input.model_copy(update={"crop": CropSpec(kind="square", margin=0.6)})
        other = replace(tiny, entry=tiny.entry.model_copy(update={"input": wider}))
        assert scorer_of({"tiny": other}) is None
    synthetic = Manifest.load(write_manifest(tmp_path, role="synthetic"))
    with DetectorSet.load(synthetic, OPTIONS) as loaded:
        assert scorer_of(loaded.detectors) is None
