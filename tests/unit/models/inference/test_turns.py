"""Models that share a device get the same share of its time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock, Thread

import pytest

from models.inference.turns import Turns


class Device:
    """A device whose clock moves only while somebody uses it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.spent: dict[str, float] = {}
        self.order: list[str] = []
        self.inside = 0
        self.most = 0
        self._lock = Lock()

    def __call__(self) -> float:
        return self.now

    def run(self, model: str, cost_s: float) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.now += cost_s
            self.spent[model] = self.spent.get(model, 0.0) + cost_s
            self.order.append(model)
            self.inside -= 1


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def turns(device: Device) -> Turns:
    return Turns(clock=device)


def queued(turns: Turns, device: Device, wanted: dict[str, tuple[float, int]]) -> Iterator[Thread]:
    """Threads that all wait before the first of them goes: by model, the cost of a run and how many wait."""
    for model, (cost_s, count) in wanted.items():
        for _ in range(count):

            def use(model: str = model, cost_s: float = cost_s) -> None:
                with turns.turn(model):
                    device.run(model, cost_s)

            yield Thread(target=use)


def waiting(turns: Turns) -> int:
    with turns._changed:
        return sum(map(len, turns._waiting.values()))


def run_all(turns: Turns, device: Device, wanted: dict[str, tuple[float, int]]) -> None:
    threads = list(queued(turns, device, wanted))
    with turns.turn("first"):
        for thread in threads:
            thread.start()
        while waiting(turns) < len(threads):
            pass
    for thread in threads:
        thread.join(10)


def test_time_is_shared_and_not_turns(turns: Turns, device: Device) -> None:
    run_all(turns, device, {"dear": (0.010, 10), "cheap": (0.001, 100)})
    dear = cheap = 0.0
    for model in device.order:
        dear += 0.010 * (model == "dear")
        cheap += 0.001 * (model == "cheap")
        assert abs(dear - cheap) < 0.0111, "never further apart than one dear run and one cheap one"
    assert len(device.order) == 110


def test_one_at_a_time(turns: Turns, device: Device) -> None:
    def use(model: str) -> None:
        for _ in range(50):
            with turns.turn(model):
                device.run(model, 0.001)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, ["a", "b", "c", "a"]))
    assert device.most == 1
    assert len(device.order) == 200


def test_a_model_that_was_idle_has_no_claim_to_that_time(turns: Turns, device: Device) -> None:
    with turns.turn("busy"):
        device.run("busy", 100.0)
    with turns.turn("busy"):
        late = list(queued(turns, device, {"busy": (1.0, 3), "late": (1.0, 3)}))
        for thread in late:
            thread.start()
        while waiting(turns) < len(late):
            pass
    for thread in late:
        thread.join(10)
    assert [device.order[start : start + 2].count("late") for start in (1, 3, 5)] == [1, 1, 1], device.order


def test_a_failed_run_ends_its_turn(turns: Turns, device: Device) -> None:
    def fail() -> None:
        with turns.turn("a"):
            device.run("a", 1 / 0)

    with pytest.raises(ZeroDivisionError):
        fail()
    with turns.turn("b"):
        device.run("b", 1.0)


def test_two_at_once_where_that_is_allowed() -> None:
    turns = Turns(at_once=2)
    together = Barrier(2)
    done = Event()

    def use(model: str) -> None:
        with turns.turn(model):
            together.wait(10)
            done.set()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(use, ["a", "b"]))
    assert done.is_set()
    with pytest.raises(ValueError, match="at least 1"):
        Turns(at_once=0)
