"""What inference is measured on: this machine's processor, and a GPU where there is one."""

import logging
import shutil
import subprocess
from collections.abc import Mapping

import onnxruntime as ort
from onnx import TensorProto, helper

from models.inference.provider_options import CPU, PROVIDERS
from models.inference.providers import LOG_ERRORS_ONLY

LABELS: Mapping[str, str] = {CPU: "CPU", "cuda": "CUDA", "tensorrt": "TensorRT"}
NOT_MEASURED = "not measured"
"""All that is said of a device that is not there."""

_log = logging.getLogger(__name__)


class NoDevice(Exception):
    """There is no GPU to measure on."""


def gpu_providers() -> tuple[str, ...]:
    """Return the providers that run on a GPU of this machine.

    Raises:
        NoDevice: none does.
    """
    wanted = [name for name in LABELS if name != CPU and name in PROVIDERS]
    found = tuple(name for name in wanted if _runs(PROVIDERS[name]))
    if not found:
        offered = ", ".join(ort.get_available_providers())
        raise NoDevice(
            f"no CUDA device runs anything here: the installed ONNX Runtime {ort.__version__} offers {offered}. "
            "On a machine with an NVIDIA GPU, install the extra gpu in place of cpu"
        )
    return found


def gpu_name() -> str | None:
    """Return what the driver calls the first GPU, and the driver's version; None where there is no driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.splitlines()
    return ", driver ".join(part.strip() for part in said[0].split(",")) if said else None


def _runs(provider: str) -> bool:
    """Whether a session opens on a provider; ONNX Runtime falls back to the CPU where its libraries do not load."""
    if provider not in ort.get_available_providers():
        return False
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "probe", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.log_severity_level = LOG_ERRORS_ONLY + 1
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=[provider])
    except Exception as error:  # noqa: BLE001  (ONNX Runtime's errors have no common type)
        _log.info("%s does not open: %s", provider, error)
        return False
    return bool(session.get_providers()[0] == provider)
