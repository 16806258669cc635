import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml

from models.detectors import DetectorSet, LoadOptions, chosen_entries
from models.exceptions import GraphInvalid, HashMismatch, ManifestError, WeightsMissing
from models.faces import Face
from models.fingerprint import model_set_fingerprint
from models.inference.batcher import BatchStats
from models.manifest import Manifest, Role
from models.sources import default_cache
from tests.support.tiny_models import SIZE, write_manifest

OPTIONS = LoadOptions(cache=default_cache(), threads=1)


def grey(level: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((1, SIZE, SIZE, 3), level, np.uint8)


def test_a_set_finds_faces_cuts_and_scores_them(tmp_path: Path) -> None:
    seen: list[BatchStats] = []
    manifest = Manifest.load(write_manifest(tmp_path))
    with DetectorSet.load(manifest, OPTIONS, on_batch=seen.append) as models:
        tiny = models.detectors["tiny"]
        image = np.full((100, 100, 3), 255, np.uint8)
        crops = tiny.cut(image, [Face((10, 10, 50, 50), 0.9, np.zeros((5, 2), np.float32))])
        assert crops.shape == (1, tiny.size, tiny.size, 3)
        assert tiny.answers(crops).result(5)[0] == pytest.approx(10, abs=1e-3)
        assert models.faces.detect([image]) == [[]]
        assert [each.entry.name for each in models.of_role("primary")] == ["tiny"]
        assert models.of_role(Role.SCREEN) == ()
    assert [each.crops for each in seen] == [1]


def test_a_set_says_what_it_is(tmp_path: Path) -> None:
    manifest = Manifest.load(write_manifest(tmp_path))
    with DetectorSet.load(manifest, OPTIONS) as models:
        assert models.fingerprint == model_set_fingerprint(manifest.entries)
        assert models.versions["tiny"] == f"1+{manifest.entry('tiny').source.sha256}"
        assert list(models.versions) == ["centerface", "tiny"]


def test_weights_that_changed_are_refused_and_nothing_is_left_running(tmp_path: Path) -> None:
    manifest = Manifest.load(write_manifest(tmp_path))
    (tmp_path / "tiny.onnx").write_bytes(b"other")
    before = threading.active_count()
    with pytest.raises(HashMismatch, match=r"tiny: source\.sha256"):
        DetectorSet.load(manifest, OPTIONS)
    assert threading.active_count() == before


def test_weights_that_are_gone_are_told(tmp_path: Path) -> None:
    manifest = Manifest.load(write_manifest(tmp_path))
    (tmp_path / "tiny.onnx").unlink()
    with pytest.raises(WeightsMissing, match="tiny: source"):
        DetectorSet.load(manifest, OPTIONS)


def test_a_network_of_another_size_is_refused(tmp_path: Path) -> None:
    path = write_manifest(tmp_path)
    path.write_text(path.read_text().replace(f"size: {SIZE}", "size: 64"))
    with pytest.raises(GraphInvalid, match=r"tiny: input\.size"):
        DetectorSet.load(Manifest.load(path), OPTIONS)


def test_only_what_is_asked_for_is_loaded(manifest: Manifest) -> None:
    assert [each.name for each in chosen_entries(manifest, [])] == ["centerface"]
    assert [each.name for each in chosen_entries(manifest)] == [
        "centerface",
        "blend_screen",
        "blend_primary",
        "clip_synthetic",
    ]
    assert [each.name for each in chosen_entries(manifest, ["clip_synthetic", "centerface"])] == [
        "centerface",
        "clip_synthetic",
    ]
    with pytest.raises(ManifestError, match="no such entry"):
        chosen_entries(manifest, ["resnet"])


def test_a_manifest_without_a_face_detector_is_refused(tmp_path: Path) -> None:
    path = write_manifest(tmp_path)
    document = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({"entries": document["entries"][1:]}))
    with pytest.raises(ManifestError, match="one face detector is needed, there is no entry"):
        chosen_entries(Manifest.load(path))


def test_a_tiny_model_with_a_latency_answers_as_one_without(tmp_path: Path) -> None:
    manifest = Manifest.load(write_manifest(tmp_path, latency_s=0.05))
    assert any(node.op_type == "Loop" for node in onnx.load(tmp_path / "tiny.onnx").graph.node)
    with DetectorSet.load(manifest, OPTIONS) as models:
        assert models.detectors["tiny"].answers(grey(0)).result(60)[0] == pytest.approx(-10, abs=1e-3)


def test_a_model_that_runs_crops_one_by_one_waits_for_no_company(tmp_path: Path) -> None:
    path = write_manifest(tmp_path)
    document = yaml.safe_load(path.read_text())
    document["entries"][1]["buckets"] = [1]
    path.write_text(yaml.safe_dump(document))
    seen: list[BatchStats] = []
    options = replace(OPTIONS, max_delay_s=60)
    with DetectorSet.load(Manifest.load(path), options, on_batch=seen.append) as models:
        assert len(models.detectors["tiny"].answers(np.concatenate([grey(0), grey(255)])).result(5)) == 2
    assert [each.crops for each in seen] == [1, 1]
