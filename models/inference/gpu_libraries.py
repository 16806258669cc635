"""What a GPU needs to run models: a driver, a device, CUDA, cuDNN and TensorRT, the latter from their wheels."""

import contextlib
import ctypes
import functools
import importlib
import io
import re
from collections.abc import Callable

_DRIVER = "libcuda.so.1"
_TENSORRT = ("tensorrt_libs", "tensorrt")
"""Modules that load TensorRT's libraries when they are imported: of its wheels, the smaller one first."""
_NVINFER = ("libnvinfer.so.10", "libnvinfer.so.11")
_MISSING = re.compile(r"Failed to load (\S+?):")


@functools.cache
def cuda_obstacle() -> str:
    """Load CUDA's libraries, once; return what stands in the way of using it, or nothing.

    ONNX Runtime finds libraries that are loaded already by their names, wherever they lie. It is not asked in vain: it
    would fill the log with each model anew, and run it on a CPU without saying so.
    """
    import onnxruntime as ort  # noqa: PLC0415  (`models.inference.providers` says where it is missing)

    return obstacle_of_cuda(ctypes.CDLL, ort.preload_dlls)


def obstacle_of_cuda(load: Callable[[str], ctypes.CDLL], preload: Callable[[], None]) -> str:
    """Return what stands in the way of CUDA, or nothing.

    Args:
        load: loads a library by its name, or raises OSError.
        preload: loads CUDA and cuDNN, and prints what it could not.
    """
    try:
        driver = load(_DRIVER)
    except OSError:
        return f"no NVIDIA driver: {_DRIVER} does not load"
    devices = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(devices)) != 0 or devices.value == 0:
        return "the NVIDIA driver shows no device"
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        preload()
    missing = _MISSING.findall(said.getvalue())
    return f"{', '.join(missing)} do not load: pip install 'deepfake-fleet[gpu]'" if missing else ""


@functools.cache
def tensorrt_obstacle() -> str:
    """Load TensorRT's libraries, once; return what stands in the way of using it, or nothing."""
    if obstacle := cuda_obstacle():
        return obstacle
    for name in _TENSORRT:
        with contextlib.suppress(ImportError, OSError):
            importlib.import_module(name)
            break
    for name in _NVINFER:
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return ""
    return f"{_NVINFER[0]} does not load: pip install 'deepfake-fleet[tensorrt]'"
