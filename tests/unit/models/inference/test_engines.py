"""TensorRT engines are built once a node, kept whole, and built anew where they are not."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from models.exceptions import GoldenMismatch, GraphInvalid, OutOfMemory
from models.inference.engines import EngineCache, GpuFacts
from models.loading import Loader, LoadOptions
from models.manifest import Entry, Manifest
from tests.support.tiny_models import entry, write_brightness, write_manifest

FACTS = GpuFacts("NVIDIA L4", "8.9", "580.65", "1.31.1", "10.16.1")


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    write_brightness(tmp_path / "tiny.onnx")
    return tmp_path / "tiny.onnx"


@pytest.fixture
def model(graph: Path) -> Entry:
    return entry(path=graph, sha256="0" * 64)


def build(cache: EngineCache, model: Entry, graph: Path) -> bool:
    """Open it as TensorRT would, and tell whether engines were there."""
    with cache.folder(model, graph) as engines:
        there = (engines.path / "tiny.engine").exists()
        assert there is engines.warm
        if not there:
            (engines.path / "tiny.engine").write_bytes(b"kernels")
            (engines.path / "timing.cache").write_bytes(b"times")
    return there


def folders(root: Path) -> list[Path]:
    return [path for path in (root / "tiny").iterdir() if path.is_dir()]


def test_engines_are_found_again(tmp_path: Path, model: Entry, graph: Path) -> None:
    cache = EngineCache(tmp_path / "engines", FACTS)
    assert [build(cache, model, graph) for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize(
    "changed",
    [{"driver": "590.1"}, {"onnxruntime": "1.32.0"}, {"tensorrt": "11.0.0"}, {"compute_capability": "9.0"}],
)
def test_what_another_version_built_is_not_used(
    tmp_path: Path, model: Entry, graph: Path, changed: dict[str, str]
) -> None:
    old, new = (EngineCache(tmp_path / "engines", facts) for facts in (FACTS, replace(FACTS, **changed)))
    assert [build(cache, model, graph) for cache in (old, new, old, new)] == [False, False, True, True]


def test_engines_that_nobody_uses_any_more_go(tmp_path: Path, model: Entry, graph: Path) -> None:
    build(EngineCache(tmp_path / "engines", FACTS), model, graph)
    newer = replace(FACTS, driver="590.1")
    for days, left in ((29, 2), (31, 1)):
        build(EngineCache(tmp_path / "engines", newer, lambda days=days: time.time() + days * 86_400), model, graph)  # type: ignore[misc]
        assert len(folders(tmp_path / "engines")) == left


def test_another_kind_of_gpu_keeps_its_own(tmp_path: Path, model: Entry, graph: Path) -> None:
    here, there = (EngineCache(tmp_path / "engines", replace(FACTS, gpu=gpu)) for gpu in ("NVIDIA L4", "NVIDIA H100"))
    assert [build(cache, model, graph) for cache in (here, there, here, there)] == [False, False, True, True]


def test_another_graph_or_precision_has_engines_of_its_own(tmp_path: Path, model: Entry, graph: Path) -> None:
    cache = EngineCache(tmp_path / "engines", FACTS)
    build(cache, model, graph)
    assert not build(cache, entry(path=graph, sha256="0" * 64, precision="fp16"), graph)
    write_brightness(graph, gain=3.0)
    assert not build(cache, model, graph)


@pytest.mark.parametrize("harm", ["changed", "gone", "more", "mark"])
def test_engines_that_are_not_whole_are_built_anew(tmp_path: Path, model: Entry, graph: Path, harm: str) -> None:
    cache = EngineCache(tmp_path / "engines", FACTS)
    build(cache, model, graph)
    (folder,) = folders(tmp_path / "engines")
    if harm == "changed":
        (folder / "tiny.engine").write_bytes(b"kernelz")
    elif harm == "gone":
        (folder / "timing.cache").unlink()
    elif harm == "more":
        (folder / "other.engine").write_bytes(b"half")
    else:
        (folder / "built.json").write_text("{")
    assert not build(cache, model, graph)
    assert build(cache, model, graph)


def test_a_build_that_fails_leaves_nothing(tmp_path: Path, model: Entry, graph: Path) -> None:
    cache = EngineCache(tmp_path / "engines", FACTS)

    def fail() -> None:
        with cache.folder(model, graph) as engines:
            (engines.path / "tiny.engine").write_bytes(b"wrong kernels")
            raise GoldenMismatch("tiny", "golden", "3 off")

    with pytest.raises(GoldenMismatch):
        fail()
    assert folders(tmp_path / "engines") == []
    assert not build(cache, model, graph)


def test_engines_stay_where_only_memory_was_short(tmp_path: Path, model: Entry, graph: Path) -> None:
    cache = EngineCache(tmp_path / "engines", FACTS)
    build(cache, model, graph)
    with pytest.raises(OutOfMemory), cache.folder(model, graph):
        raise OutOfMemory("tiny", "run", "no memory")
    assert build(cache, model, graph)


def _build_and_die(root: Path, model: Entry, graph: Path) -> None:
    with EngineCache(root, FACTS).folder(model, graph) as engines:
        (engines.path / "tiny.engine").write_bytes(b"half an engine")
        os.kill(os.getpid(), signal.SIGKILL)


def _build(root: Path, model: Entry, graph: Path, built: "multiprocessing.Queue[bool]") -> None:
    built.put(build(EngineCache(root, FACTS), model, graph))


def test_a_builder_that_is_killed_leaves_no_half_engine(tmp_path: Path, model: Entry, graph: Path) -> None:
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_build_and_die, args=(tmp_path / "engines", model, graph))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert not build(EngineCache(tmp_path / "engines", FACTS), model, graph)


def test_of_several_processes_one_builds(tmp_path: Path, model: Entry, graph: Path) -> None:
    context = multiprocessing.get_context("fork")
    found: multiprocessing.Queue[bool] = context.Queue()
    processes = [context.Process(target=_build, args=(tmp_path / "engines", model, graph, found)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert sorted(found.get(timeout=10) for _ in processes) == [False, True, True, True]


class Failing(Loader):
    """A loader whose first opening of engines that are there fails, as with a file that only looks whole."""

    warm: list[bool]

    def _opened(self, entry: Entry, prepared: Path, provider: str, engines: Path | None) -> object:  # type: ignore[override]
        assert engines is not None
        there = (engines / "tiny.engine").exists()
        self.warm.append(there)
        if there:
            raise GraphInvalid("tiny", "source", "ONNX Runtime refuses the engine")
        (engines / "tiny.engine").write_bytes(b"kernels")
        return "opened"


def test_kept_engines_that_do_not_serve_are_built_anew_at_once(tmp_path: Path) -> None:
    manifest = Manifest.load(write_manifest(tmp_path))
    tiny = manifest.entry("tiny")
    loader = Failing(manifest, LoadOptions(cache=tmp_path / "cache"))
    loader.warm = []
    cache = EngineCache(tmp_path / "engines", FACTS)
    for _ in range(2):
        assert loader._with_engines(tiny, tmp_path / "tiny.onnx", cache) == "opened"  # type: ignore[comparison-overlap]
    assert loader.warm == [False, True, False]
