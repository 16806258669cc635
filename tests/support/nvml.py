"""A machine's GPUs as NVML tells of them, by script."""

from collections.abc import Sequence
from dataclasses import dataclass, field


class ScriptedError(Exception):
    """NVMLError."""


class NotFound(ScriptedError):
    """NVMLError_NotFound."""


class NotSupported(ScriptedError):
    """NVMLError_NotSupported."""


class FunctionNotFound(ScriptedError):
    """NVMLError_FunctionNotFound."""


@dataclass(frozen=True)
class Memory:
    total: int


@dataclass(frozen=True)
class Scripted:
    """A GPU or slice."""

    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    memory_gib: int = 80
    slices: "dict[int, Scripted] | None" = None
    """By index; None where MIG is off."""
    mig_error: Exception | None = None
    fallen_off: bool = False


@dataclass
class ScriptedNvml:
    """What `models.inference.devices.Nvml` asks for."""

    gpus: Sequence[Scripted] = ()
    start_error: Exception | None = None
    open: int = field(default=0)

    NVMLError = ScriptedError
    NVMLError_NotFound = NotFound
    NVMLError_NotSupported = NotSupported
    NVMLError_FunctionNotFound = FunctionNotFound

    def nvmlInit(self) -> None:  # noqa: N802
        if self.start_error is not None:
            raise self.start_error
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:  # noqa: N802
        if self.gpus[index].fallen_off:
            raise ScriptedError("GPU is lost")
        return self.gpus[index]

    def nvmlDeviceGetMigMode(self, device: object) -> list[int]:  # noqa: N802
        assert isinstance(device, Scripted)
        if device.mig_error is not None:
            raise device.mig_error
        return [int(device.slices is not None)] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, device: object) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: object, index: int) -> object:  # noqa: N802
        assert isinstance(device, Scripted)
        assert device.slices is not None
        if index not in device.slices:
            raise NotFound("Not Found")
        return device.slices[index]

    def nvmlDeviceGetUUID(self, device: object) -> str:  # noqa: N802
        assert isinstance(device, Scripted)
        return device.uuid

    def nvmlDeviceGetName(self, device: object) -> str:  # noqa: N802
        assert isinstance(device, Scripted)
        return device.name

    def nvmlDeviceGetMemoryInfo(self, device: object) -> Memory:  # noqa: N802
        assert isinstance(device, Scripted)
        return Memory(device.memory_gib << 30)
