import pytest

from agents.placement import DevicesInvalid, Machine, Place, places
from models.inference.devices import Cause, Device, Devices, Missing

WHOLE = Device(0, None, "GPU-8932f937-d72c", "NVIDIA H100 80GB HBM3", 80 << 30)
OTHER = Device(2, None, "GPU-89aaaaaa-0000", "NVIDIA L4", 24 << 30)
FIRST = Device(1, 0, "MIG-aaa", "NVIDIA A100-SXM4-40GB", 20 << 30, "3g.20gb")
SECOND = Device(1, 2, "MIG-ccc", "NVIDIA A100-SXM4-40GB", 20 << 30, "3g.20gb")
ALL = (WHOLE, FIRST, SECOND, OTHER)


def machine(
    *found: Device,
    missing: tuple[Missing, ...] = (),
    cpus: int = 8,
    runs_cuda: bool = True,
    provider: str = "auto",
    threads: int = 0,
    visible: str | None = None,
) -> Machine:
    return Machine(lambda: Devices(found, missing), cpus, runs_cuda, provider, threads, visible)


def labels(asked: str, there: Machine) -> list[str]:
    return [place.label for place in places(asked, there).each]


def refused(asked: str, there: Machine) -> str:
    with pytest.raises(DevicesInvalid) as error:
        places(asked, there)
    return str(error.value)


def no_nvml() -> Devices:
    raise AssertionError("NVML was asked")


class TestAuto:
    def test_each_gpu_and_each_slice_has_a_worker(self) -> None:
        chosen = places("auto", machine(*ALL))
        assert [place.label for place in chosen.each] == ["GPU-0", "GPU-1:0", "GPU-1:2", "GPU-2"]
        assert chosen.each[1] == Place(
            "GPU-1:0",
            "NVIDIA A100-SXM4-40GB, MIG 3g.20gb, 20 GiB, MIG-aaa",
            {"CUDA_VISIBLE_DEVICES": "MIG-aaa", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
            "MIG-aaa",
        )
        assert chosen.notes == ()

    def test_a_gpu_that_cannot_be_used_is_said(self) -> None:
        lost = Missing(Cause.REFUSED, "GPU 1: GPU is lost")
        assert places("auto", machine(WHOLE, missing=(lost,))).notes == ("left out: GPU 1: GPU is lost",)

    def test_without_a_gpu_there_is_one_worker_on_the_cpu_and_a_reason(self) -> None:
        chosen = places("auto", machine(missing=(Missing(Cause.NO_BINDINGS, "nvidia-ml-py is not installed"),)))
        (place,) = chosen.each
        assert place.label == "cpu"
        assert place.environment == {"CUDA_VISIBLE_DEVICES": "", "FLEET_MODELS__PROVIDER": "cpu"}
        assert chosen.notes == ("on the CPU, because there is no NVIDIA device: nvidia-ml-py is not installed",)

    @pytest.mark.parametrize(
        ("there", "why"),
        [
            (machine(*ALL, provider="cpu"), "models.provider is cpu"),
            (machine(*ALL, runs_cuda=False), "the installed ONNX Runtime is the one for the CPU"),
            (machine(*ALL, visible=""), "CUDA_VISIBLE_DEVICES='' hides every GPU"),
        ],
    )
    def test_gpus_that_must_not_or_cannot_be_used_are_left_alone(self, there: Machine, why: str) -> None:
        chosen = places("auto", there)
        assert [place.label for place in chosen.each] == ["cpu"]
        assert why in chosen.notes[0]

    def test_a_provider_that_needs_a_gpu_is_not_overruled(self) -> None:
        assert refused("auto", machine(provider="cuda", missing=(Missing(Cause.NO_GPU, "NVML sees no GPU"),))) == (
            "models.provider is cuda, and there is no NVIDIA device: NVML sees no GPU"
        )

    @pytest.mark.parametrize(
        ("visible", "expected"),
        [
            ("2,0", ["GPU-2", "GPU-0"]),
            ("GPU-8932", ["GPU-0"]),
            ("1", ["GPU-1:0", "GPU-1:2"]),
            ("MIG-ccc", ["GPU-1:2"]),
            ("0,-1,2", ["GPU-0"]),
        ],
    )
    def test_cuda_visible_devices_limits_it_as_it_limits_cuda(self, visible: str, expected: list[str]) -> None:
        assert labels("auto", machine(*ALL, visible=visible)) == expected


class TestList:
    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ("0", ["GPU-0"]),
            ("2, 0", ["GPU-2", "GPU-0"]),
            ("1", ["GPU-1:0", "GPU-1:2"]),
            ("1:2", ["GPU-1:2"]),
            ("MIG-aaa,GPU-8932", ["GPU-1:0", "GPU-0"]),
            ("0,cpu:2", ["GPU-0", "cpu-1", "cpu-2"]),
        ],
    )
    def test_devices_are_named_by_number_slice_or_uuid(self, asked: str, expected: list[str]) -> None:
        assert labels(asked, machine(*ALL)) == expected

    def test_a_list_overrides_cuda_visible_devices(self) -> None:
        assert labels("0", machine(*ALL, visible="2")) == ["GPU-0"]

    def test_workers_on_the_cpu_share_its_quota_and_nvml_is_not_asked(self) -> None:
        there = Machine(no_nvml, cpus=7, runs_cuda=False)
        chosen = places("cpu:3", there).each
        assert [place.environment["FLEET_MODELS__THREADS"] for place in chosen] == ["2", "2", "2"]
        assert {place.environment["CUDA_VISIBLE_DEVICES"] for place in chosen} == {""}
        assert "FLEET_MODELS__THREADS" not in places("cpu", there).each[0].environment

    def test_threads_that_are_set_stay(self) -> None:
        there = Machine(no_nvml, cpus=8, runs_cuda=False, threads=3)
        assert all("FLEET_MODELS__THREADS" not in place.environment for place in places("cpu:4", there).each)

    @pytest.mark.parametrize(
        ("asked", "there", "why"),
        [
            ("3", machine(*ALL), "no device 3; NVIDIA devices here: GPU-0, GPU-1:0, GPU-1:2, GPU-2"),
            ("GPU-89", machine(*ALL), "there is no device GPU-89"),
            ("0:0", machine(*ALL), "there is no device 0:0"),
            (
                "0",
                machine(missing=(Missing(Cause.NO_DRIVER, "NVML does not start: x"),)),
                "none; NVML does not start: x",
            ),
            ("0,GPU-8932f937-d72c", machine(*ALL), "GPU-0: named twice"),
            ("cpu,cpu", machine(), "cpu: named twice"),
            ("cpu:0", machine(), "'cpu:0' is no device"),
            ("0,auto", machine(*ALL), "'auto' is no device"),
            ("0,", machine(*ALL), "'' is no device"),
            ("0", machine(*ALL, provider="cpu"), "0 cannot be used, because models.provider is cpu"),
            ("0", machine(*ALL, runs_cuda=False), "0 cannot be used, because the installed ONNX Runtime"),
        ],
    )
    def test_what_is_wrong_is_said(self, asked: str, there: Machine, why: str) -> None:
        assert why in refused(asked, there)
