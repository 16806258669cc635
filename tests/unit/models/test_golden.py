"""A model serves only where it answers as its golden vector says."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import yaml
from onnx import helper, numpy_helper

from models.detectors import DetectorSet, LoadOptions
from models.exceptions import (
    GoldenMismatch,
    GraphInvalid,
    HashMismatch,
    ManifestError,
    ProviderUnavailable,
    WeightsMissing,
)
from models.golden import Golden, load_golden, pictures
from models.golden_making import LEAST, keep_golden, make_golden, renew_golden
from models.graph import prepare
from models.inference import provider_options, providers
from models.inference.session import Session
from models.manifest import Entry, GoldenSpec, Manifest
from models.manifest_text import with_golden
from models.sources import default_cache, resolve
from tests.support.tiny_models import SIZE, constant, entry, save, write_brightness, write_manifest


def redness(path: Path, gain: float = 20.0) -> str:
    """Write a detector with logit `gain * (mean red - 0.5)`; return its sha256."""
    nodes = [
        helper.make_node("Gather", ["image", "first"], ["red"], axis=1),
        helper.make_node("ReduceMean", ["red"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Sub", ["mean", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "gain"], ["answer"]),
    ]
    first = numpy_helper.from_array(np.array(0, np.int64), "first")
    constants = [first, constant("middle", 0.5), constant("gain", gain)]
    return save(path, nodes, constants, image=["N", 3, SIZE, SIZE], answer=["N"])


@pytest.fixture
def red(tmp_path: Path) -> Entry:
    """An entry with its golden vector."""
    bare = entry(path=tmp_path / "tiny.onnx", sha256=redness(tmp_path / "tiny.onnx"))
    return keep_golden(bare, make_golden(bare, tmp_path / "tiny.onnx").golden, tmp_path)


def opened(model: Entry, folder: Path) -> Session:
    return Session(model, prepare(model, folder / "tiny.onnx", folder / "cache"), threads=1)


def test_a_session_that_answers_as_it_should_serves_and_says_so(red: Entry, tmp_path: Path) -> None:
    assert red.golden is not None
    assert red.golden.tolerance == LEAST
    assert "golden vector to 0" in opened(red, tmp_path).provider_reason


@pytest.mark.parametrize(
    "changes",
    [{"colour": "BGR"}, {"scale": 1.0}, {"mean": (0.1, 0.1, 0.1)}, {"std": (0.5, 0.5, 0.5)}],
    ids=["colours", "scale", "mean", "deviation"],
)
def test_another_way_to_speak_to_it_is_noticed(red: Entry, tmp_path: Path, changes: dict[str, object]) -> None:
    wrong = red.model_copy(update={"input": red.input.model_copy(update=changes)})
    with pytest.raises(
        GoldenMismatch, match=r"tiny: golden: .*cpu: its answers are .* off, more than the tolerance of 0.01"
    ):
        opened(wrong, tmp_path)


def test_answers_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    good = entry(path=tmp_path / "tiny.onnx", sha256=write_brightness(tmp_path / "tiny.onnx"))
    good = keep_golden(good, make_golden(good, tmp_path / "tiny.onnx").golden, tmp_path)
    digest = write_brightness(tmp_path / "tiny.onnx", gain=float("nan"))
    broken = good.model_copy(update={"source": good.source.model_copy(update={"sha256": digest})})
    with pytest.raises(GoldenMismatch, match="no finite score"):
        opened(broken, tmp_path)


@pytest.fixture
def says_it_has_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose CUDA is the CPU by another name."""
    cpu = "CPUExecutionProvider"
    for module in (providers, provider_options):
        monkeypatch.setattr(module, "PROVIDERS", {"cuda": cpu, "cpu": cpu})
    monkeypatch.setattr(provider_options, "cuda_options", lambda *_, **__: {})
    monkeypatch.setattr(providers, "cuda_obstacle", lambda: "")


@pytest.mark.filterwarnings("ignore:Duplicate provider")
@pytest.mark.usefixtures("says_it_has_cuda")
def test_the_next_provider_is_taken_where_one_answers_otherwise(red: Entry, tmp_path: Path) -> None:
    asked: list[str] = []

    def second_only(_: object) -> str:
        asked.append("session")
        if len(asked) == 1:
            raise GoldenMismatch("tiny", "golden", "its answers are 3 off")
        return "golden vector to 0"

    graph = prepare(red, tmp_path / "tiny.onnx", tmp_path / "cache")
    chosen = providers.open_session(red, graph, accept=second_only)
    assert chosen.provider == "cpu"
    assert chosen.reason == "first that opened; golden vector to 0; cuda: its answers are 3 off"


@pytest.mark.usefixtures("says_it_has_cuda")
def test_a_provider_that_fails_to_open_is_passed_over_by_us_and_never_in_silence(
    red: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = onnxruntime.InferenceSession
    own_fallback: list[object] = []

    def without_driver(*args: object, **told: Any) -> object:
        own_fallback.append(told["enable_fallback"])
        if len(told["providers"]) > 1:
            raise RuntimeError("CUDA failure 999: unknown error")
        return real(*args, **told)

    monkeypatch.setattr(onnxruntime, "InferenceSession", without_driver)
    graph = prepare(red, tmp_path / "tiny.onnx", tmp_path / "cache")
    chosen = providers.open_session(red, graph)
    assert chosen.provider == "cpu"
    assert chosen.reason.startswith("first that opened; cuda: ONNX Runtime refuses ")
    assert chosen.reason.endswith("CUDA failure 999: unknown error")
    with pytest.raises(ProviderUnavailable, match="CUDA failure 999"):
        providers.open_session(red, graph, provider="cuda")
    assert own_fallback == [0, 0, 0]


def test_an_entry_without_a_golden_vector_does_not_serve(tmp_path: Path) -> None:
    path = write_manifest(tmp_path)
    document = yaml.safe_load(path.read_text())
    del document["entries"][1]["golden"]
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ManifestError, match=r"tiny: golden: .*`fleet models golden tiny` makes it"):
        DetectorSet.load(Manifest.load(path), LoadOptions(cache=default_cache(), threads=1))


def test_a_vector_that_is_gone_or_changed_is_told(red: Entry, tmp_path: Path) -> None:
    assert red.golden is not None
    red.golden.path.write_bytes(b"other")
    with pytest.raises(HashMismatch, match=r"tiny: golden\.sha256"):
        opened(red, tmp_path)
    red.golden.path.unlink()
    with pytest.raises(WeightsMissing, match=r"tiny: golden\.path"):
        opened(red, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"no arrays",
        b"PK\x03\x04 half of an archive",
        Golden(pictures(SIZE + 8), np.zeros((2, 1), np.float32), 0.1).to_bytes(),
        Golden(pictures(SIZE), np.zeros((3, 1), np.float32), 0.1).to_bytes(),
        Golden(pictures(SIZE), np.zeros(2, np.float32), 0.1).to_bytes(),
    ],
    ids=["nonsense", "half an archive", "another size", "another count", "another shape"],
)
def test_a_file_that_is_no_such_vector_is_refused(red: Entry, content: bytes) -> None:
    assert red.golden is not None
    red.golden.path.write_bytes(content)
    spec = GoldenSpec(path=red.golden.path, sha256=hashlib.sha256(content).hexdigest(), tolerance=0.1)
    with pytest.raises(GraphInvalid, match=r"tiny: golden\.path"):
        load_golden(red.model_copy(update={"golden": spec}))


def test_answers_of_another_shape_are_infinitely_far(red: Entry) -> None:
    golden = load_golden(red)
    assert golden.difference(golden.answers) == 0
    assert golden.difference(golden.answers[:1]) == float("inf")


def test_a_quantised_network_is_held_against_the_one_it_was_made_of(tmp_path: Path) -> None:
    digest = redness(tmp_path / "tiny.onnx", gain=20.0)
    redness(tmp_path / "full.onnx", gain=22.0)
    bare = entry(path=tmp_path / "tiny.onnx", sha256=digest)
    made = make_golden(bare, tmp_path / "tiny.onnx", reference=tmp_path / "full.onnx")
    own = make_golden(bare, tmp_path / "tiny.onnx")
    np.testing.assert_allclose(made.golden.answers, own.golden.answers * 1.1, rtol=1e-5)
    assert made.quantisation == pytest.approx(float(np.abs(own.golden.answers).max() * 0.1), rel=1e-4)
    assert made.golden.tolerance == pytest.approx(2 * made.quantisation, rel=1e-3)
    assert own.colours > own.golden.tolerance


def test_a_vector_is_put_into_the_text_and_renewed_there(red: Entry, tmp_path: Path) -> None:
    text = "entries:\n  - name: first\n    # A word on it.\n    version: '1'\n\n  - name: tiny\n    version: '1'\n"
    once = with_golden(text, red, tmp_path)
    assert once.startswith(text.rstrip("\n"))
    written = yaml.safe_load(once)["entries"][1]["golden"]
    assert written["path"] == "golden/tiny.npz"
    assert red.golden is not None
    wider = red.model_copy(update={"golden": red.golden.model_copy(update={"tolerance": 0.5})})
    again = with_golden(once, wider, tmp_path)
    assert yaml.safe_load(again)["entries"][1]["golden"] == written | {"tolerance": 0.5}
    assert again.count("golden:") == 1
    with pytest.raises(ManifestError, match="is not in the manifest"):
        with_golden("entries:\n", red, tmp_path)


def test_a_model_that_changed_serves_again_when_its_vector_is_renewed(tmp_path: Path) -> None:
    path = write_manifest(tmp_path)
    digest = redness(tmp_path / "tiny.onnx")
    path.write_text(path.read_text().replace(Manifest.load(path).entry("tiny").source.sha256, digest))
    options = LoadOptions(cache=default_cache(), threads=1)
    with pytest.raises(GoldenMismatch):
        DetectorSet.load(Manifest.load(path), options)
    renew_golden(path, Manifest.load(path).entry("tiny"), tmp_path / "tiny.onnx")
    with DetectorSet.load(Manifest.load(path), options) as loaded:
        assert list(loaded.detectors) == ["tiny"]


def test_pictures_are_of_many_colours_and_always_the_same() -> None:
    first, again = pictures(64), pictures(64)
    np.testing.assert_array_equal(first, again)
    assert first.shape == (2, 64, 64, 3)
    assert (first.reshape(-1, 3).std(0) > 20).all()


@pytest.mark.parametrize("model", Manifest.load().entries, ids=lambda model: model.name)
def test_every_entry_of_the_fleet_has_one(model: Entry) -> None:
    golden = load_golden(model)
    made = make_golden(model, resolve(model, default_cache()))
    assert golden.difference(made.golden.answers) <= golden.tolerance
