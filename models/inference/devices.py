"""Which NVIDIA GPUs and MIG slices this machine has, by NVML."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Protocol, cast

_MIG_ON = 1  # NVML_DEVICE_MIG_ENABLE
_MIG_IN_NAME = " MIG "


class MemoryInfo(Protocol):
    """`nvmlMemory_t`, as far as it is used."""

    @property
    def total(self) -> int:
        """Bytes."""


class Nvml(Protocol):
    """The part of the module `pynvml` (nvidia-ml-py) that is used. Handles are opaque.

    https://docs.nvidia.com/deploy/nvml-api/
    """

    @property
    def NVMLError(self) -> type[Exception]:  # noqa: N802  (NVML's names)
        """What every function raises, and the base of the following."""

    @property
    def NVMLError_NotFound(self) -> type[Exception]:  # noqa: N802
        """There is no slice with that index."""

    @property
    def NVMLError_NotSupported(self) -> type[Exception]:  # noqa: N802
        """The GPU has no MIG."""

    @property
    def NVMLError_FunctionNotFound(self) -> type[Exception]:  # noqa: N802
        """The driver is older than MIG."""

    def nvmlInit(self) -> None:  # noqa: N802
        """Load the driver's library."""

    def nvmlShutdown(self) -> None:  # noqa: N802
        """Let go of it."""

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """Count the GPUs."""

    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> object:  # noqa: N802
        """Return a GPU; they are ordered by PCI bus id."""

    def nvmlDeviceGetMigMode(self, device: object, /) -> list[int]:  # noqa: N802
        """Return the current MIG mode, and the one after the next reset."""

    def nvmlDeviceGetMaxMigDeviceCount(self, device: object, /) -> int:  # noqa: N802
        """Return how many slices there can be, however many there are."""

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: object, index: int, /) -> object:  # noqa: N802
        """Return a slice."""

    def nvmlDeviceGetUUID(self, device: object, /) -> str:  # noqa: N802
        """Return the UUID of a GPU or slice, which CUDA_VISIBLE_DEVICES takes."""

    def nvmlDeviceGetName(self, device: object, /) -> str:  # noqa: N802
        """Return its name; a slice's ends with its profile."""

    def nvmlDeviceGetMemoryInfo(self, device: object, /) -> MemoryInfo:  # noqa: N802
        """Return its memory."""


class Cause(StrEnum):
    """Why a device, or every device, is not there."""

    NO_BINDINGS = "no_bindings"
    NO_DRIVER = "no_driver"
    NO_GPU = "no_gpu"
    NO_SLICE = "no_slice"
    REFUSED = "refused"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Missing:
    """A device that cannot be used, or why there is none."""

    cause: Cause
    detail: str

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or where MIG is on one slice of a GPU: what one CUDA process can use.

    A process sees a single MIG slice, whichever are named to it
    (https://docs.nvidia.com/datacenter/tesla/mig-user-guide/mig-device-names.html).
    """

    gpu: int
    """Number of the GPU by PCI bus id, as `nvidia-smi` counts."""
    slice: int | None
    """Number of the slice within its GPU, or None for a whole GPU."""
    uuid: str
    """`GPU-…` or `MIG-…`."""
    name: str
    """Of the product, without the profile."""
    memory_bytes: int
    profile: str = ""
    """Of a slice, such as `1g.5gb`."""


@dataclass(frozen=True, slots=True)
class Devices:
    """What was found, and what was not."""

    found: tuple[Device, ...]
    missing: tuple[Missing, ...] = ()


def nvml() -> Nvml | None:
    """Return the bindings, or None where nvidia-ml-py is not installed."""
    try:
        return cast("Nvml", import_module("pynvml"))
    except ImportError:
        return None


def list_devices(bindings: Callable[[], Nvml | None] = nvml) -> Devices:
    """Return every GPU and slice that can be asked, each failure of NVML beside them. Raises nothing of NVML's.

    CUDA_VISIBLE_DEVICES is no matter of NVML's: all are listed.
    """
    library = bindings()
    if library is None:
        return Devices((), (Missing(Cause.NO_BINDINGS, "nvidia-ml-py is not installed"),))
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        return Devices((), (Missing(Cause.NO_DRIVER, f"NVML does not start: {error}"),))
    try:
        count = library.nvmlDeviceGetCount()
        results = [result for gpu in range(count) for result in _devices_of(library, gpu)]
    except library.NVMLError as error:
        return Devices((), (Missing(Cause.REFUSED, f"NVML counts no GPUs: {error}"),))
    finally:
        library.nvmlShutdown()
    if count == 0:
        results.append(Missing(Cause.NO_GPU, "NVML sees no GPU"))
    return Devices(
        tuple(result for result in results if isinstance(result, Device)),
        tuple(result for result in results if isinstance(result, Missing)),
    )


def list_devices_within(timeout_s: float, listing: Callable[[], Devices] = list_devices) -> Devices:
    """Return what `list_devices` does, or nothing and why where NVML has not answered in time.

    The driver may hold a process that asks about a broken GPU for good, and its signals with it: so not this thread.
    """
    answer: SimpleQueue[Devices] = SimpleQueue()
    threading.Thread(target=lambda: answer.put(listing()), name="nvml", daemon=True).start()
    try:
        return answer.get(timeout=timeout_s)
    except Empty:
        return Devices((), (Missing(Cause.SILENT, f"NVML has not answered within {timeout_s:g} s"),))


def _devices_of(library: Nvml, gpu: int) -> Iterator[Device | Missing]:
    """Yield a GPU, or its slices. A GPU that has fallen off the bus fails here, and only here."""
    try:
        handle = library.nvmlDeviceGetHandleByIndex(gpu)
        if not _has_mig_on(library, handle):
            yield _device(library, handle, gpu, None)
            return
        slices = list(_slices(library, handle, gpu))
    except library.NVMLError as error:
        yield Missing(Cause.REFUSED, f"GPU {gpu}: {error}")
        return
    if slices:
        yield from slices
    else:
        yield Missing(Cause.NO_SLICE, f"GPU {gpu} is in MIG mode and has no slice with a compute instance")


def _has_mig_on(library: Nvml, handle: object) -> bool:
    try:
        return library.nvmlDeviceGetMigMode(handle)[0] == _MIG_ON
    except (library.NVMLError_NotSupported, library.NVMLError_FunctionNotFound):
        return False


def _slices(library: Nvml, handle: object, gpu: int) -> Iterator[Device]:
    for index in range(library.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            part = library.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except library.NVMLError_NotFound:
            continue
        yield _device(library, part, gpu, index)


def _device(library: Nvml, handle: object, gpu: int, index: int | None) -> Device:
    name, _, profile = library.nvmlDeviceGetName(handle).partition(_MIG_IN_NAME)
    memory = library.nvmlDeviceGetMemoryInfo(handle).total
    return Device(gpu, index, library.nvmlDeviceGetUUID(handle), name, memory, profile)
