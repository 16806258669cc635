"""Which ONNX Runtime is installed: exactly one of several distributions that are the same module."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from models.exceptions import ProviderUnavailable

DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
"""The extras cpu and gpu install the first two. The third is there to be measured (`python -m bench providers`): of
what it offers the fleet runs the CPU's provider, which all of them have."""


def installed_runtimes() -> list[str]:
    """Return the distributions that are installed."""
    found = []
    for name in DISTRIBUTIONS:
        try:
            version(name)
        except PackageNotFoundError:
            continue
        found.append(name)
    return found


def the_runtime(installed: Iterable[str]) -> str:
    """Return the one distribution of ONNX Runtime.

    Raises:
        ProviderUnavailable: there is none, or several, of which the later one has overwritten files of the others.
    """
    found = list(installed)
    if len(found) == 1:
        return found[0]
    if not found:
        problem = "ONNX Runtime is not installed: pip install 'deepfake-fleet[cpu]', or [gpu] for a machine with CUDA"
    else:
        problem = (
            f"{' and '.join(found)} are {'both' if len(found) == 2 else 'all'} installed and overwrite each other: "
            f"pip uninstall --yes {' '.join(found)}, then install one of the extras cpu and gpu"
        )
    raise ProviderUnavailable("onnxruntime", "package", problem)
