"""Where scoring workers run: `--devices` to one place for each worker."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from models.inference.devices import Device, Devices

AUTO = "auto"
CPU = "cpu"
_CPU_WORKERS = re.compile(r"cpu(?::([1-9][0-9]?))?")
_BY_NUMBER = re.compile(r"([0-9]+)(?::([0-9]+))?")
_BY_UUID = re.compile(r"(?:GPU|MIG)-\S+")
_GIB = 1 << 30


class DevicesInvalid(Exception):
    """`--devices` names what is not there, or what the settings do not allow."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one worker runs."""

    label: str
    """`GPU-0`, `GPU-0:1` for slice 1 of it, `cpu`, or `cpu-1` of several."""
    words: str
    """What it is, for people."""
    environment: Mapping[str, str]
    """What a worker there needs in its environment."""
    uuid: str = ""
    """Of the GPU or slice; empty for the CPU."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides about places, beside the devices themselves."""

    devices: Callable[[], Devices]
    """Asked only where GPUs matter."""
    cpus: int
    """CPUs of this process, by quota."""
    runs_cuda: bool
    """Whether the installed ONNX Runtime is the one for CUDA."""
    provider: str = AUTO
    """`models.provider`."""
    threads: int = 0
    """`models.threads`."""
    visible: str | None = None
    """CUDA_VISIBLE_DEVICES."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where workers run, and what there is to say about it."""

    each: tuple[Place, ...]
    notes: tuple[str, ...] = field(default=())


def places(asked: str, machine: Machine) -> Places:
    """Return a place for each worker.

    Args:
        asked: `auto`, or a list by commas: GPUs by number (`0`), slices by number (`0:1`), either by UUID, `cpu`, and
            `cpu:N` for N workers that share the CPUs. A GPU in MIG mode stands for all its slices.
        machine: what there is.

    Raises:
        DevicesInvalid: an item means nothing, names what is not there, or what cannot be used.
    """
    return _automatic(machine) if asked.strip() == AUTO else Places(tuple(_listed(asked, machine)))


def _automatic(machine: Machine) -> Places:
    hindrance = _hindrance(machine)
    if hindrance:
        return Places(_on_the_cpu(1, machine), (f"on the CPU, because {hindrance}",))
    devices = machine.devices()
    usable = devices.found if machine.visible is None else _visible(machine.visible, devices.found)
    left_out = tuple(f"left out: {missing}" for missing in devices.missing)
    if usable:
        return Places(tuple(map(_on, usable)), left_out)
    if devices.found:
        why = f"CUDA_VISIBLE_DEVICES={machine.visible!r} hides every GPU"
    else:
        why = f"there is no NVIDIA device: {'; '.join(map(str, devices.missing))}"
    if machine.provider not in {AUTO, CPU}:
        raise DevicesInvalid(f"models.provider is {machine.provider}, and {why}")
    return Places(_on_the_cpu(1, machine), (f"on the CPU, because {why}",))


def _listed(asked: str, machine: Machine) -> list[Place]:
    chosen: list[Place] = []
    found: tuple[Device, ...] | None = None
    for item in (part.strip() for part in asked.split(",")):
        if workers := _CPU_WORKERS.fullmatch(item):
            chosen += _on_the_cpu(int(workers[1] or 1), machine)
            continue
        if not (_BY_NUMBER.fullmatch(item) or _BY_UUID.fullmatch(item)):
            raise DevicesInvalid(
                f"{item!r} is no device: auto alone, or a list such as 0,1 or 0:1 or GPU-8932f937 or cpu:2"
            )
        if hindrance := _hindrance(machine):
            raise DevicesInvalid(f"{item} cannot be used, because {hindrance}")
        if found is None:
            devices = machine.devices()
            found = devices.found
        named = _named(item, found)
        if not named:
            there = ", ".join(_label(device) for device in found) or "none"
            why = "".join(f"; {missing}" for missing in devices.missing)
            raise DevicesInvalid(f"there is no device {item}; NVIDIA devices here: {there}{why}")
        chosen += map(_on, named)
    labels = [place.label for place in chosen]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise DevicesInvalid(f"{', '.join(twice)}: named twice, and a device has one worker")
    return chosen


def _hindrance(machine: Machine) -> str:
    """Why no GPU can be used, whichever there are."""
    if machine.provider == CPU:
        return "models.provider is cpu"
    if not machine.runs_cuda:
        return "the installed ONNX Runtime is the one for the CPU (the extra gpu has the one for CUDA)"
    return ""


def _visible(variable: str, found: Sequence[Device]) -> tuple[Device, ...]:
    """The devices that CUDA_VISIBLE_DEVICES leaves, in its order: CUDA stops at the first item that names none.

    Numbers are taken as under CUDA_DEVICE_ORDER=PCI_BUS_ID
    (https://docs.nvidia.com/cuda/cuda-c-programming-guide/#env-vars).
    """
    left: list[Device] = []
    for item in (part.strip() for part in variable.split(",")):
        named = _named(item, found)
        if not named:
            break
        left += (device for device in named if device not in left)
    return tuple(left)


def _named(item: str, found: Sequence[Device]) -> tuple[Device, ...]:
    """The devices that an item means. As CUDA does, the beginning of a GPU's UUID is enough where only one has it."""
    if number := _BY_NUMBER.fullmatch(item):
        gpu, part = int(number[1]), number[2]
        return tuple(device for device in found if device.gpu == gpu and (part is None or device.slice == int(part)))
    exact = tuple(device for device in found if device.uuid == item)
    begun = tuple(device for device in found if device.slice is None and device.uuid.startswith(item))
    return exact or (begun if len(begun) == 1 and item.startswith("GPU-") else ())


def _label(device: Device) -> str:
    return f"GPU-{device.gpu}" if device.slice is None else f"GPU-{device.gpu}:{device.slice}"


def _on(device: Device) -> Place:
    profile = f", MIG {device.profile or 'slice'}" if device.slice is not None else ""
    words = f"{device.name}{profile}, {device.memory_bytes / _GIB:.0f} GiB, {device.uuid}"
    # By UUID, so that what the worker sees does not depend on how CUDA counts; the order is for what it logs.
    environment = {"CUDA_VISIBLE_DEVICES": device.uuid, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return Place(_label(device), words, environment, device.uuid)


def _on_the_cpu(workers: int, machine: Machine) -> tuple[Place, ...]:
    environment = {"CUDA_VISIBLE_DEVICES": "", "FLEET_MODELS__PROVIDER": CPU}
    threads = machine.threads or max(1, machine.cpus // workers)
    if workers > 1 and not machine.threads:
        environment["FLEET_MODELS__THREADS"] = str(threads)
    words = f"the CPU, {threads} {'thread' if threads == 1 else 'threads'} an inference session"
    if workers == 1:
        return (Place(CPU, words, environment),)
    return tuple(Place(f"{CPU}-{number}", words, environment) for number in range(1, workers + 1))
