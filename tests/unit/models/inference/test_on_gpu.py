"""The fleet's models on a real GPU; skipped where there is none."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from models.graph import prepare
from models.inference.engines import EngineCache, read_gpu_facts
from models.inference.gpu_libraries import cuda_obstacle, tensorrt_obstacle
from models.inference.meter import MachineMeter
from models.inference.provider_options import CPU, CUDA, TENSORRT, GpuUse
from models.inference.session import Session
from models.loading import Detector, Loader, LoadOptions
from models.manifest import Entry, Manifest, Role
from models.sources import default_cache, resolve
from tests.support.tiny_models import SIZE, constant, entry, save, write_brightness

MIB = 1 << 20
MANIFEST = Manifest.load()
ON_CUDA = [each for each in MANIFEST.entries if CUDA in each.providers]
DETECTORS = [each for each in ON_CUDA if each.role is not Role.FACES]


def _obstacle() -> str:
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return "the installed onnxruntime is not for GPUs"
    return cuda_obstacle()


pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(bool(_obstacle()), reason=f"no CUDA device: {_obstacle()}"),
]


def named(each: Entry) -> str:
    return each.name


def graph_of(model: Entry) -> Path:
    return prepare(model, resolve(model, default_cache()), default_cache())


@pytest.mark.parametrize("model", ON_CUDA, ids=named)
def test_golden_vectors_are_repeated_on_cuda(model: Entry) -> None:
    opened = Loader(MANIFEST, LoadOptions(cache=default_cache(), provider=CUDA)).exactly(model)
    assert opened.provider == CUDA
    opened.close()


@pytest.mark.parametrize("model", DETECTORS, ids=named)
def test_crops_get_the_scores_that_a_cpu_gives_them(model: Entry) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (21, model.input.size or 0, model.input.size or 0, 3), np.uint8)
    on_cpu, on_gpu = (Session(model, graph_of(model), provider=provider) for provider in (CPU, CUDA))
    expected = on_cpu.answer(crops)
    for _ in range(4):  # The second run of a bucket is captured as a CUDA graph, later ones replay it.
        np.testing.assert_allclose(on_gpu.answer(crops), expected, atol=0.02)


def test_a_full_gpu_is_got_along_with_in_smaller_batches(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Tile", ["image", "often"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["mean", "middle"], ["answer"]),
    ]
    often = numpy_helper.from_array(np.array([1, 1, 48, 48]), "often")
    path = tmp_path / "tiny.onnx"
    digest = save(path, nodes, [often, constant("middle", 0.5)], image=["N", 3, SIZE, SIZE], answer=["N"])
    model = entry(path=tmp_path / "tiny.onnx", sha256=digest, buckets=[1, 4, 16])
    graph = prepare(model, tmp_path / "tiny.onnx", tmp_path / "cache")
    session = Session(model, graph, provider=CUDA, warm_up=False, use=GpuUse(memory_bytes=300 * MIB))
    white = np.full((16, SIZE, SIZE, 3), 255, np.uint8)
    np.testing.assert_allclose(session.run(white), 0.5, atol=1e-3)
    assert session.limit.failures > 0
    assert session.limit.largest < 16


def test_a_loaded_model_takes_memory_that_the_meter_sees() -> None:
    before = MachineMeter().free(CUDA)
    opened = Loader(MANIFEST, LoadOptions(cache=default_cache(), provider=CUDA)).exactly(DETECTORS[0])
    after = MachineMeter().free(CUDA)
    opened.close()
    assert before is not None
    assert after is not None
    assert after < before


@pytest.mark.skipif(bool(_obstacle() or tensorrt_obstacle()), reason="no TensorRT")
def test_a_tensorrt_engine_is_built_once(tmp_path: Path) -> None:
    digest = write_brightness(tmp_path / "tiny.onnx")
    model = entry(path=tmp_path / "tiny.onnx", sha256=digest)
    graph = prepare(model, tmp_path / "tiny.onnx", tmp_path / "cache")
    facts = read_gpu_facts()
    assert facts is not None
    warm = []
    for _ in range(2):
        with EngineCache(tmp_path / "engines", facts).folder(model, graph) as engines:
            warm.append(engines.warm)
            session = Session(model, graph, provider=TENSORRT, use=GpuUse(engines=engines.path, graphs=True))
            np.testing.assert_allclose(session.run(np.full((3, SIZE, SIZE, 3), 255, np.uint8)), 10.0, atol=0.05)
    assert warm == [False, True]


def test_a_set_of_detectors_prefers_the_gpu() -> None:
    placed = Loader(MANIFEST, LoadOptions(cache=default_cache())).placed(MANIFEST.entry("blend_primary"))
    assert isinstance(placed.opened, Detector)
    assert placed.opened.provider in {CUDA, TENSORRT}
    assert placed.opened.entry.name == "blend_primary_fp32"
    placed.opened.close()
