from threading import Event

from models.inference.devices import Cause, Device, Devices, Missing, list_devices, list_devices_within
from tests.support.nvml import FunctionNotFound, NotSupported, Scripted, ScriptedError, ScriptedNvml

A100 = "NVIDIA A100-SXM4-40GB"
SLICES = {
    0: Scripted("MIG-aaa", f"{A100} MIG 3g.20gb", 20),
    2: Scripted("MIG-ccc", f"{A100} MIG 1c.3g.20gb", 20),
}


def test_every_gpu_is_a_device_and_of_one_in_mig_mode_every_slice() -> None:
    nvml = ScriptedNvml([Scripted("GPU-0a"), Scripted("GPU-1b", A100, 40, SLICES)])
    devices = list_devices(lambda: nvml)
    assert devices.found == (
        Device(0, None, "GPU-0a", "NVIDIA H100 80GB HBM3", 80 << 30),
        Device(1, 0, "MIG-aaa", A100, 20 << 30, "3g.20gb"),
        Device(1, 2, "MIG-ccc", A100, 20 << 30, "1c.3g.20gb"),
    )
    assert devices.missing == ()
    assert nvml.open == 0


def test_a_gpu_or_driver_without_mig_is_a_whole_gpu() -> None:
    gpus = [Scripted("GPU-0a", mig_error=NotSupported()), Scripted("GPU-1b", mig_error=FunctionNotFound())]
    assert [device.uuid for device in list_devices(lambda: ScriptedNvml(gpus)).found] == ["GPU-0a", "GPU-1b"]


def test_a_gpu_that_has_fallen_off_the_bus_leaves_the_others() -> None:
    nvml = ScriptedNvml([Scripted("GPU-0a"), Scripted("GPU-1b", fallen_off=True), Scripted("GPU-2c")])
    devices = list_devices(lambda: nvml)
    assert [device.gpu for device in devices.found] == [0, 2]
    assert devices.missing == (Missing(Cause.REFUSED, "GPU 1: GPU is lost"),)


def test_mig_mode_without_a_slice_is_said() -> None:
    devices = list_devices(lambda: ScriptedNvml([Scripted("GPU-0a", slices={})]))
    assert devices.found == ()
    assert [missing.cause for missing in devices.missing] == [Cause.NO_SLICE]


def test_why_there_is_no_device_is_typed() -> None:
    no_driver = ScriptedNvml(start_error=ScriptedError("NVML Shared Library Not Found"))
    for bindings, cause, detail in (
        (None, Cause.NO_BINDINGS, "nvidia-ml-py is not installed"),
        (no_driver, Cause.NO_DRIVER, "NVML does not start: NVML Shared Library Not Found"),
        (ScriptedNvml(), Cause.NO_GPU, "NVML sees no GPU"),
    ):
        devices = list_devices(lambda: bindings)  # noqa: B023
        assert (devices.found, devices.missing) == ((), (Missing(cause, detail),))


def test_a_driver_that_never_answers_holds_nobody_up() -> None:
    never = Event()

    def held() -> Devices:
        never.wait()
        return Devices(())

    devices = list_devices_within(0.01, held)
    never.set()
    assert devices == Devices((), (Missing(Cause.SILENT, "NVML has not answered within 0.01 s"),))
    assert list_devices_within(30.0, lambda: Devices(())) == Devices(())
