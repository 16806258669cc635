"""What providers are told."""

from pathlib import Path

import pytest

from models.exceptions import ProviderUnavailable
from models.inference.provider_options import PLAIN, GpuUse, providers_for
from models.inference.providers import require_usable, tried
from models.manifest import Entry, Manifest, Precision
from tests.support.tiny_models import SIZE, entry

MIB = 1 << 20


def model(**fields: object) -> Entry:
    return entry(path=Path("tiny.onnx"), sha256="0" * 64, buckets=[1, 4, 16], **fields)


def told(provider: str, use: GpuUse = PLAIN, **fields: object) -> dict[str, dict[str, str]]:
    return {name: dict(options) for name, options in providers_for(provider, model(**fields), "images", use)}


def test_the_fastest_come_first_and_take_what_they_can() -> None:
    assert list(told("tensorrt")) == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert list(told("cuda")) == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert told("cpu") == {"CPUExecutionProvider": {}}


def test_cuda_takes_no_more_memory_than_asked_for() -> None:
    options = told("cuda", GpuUse(memory_bytes=700 * MIB))["CUDAExecutionProvider"]
    assert options["arena_extend_strategy"] == "kSameAsRequested"
    assert options["gpu_mem_limit"] == str(700 * MIB)
    assert "gpu_mem_limit" not in told("cuda")["CUDAExecutionProvider"]


def test_runs_are_captured_by_the_provider_that_has_the_graph() -> None:
    use = GpuUse(graphs=True)
    assert told("cuda", use)["CUDAExecutionProvider"]["enable_cuda_graph"] == "1"
    both = told("tensorrt", use)
    assert both["TensorrtExecutionProvider"]["trt_cuda_graph_enable"] == "1"
    assert both["CUDAExecutionProvider"]["enable_cuda_graph"] == "0"
    assert told("cuda")["CUDAExecutionProvider"]["enable_cuda_graph"] == "0"


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", "0"), ("fp16", "1"), ("int8", "1")])
def test_cuda_rounds_factors_only_where_the_manifest_allows_less_than_fp32(precision: str, tf32: str) -> None:
    assert told("cuda", precision=precision)["CUDAExecutionProvider"]["use_tf32"] == tf32


@pytest.mark.parametrize(("precision", "fp16", "int8"), [("fp32", "0", "0"), ("fp16", "1", "0"), ("int8", "1", "1")])
def test_tensorrt_computes_in_the_numbers_that_the_manifest_allows(precision: str, fp16: str, int8: str) -> None:
    options = told("tensorrt", precision=precision)["TensorrtExecutionProvider"]
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == (fp16, int8)


def test_one_engine_serves_all_batch_sizes_and_is_kept_where_it_is_told() -> None:
    options = told("tensorrt", GpuUse(engines=Path("/engines/tiny")))["TensorrtExecutionProvider"]
    assert options["trt_profile_min_shapes"] == f"images:1x{SIZE}x{SIZE}x3"
    assert options["trt_profile_opt_shapes"] == options["trt_profile_max_shapes"] == f"images:16x{SIZE}x{SIZE}x3"
    assert (options["trt_engine_cache_enable"], options["trt_engine_cache_path"]) == ("1", "/engines/tiny")
    assert (options["trt_timing_cache_enable"], options["trt_timing_cache_path"]) == ("1", "/engines/tiny")
    assert "trt_engine_cache_enable" not in told("tensorrt")["TensorrtExecutionProvider"]


def test_a_provider_that_the_manifest_forbids_is_not_tried() -> None:
    with pytest.raises(ProviderUnavailable, match="tiny: providers: forbidden by the manifest"):
        require_usable(model(providers=["cuda"]), "cpu")
    require_usable(model(providers=["cpu"]), "cpu")


def test_an_engine_is_not_built_for_every_size_of_frame() -> None:
    faces = Manifest.load().entry("centerface")
    with pytest.raises(ProviderUnavailable, match="an engine for every size of frame"):
        require_usable(faces, "tensorrt")


def test_a_setting_allows_all_or_one() -> None:
    assert tried("auto", [model()]) == ("tensorrt", "cuda", "cpu")
    assert tried("cuda", [model()]) == ("cuda",)
    with pytest.raises(ProviderUnavailable, match="abacus is none of auto, tensorrt, cuda, cpu"):
        tried("abacus", [model()])


def test_what_the_manifest_keeps_from_the_provider_asked_for_runs_on_the_next() -> None:
    quantised = model(providers=["cpu"])
    assert tried("cuda", [quantised]) == ("cuda", "cpu")
    assert tried("cuda", [quantised, model()]) == ("cuda",), "its twin runs there"
    assert tried("tensorrt", [Manifest.load().entry("centerface")]) == ("tensorrt", "cuda")


def test_quantised_models_of_the_fleet_run_on_cpus_and_their_networks_on_gpus() -> None:
    manifest = Manifest.load()
    for name in ("blend_primary", "blend_screen"):
        assert manifest.entry(name).providers == ("cpu",)
        twin = manifest.for_gpu(manifest.entry(name))
        assert twin.name == f"{name}_fp32"
        assert (twin.input.size, twin.precision) == (manifest.entry(name).input.size, Precision.FP32)
        assert set(twin.providers) == {"tensorrt", "cuda", "cpu"}
