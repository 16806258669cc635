"""What ONNX Runtime's providers are told. Pure.

Names and meanings: https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html and
https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.manifest import Entry, Precision

Options = Mapping[str, str]
Provider = tuple[str, Options]
"""ONNX Runtime's name of a provider, and what it is told."""

TENSORRT, CUDA, CPU = "tensorrt", "cuda", "cpu"
PROVIDERS: Mapping[str, str] = {
    TENSORRT: "TensorrtExecutionProvider",
    CUDA: "CUDAExecutionProvider",
    CPU: "CPUExecutionProvider",
}
"""Fastest first; `auto` takes the first that opens."""
_WORKSPACE_BYTES = 1 << 30
"""What TensorRT may use while it tries kernels out."""


@dataclass(frozen=True, slots=True)
class GpuUse:
    """How a GPU is used.

    Attributes:
        memory_bytes: the most that CUDA's arena may take for one session; 0 sets no limit.
        engines: folder of the TensorRT engines of the graph that is opened; without it none are kept.
        graphs: whether runs are captured as CUDA graphs: for fixed shapes and addresses.
    """

    memory_bytes: int = 0
    engines: Path | None = None
    graphs: bool = False


PLAIN = GpuUse()
"""No limit, nothing kept, nothing captured."""
CAPTURED = GpuUse(graphs=True)


def providers_for(provider: str, entry: Entry, image: str, use: GpuUse) -> Sequence[Provider]:
    """Return a provider with its options, and after it those that take the nodes which it does not.

    Args:
        provider: `tensorrt`, `cuda` or `cpu`.
        entry: what is opened.
        image: name of the graph's input.
        use: how a GPU is used.
    """
    if provider == CPU:
        return [(PROVIDERS[CPU], {})]
    cuda = (PROVIDERS[CUDA], cuda_options(entry, use, graphs=use.graphs and provider == CUDA))
    if provider == CUDA:
        return [cuda, (PROVIDERS[CPU], {})]
    return [(PROVIDERS[TENSORRT], tensorrt_options(entry, image, use)), cuda, (PROVIDERS[CPU], {})]


def cuda_options(entry: Entry, use: GpuUse, *, graphs: bool) -> Options:
    """Return the options of CUDA: a process sees one device (CUDA_VISIBLE_DEVICES), and takes no more than it needs."""
    options = {
        "device_id": "0",
        # Powers of two, the default, would take up to twice what was measured.
        "arena_extend_strategy": "kSameAsRequested",
        # Exhaustive search would be repeated for every size of frame.
        "cudnn_conv_algo_search": "HEURISTIC",
        "enable_cuda_graph": _flag(graphs),
        # TF32, the default, keeps ten bits of a factor: not fp32's answers.
        "use_tf32": _flag(entry.precision is not Precision.FP32),
    }
    return options | ({"gpu_mem_limit": str(use.memory_bytes)} if use.memory_bytes else {})


def tensorrt_options(entry: Entry, image: str, use: GpuUse) -> Options:
    """Return the options of TensorRT: one engine for all batch sizes of an entry, kept where `use` says."""
    options = {
        "device_id": "0",
        "trt_fp16_enable": _flag(entry.precision in {Precision.FP16, Precision.INT8}),
        "trt_int8_enable": _flag(entry.precision is Precision.INT8),
        "trt_max_workspace_size": str(min(_WORKSPACE_BYTES, use.memory_bytes or _WORKSPACE_BYTES)),
        "trt_cuda_graph_enable": _flag(use.graphs),
    }
    side = entry.input.size
    for name, batch in (("min", entry.buckets[0]), ("opt", entry.buckets[-1]), ("max", entry.buckets[-1])):
        options[f"trt_profile_{name}_shapes"] = f"{image}:{batch}x{side}x{side}x3"
    if use.engines is not None:
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(use.engines),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(use.engines),
        }
    return options


def _flag(on: bool) -> str:
    return "1" if on else "0"
