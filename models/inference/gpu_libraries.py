"""CUDA, cuDNN and TensorRT from their wheels, loaded before ONNX Runtime looks for them."""

import contextlib
import functools
import importlib
import io

from models.inference.installed import installed_runtimes

_GPU = "onnxruntime-gpu"
_TENSORRT = ("tensorrt_libs", "tensorrt")
"""Modules that load TensorRT's libraries when they are imported: of its wheels, the smaller one first."""


@functools.cache
def load_gpu_libraries() -> str:
    """Load what is there of them, once; return what did not load, in words, or nothing.

    ONNX Runtime finds libraries that are loaded already by their names, wherever they lie. Without the distribution for
    GPUs nothing is done.
    """
    if installed_runtimes() != [_GPU]:
        return ""
    import onnxruntime as ort  # noqa: PLC0415  (this module is imported without it, too)

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        ort.preload_dlls()
    for name in _TENSORRT:
        with contextlib.suppress(ImportError, OSError):
            importlib.import_module(name)
            break
    return " ".join(said.getvalue().split())
