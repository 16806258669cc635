"""What stands in the way of a GPU is said once, in words."""

import ctypes

import pytest

from models.inference.gpu_libraries import obstacle_of_cuda


class Driver:
    """A driver that shows so many devices."""

    def __init__(self, devices: int, initialised: int = 0) -> None:
        self._devices = devices
        self._initialised = initialised

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self._initialised

    def cuDeviceGetCount(self, count: object) -> int:  # noqa: N802
        ctypes.cast(count, ctypes.POINTER(ctypes.c_int))[0] = self._devices  # type: ignore[arg-type]
        return 0


def nothing_missing() -> None:
    pass


def some_missing() -> None:
    for name in ("libcublas.so.13", "libcudart.so.13"):
        print(f"Failed to load {name}: {name}: cannot open shared object file: No such file or directory")
    print("Please follow the documentation to install CUDA.")


def no_driver(name: str) -> ctypes.CDLL:
    raise OSError(name)


def test_without_a_driver_there_is_no_gpu() -> None:
    assert obstacle_of_cuda(no_driver, nothing_missing) == "no NVIDIA driver: libcuda.so.1 does not load"


@pytest.mark.parametrize("driver", [Driver(0), Driver(1, initialised=100)])
def test_a_driver_without_a_device_is_no_gpu(driver: Driver) -> None:
    said = obstacle_of_cuda(lambda _: driver, nothing_missing)  # type: ignore[arg-type,return-value]
    assert said == "the NVIDIA driver shows no device"


def test_libraries_that_are_missing_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = obstacle_of_cuda(lambda _: Driver(1), some_missing)  # type: ignore[arg-type,return-value]
    assert said == "libcublas.so.13, libcudart.so.13 do not load: pip install 'deepfake-fleet[gpu]'"
    assert capsys.readouterr().out == ""


def test_nothing_stands_in_the_way_where_all_is_there() -> None:
    assert obstacle_of_cuda(lambda _: Driver(1), nothing_missing) == ""  # type: ignore[arg-type,return-value]
