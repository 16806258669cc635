"""How much memory is left: of this machine or container, and of a GPU."""

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from models.inference.cpus import CGROUP
from models.inference.provider_options import CPU

MEMINFO = Path("/proc/meminfo")
_KIB = 1024


class MemoryMeter(Protocol):
    """Reads how much memory is left where a provider runs, and how busy that device is."""

    def free(self, provider: str) -> int | None:
        """Return the bytes that are free for models on `provider`; None where it cannot be known."""

    def busy(self, provider: str) -> float | None:
        """Return the share of its time, 0 to 1, that a GPU is busy; None of a CPU, or where it cannot be known."""


@dataclass(frozen=True, slots=True)
class MachineMeter:
    """The real one.

    On the CPU it is what the kernel says can be had without swapping (`MemAvailable` of proc_meminfo(5)), or what the
    container's limit leaves (cgroup v2, `memory.max` less `memory.current`, where the page cache that can be let go
    counts as free). On a GPU it is what NVML says of the first device that this process sees.

    Attributes:
        meminfo: the kernel's file.
        cgroup: the folder of this process's control group.
    """

    meminfo: Path = MEMINFO
    cgroup: Path = CGROUP

    def free(self, provider: str) -> int | None:
        """Return the free bytes, see `MemoryMeter`."""
        if provider != CPU:
            nvml = _nvml()
            return None if nvml is None else free_by_nvml(nvml)
        known = [each for each in (self._available(), self._left_by_limit()) if each is not None]
        return min(known, default=None)

    def busy(self, provider: str) -> float | None:
        """Return how busy a GPU is, see `MemoryMeter`."""
        nvml = None if provider == CPU else _nvml()
        return None if nvml is None else busy_by_nvml(nvml)

    def _available(self) -> int | None:
        try:
            fields = dict(line.split(":", 1) for line in self.meminfo.read_text().splitlines() if ":" in line)
            return int(fields["MemAvailable"].split()[0]) * _KIB
        except (OSError, KeyError, ValueError):
            return None

    def _left_by_limit(self) -> int | None:
        try:
            limit = (self.cgroup / "memory.max").read_text().strip()
            used = int((self.cgroup / "memory.current").read_text())
            lines = (self.cgroup / "memory.stat").read_text().splitlines()
            if limit == "max":
                return None
            inactive = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
            return max(0, int(limit) - max(0, used - inactive))
        except (OSError, ValueError, StopIteration):
            return None


def _nvml() -> Any:
    """The module `pynvml`, of the package nvidia-ml-py, which has no types; None where it is not installed."""
    try:
        return import_module("pynvml")
    except ImportError:
        return None


def free_by_nvml(nvml: Any, visible: str | None = None) -> int | None:
    """Return the free bytes of the first device that CUDA shows to this process; None where NVML cannot say.

    Args:
        nvml: the module `pynvml`, of the package nvidia-ml-py.
        visible: see `visible_device`.
    """
    try:
        nvml.nvmlInit()
        return int(nvml.nvmlDeviceGetMemoryInfo(visible_device(nvml, visible)).free)
    except nvml.NVMLError:
        return None


def busy_by_nvml(nvml: Any, visible: str | None = None) -> float | None:
    """Return the share of the last moment in which the first visible device ran something; see `free_by_nvml`.

    A MIG slice has no such figure.
    """
    try:
        nvml.nvmlInit()
        return float(nvml.nvmlDeviceGetUtilizationRates(visible_device(nvml, visible)).gpu) / 100
    except nvml.NVMLError:
        return None


def visible_device(nvml: Any, visible: str | None = None) -> Any:
    """Return NVML's handle of the first device that CUDA shows to this process; what NVML raises is not caught.

    Args:
        nvml: the module `pynvml`, started.
        visible: CUDA_VISIBLE_DEVICES, by default the environment's: indices or UUIDs, of which the first counts;
            without it device 0.
    """
    first = (os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible) or "0"
    first = first.split(",")[0].strip()
    if first.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(first))
    return nvml.nvmlDeviceGetHandleByUUID(first)
