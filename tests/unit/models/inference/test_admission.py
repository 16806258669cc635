"""A model is let in only where its memory is, and comes back when there has been room for a while."""

from pathlib import Path

import pytest

from models.exceptions import NoRoom
from models.inference.admission import CALM_S, MIB, Admission, Return
from models.inference.meter import MachineMeter, busy_by_nvml, free_by_nvml
from models.manifest import Entry
from tests.support.tiny_models import entry


class Scripted:
    """A meter that reads what it is told."""

    def __init__(self, free_mib: float | None) -> None:
        self.free_mib = free_mib

    def free(self, provider: str) -> int | None:
        return None if self.free_mib is None else round(self.free_mib * MIB)

    def busy(self, provider: str) -> float | None:
        return None


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def needing(**needs: float) -> Entry:
    return entry(path=Path("tiny.onnx"), sha256="0" * 64, needs=needs)


def test_need_and_reserve_must_both_be_free() -> None:
    meter = Scripted(500)
    admission = Admission(meter, reserve_bytes=100 * MIB)
    assert admission.require(needing(cuda=400), "cuda") == "400 MiB of 500 MiB free"
    meter.free_mib = 499
    with pytest.raises(NoRoom, match=r"tiny: needs.cuda: needs 400 MiB and 100 MiB in reserve, 499 MiB are free"):
        admission.require(needing(cuda=400), "cuda")


def test_what_is_not_known_refuses_nothing_and_is_said() -> None:
    assert Admission(Scripted(1)).require(needing(cuda=400), "cpu") == "its need on cpu is not measured"
    assert Admission(Scripted(None)).require(needing(cuda=400), "cuda") == "free memory is not known"
    assert Admission(Scripted(None)).ample(needing(cuda=400), "cuda"), "only trying tells"


def test_ample_is_a_tenth_more_than_enough() -> None:
    meter = Scripted(539)
    admission = Admission(meter, reserve_bytes=100 * MIB)
    admission.require(needing(cuda=400), "cuda")
    assert not admission.ample(needing(cuda=400), "cuda")
    meter.free_mib = 540
    assert admission.ample(needing(cuda=400), "cuda")


def test_a_model_comes_back_only_after_room_all_the_while() -> None:
    clock = Clock()
    back = Return(clock)
    assert not back.due(ample=True)
    clock.now += CALM_S - 1
    assert not back.due(ample=True)
    assert not back.due(ample=False), "the wait begins anew"
    assert not back.due(ample=True)
    clock.now += CALM_S
    assert back.due(ample=True)


def test_each_time_in_vain_doubles_the_wait() -> None:
    clock = Clock()
    back = Return(clock)
    for calm_s in (CALM_S, 2 * CALM_S, 4 * CALM_S):
        assert not back.due(ample=True)
        clock.now += calm_s - 1
        assert not back.due(ample=True)
        clock.now += 1
        assert back.due(ample=True)
        back.failed()


def machine(
    folder: Path, *, available_kib: int = 4096, limit: str = "max", used: int = 0, inactive: int = 0
) -> MachineMeter:
    (folder / "meminfo").write_text(f"MemTotal:  9000 kB\nMemAvailable:   {available_kib} kB\n")
    (folder / "memory.max").write_text(limit + "\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\nactive_file 7\n")
    return MachineMeter(folder / "meminfo", folder)


def test_the_machine_says_what_can_be_had_without_swapping(tmp_path: Path) -> None:
    assert machine(tmp_path).free("cpu") == 4 * MIB


def test_a_containers_limit_counts_with_its_droppable_cache_as_free(tmp_path: Path) -> None:
    found = machine(tmp_path, limit=f"{3 * MIB}", used=2 * MIB, inactive=MIB).free("cpu")
    assert found == 2 * MIB


def test_a_machine_that_says_nothing_is_not_known(tmp_path: Path) -> None:
    assert MachineMeter(tmp_path / "gone", tmp_path).free("cpu") is None


def test_this_machine_says_something() -> None:
    free = MachineMeter().free("cpu")
    assert free is not None
    assert free > 0


class Nvml:
    """NVML of a machine with two GPUs."""

    class NVMLError(Exception):
        pass

    class Memory:
        def __init__(self, free: int) -> None:
            self.free = free

    class Rates:
        gpu = 83

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        if index > 1:
            raise self.NVMLError("no such device")
        return f"GPU-{index}"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        return uuid

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> "Nvml.Rates":  # noqa: N802
        if handle.startswith("MIG"):
            raise self.NVMLError("not supported")
        return self.Rates()

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> "Nvml.Memory":  # noqa: N802
        return self.Memory({"GPU-0": 10, "GPU-1": 20, "MIG-a": 5}[handle])


@pytest.mark.parametrize(
    ("visible", "free"), [("0", 10), ("1,0", 20), ("GPU-1", 20), ("MIG-a", 5), ("", 10), ("7", None)]
)
def test_a_gpu_is_the_first_one_that_this_process_sees(visible: str, free: int | None) -> None:
    assert free_by_nvml(Nvml(), visible) == free


@pytest.mark.parametrize(("visible", "busy"), [("0", 0.83), ("MIG-a", None), ("7", None)])
def test_how_busy_a_gpu_is(visible: str, busy: float | None) -> None:
    assert busy_by_nvml(Nvml(), visible) == busy


def test_a_cpu_is_not_asked_how_busy_it_is() -> None:
    assert MachineMeter().busy("cpu") is None
