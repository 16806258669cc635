from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.exceptions import GraphInvalid, NonFiniteScore, ProviderUnavailable, ShapeMismatch
from models.graph import prepare
from models.inference.cpus import available_cpus
from models.inference.providers import open_session
from models.inference.session import Session
from models.manifest import Manifest
from models.sources import default_cache, resolve
from tests.support.tiny_models import SIZE, constant, entry, save, write_brightness


def brightness_session(folder: Path, **changes: Any) -> Session:
    path = folder / "m.onnx"
    model = entry(path=path, sha256=write_brightness(path), **changes)
    return Session(model, prepare(model, path, folder / "cache"), threads=1)


def grey(*levels: int) -> NDArray[np.uint8]:
    return np.stack([np.full((SIZE, SIZE, 3), level, np.uint8) for level in levels])


def test_a_crop_has_the_logit_of_its_brightness(tmp_path: Path) -> None:
    logits = brightness_session(tmp_path).run(grey(0, 51, 255))
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, [-10, -6, 10], atol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9])
def test_any_number_of_crops_has_the_logits_of_single_ones(tmp_path: Path, count: int) -> None:
    session = brightness_session(tmp_path)
    images = np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    alone = [session.run(image[None])[0] for image in images]
    np.testing.assert_allclose(session.run(images), np.array(alone, np.float32), atol=1e-5)


def test_what_padded_a_batch_before_does_not_show_in_the_next(tmp_path: Path) -> None:
    session = brightness_session(tmp_path, buckets=[4])
    session.run(grey(255, 255, 255))
    np.testing.assert_allclose(session.run(grey(0)), [-10], atol=1e-4)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, SIZE, SIZE, 3), np.float32),
        np.zeros((SIZE, SIZE, 3), np.uint8),
        np.zeros((1, SIZE, SIZE + 1, 3), np.uint8),
        np.zeros((1, 3, SIZE, SIZE), np.uint8),
    ],
)
def test_what_is_no_crop_is_refused(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    with pytest.raises(ShapeMismatch, match=r"wants uint8 \[N, 32, 32, 3\]"):
        brightness_session(tmp_path).run(images)


def test_a_score_that_is_no_number_is_an_error_that_says_which(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["mean", "white"], ["below"]),
        helper.make_node("Div", ["one", "below"], ["answer"]),
    ]
    constants = [constant("white", 1.0), constant("one", 1.0)]
    sha256 = save(path, nodes, constants, image=["N", 3, SIZE, SIZE], answer=["N"])
    model = entry(path=path, sha256=sha256)
    session = Session(model, prepare(model, path, tmp_path), threads=1)
    with pytest.raises(NonFiniteScore, match=r"crops \[1\] of 2"):
        session.run(grey(0, 255))
    assert np.isfinite(session.run(grey(0))).all()


def test_a_graph_that_fails_its_first_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    nodes = [helper.make_node("Reshape", ["image", "shape"], ["answer"])]
    shape = numpy_helper.from_array(np.array([7], np.int64), "shape")
    sha256 = save(path, nodes, [shape], image=["N", 3, "H", "W"], answer=["N"])
    model = entry(path=path, sha256=sha256)
    with pytest.raises(GraphInvalid, match="first run failed"):
        Session(model, prepare(model, path, tmp_path))


def test_a_graph_that_answers_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    nodes = [helper.make_node("ReduceMean", ["image"], ["answer"], axes=[2, 3], keepdims=0)]
    sha256 = save(path, nodes, [], image=["N", 3, "H", "W"], answer=["N", "K"])
    model = entry(path=path, sha256=sha256)
    with pytest.raises(GraphInvalid, match="one logit each") as raised:
        Session(model, prepare(model, path, tmp_path))
    assert raised.value.field == "output.layout"


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"not a graph")
    with pytest.raises(GraphInvalid, match="refuses"):
        open_session(entry(path=tmp_path / "m.onnx", sha256="0" * 64), tmp_path / "m.onnx")


def test_the_provider_and_the_reason_are_told(tmp_path: Path) -> None:
    session = brightness_session(tmp_path)
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        assert session.provider == "cpu"
        assert "cuda: not in the installed onnxruntime" in session.provider_reason
    graph = next((tmp_path / "cache").glob("tiny*.onnx"))
    assert open_session(session.entry, graph, provider="cpu").reason == ""
    with pytest.raises(ProviderUnavailable, match="none of auto, tensorrt, cuda, cpu"):
        open_session(session.entry, graph, provider="abacus")


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="this machine has CUDA")
def test_a_provider_that_is_not_there_is_an_error_when_asked_for(tmp_path: Path) -> None:
    tiny = entry(path=tmp_path / "m.onnx", sha256=write_brightness(tmp_path / "m.onnx"))
    with pytest.raises(ProviderUnavailable, match="provider: not in the installed onnxruntime"):
        open_session(tiny, tmp_path / "m.onnx", provider="cuda")


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "150000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({}, None),
    ],
)
def test_threads_follow_the_cgroups_quota(tmp_path: Path, files: dict[str, str], quota: int | None) -> None:
    unlimited = available_cpus(tmp_path)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    assert available_cpus(tmp_path) == (quota or unlimited)


@pytest.mark.parametrize("name", [each.name for each in Manifest.load().entries if each.role != "faces"])
def test_a_score_does_not_depend_on_the_batch(name: str, manifest: Manifest) -> None:
    model = manifest.entry(name)
    session = Session(model, prepare(model, resolve(model, default_cache()), default_cache()), threads=2)
    images = np.random.default_rng(5).integers(0, 256, (5, session.size, session.size, 3), np.uint8)
    images[1] //= 8
    images[2] = 255
    alone = session.run(images[:1])[0]
    for order in ([0, 1], [2, 0], [0, 1, 2, 3, 4], [4, 3, 0]):
        assert session.run(images[order])[order.index(0)] == pytest.approx(alone, abs=1e-4)


def test_the_clip_encoder_scores_by_the_batch_where_it_is_let(manifest: Manifest) -> None:
    """Why its entry says `batch_invariant: false`: were this to fail, buckets could grow."""
    model = manifest.entry("clip_synthetic")
    graph = prepare(model, resolve(model, default_cache()), default_cache())
    session = open_session(model, graph).session
    side = model.input.size or 0
    images = np.random.default_rng(5).integers(0, 256, (2, side, side, 3), np.uint8)
    images[1] //= 8
    name = session.get_inputs()[0].name
    alone, together = (session.run(None, {name: batch})[0][0] for batch in (images[:1], images))
    assert not model.batch_invariant
    assert abs(alone - together) > 1e-3
