"""Models that are changed while they serve, replaced where memory is short, and brought back."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from models.detectors import DetectorSet
from models.exceptions import GoldenMismatch, ManifestError, NoRoom, OutOfMemory
from models.inference.admission import CALM_S, MIB, Admission
from models.inference.placing import Spot
from models.loading import AnyModel, Detector, Loader, LoadOptions
from models.manifest import FileSource, Manifest, Role
from models.selection import Choice, Selection
from models.serving import Serving
from models.sources import default_cache
from tests.support.cramped import cramp
from tests.support.tiny_models import SIZE, entry_fields, fleet_faces, write_brightness, write_entries

GAINS = {"large": 20.0, "small": 8.0, "other": -5.0}
WHITE = np.full((3, SIZE, SIZE, 3), 255, np.uint8)


class Meter:
    """Reads what it is told, MiB free."""

    def __init__(self) -> None:
        self.free_mib = 10_000

    def free(self, provider: str) -> int:
        return self.free_mib * MIB

    def busy(self, provider: str) -> float | None:
        return None


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Gated(Loader):
    """A loader whose models open only when the gate is up."""

    gate: Event
    waiting: Event

    def _attempt(self, spot: Spot) -> AnyModel:
        if hasattr(self, "gate"):
            self.waiting.set()
            assert self.gate.wait(10)
        return super()._attempt(spot)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """`large` falls back to `small`; `other` is of the same role."""
    entries = [fleet_faces()]
    for name, gain in GAINS.items():
        sha256 = write_brightness(tmp_path / f"{name}.onnx", gain=gain)
        chain = {"fallback": "small", "needs": {"cpu": 400}} if name == "large" else {}
        entries.append(entry_fields(path=f"{name}.onnx", sha256=sha256, name=name, **chain))
    return write_entries(tmp_path / "manifest.yaml", entries)


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loader(manifest: Manifest, meter: Meter) -> Gated:
    admission = Admission(meter, reserve_bytes=100 * MIB)
    return Gated(manifest, LoadOptions(cache=default_cache(), threads=1, provider="cpu", admission=admission))


@pytest.fixture
def serving(loader: Gated, clock: Clock) -> Iterator[Serving]:
    models = Serving(loader, Selection.preferred(loader.manifest, ["primary"]), clock=clock)
    yield models
    models.close()


def judge(detectors: DetectorSet) -> tuple[str, float]:
    """Who judged, and the logit of white."""
    ((name, detector),) = detectors.detectors.items()
    return name, float(detector.answers(WHITE).result(10)[0, 0])


def judged(serving: Serving, media_id: str = "any") -> str:
    with serving.lease(media_id) as detectors:
        name, logit = judge(detectors)
    assert logit == pytest.approx(GAINS[name] / 2, abs=1e-3), "each model answers for itself"
    return name


def the_detector(detectors: DetectorSet) -> Detector:
    (detector,) = detectors.detectors.values()
    return detector


def test_a_switch_holds_for_what_begins_and_not_for_what_is_in_hand(serving: Serving) -> None:
    serving.open()
    with serving.lease("begun") as before:
        serving.switch(Role.PRIMARY, Choice(("other",)))
        assert judge(before)[0] == "large", "a segment ends with the models that it began with"
        assert judged(serving) == "other"
        assert before.fingerprint != serving_fingerprint(serving)
        old = the_detector(before)
        old.answers(WHITE).result(10)
    assert not hasattr(old.session, "_session"), "the last one to use it gives its memory back"


def serving_fingerprint(serving: Serving) -> str:
    with serving.lease("any") as detectors:
        return detectors.fingerprint


def test_nothing_waits_while_another_model_is_loaded(serving: Serving, loader: Gated) -> None:
    serving.open()
    loader.gate, loader.waiting = Event(), Event()
    with ThreadPoolExecutor(1) as pool:
        switching = pool.submit(serving.switch, Role.PRIMARY, Choice(("other",)))
        assert loader.waiting.wait(10)
        assert [judged(serving) for _ in range(20)] == ["large"] * 20
        loader.gate.set()
        switching.result(10)
    assert judged(serving) == "other"


def test_a_model_that_does_not_load_leaves_the_old_one_in_service(
    serving: Serving, loader: Gated, tmp_path: Path
) -> None:
    serving.open()
    sha256 = write_brightness(tmp_path / "changed.onnx", gain=3.0)
    changed = FileSource(kind="file", path=tmp_path / "changed.onnx", sha256=sha256)
    entries = [
        entry.model_copy(update={"source": changed}) if entry.name == "other" else entry
        for entry in loader.manifest.entries
    ]
    loader.manifest = loader.manifest.model_copy(update={"entries": tuple(entries)})
    with pytest.raises(GoldenMismatch, match="other: golden"):
        serving.switch(Role.PRIMARY, Choice(("other",)))
    with pytest.raises(ManifestError, match="no such entry"):
        serving.switch(Role.PRIMARY, Choice(("gone",)))
    assert judged(serving) == "large"
    assert [each.wanted.name for each in serving.served] == ["centerface", "large"]


def test_a_canary_judges_its_share_beside_the_old_one(serving: Serving) -> None:
    serving.open()
    serving.switch(Role.PRIMARY, Choice(("large",), ("other",), 0.5))
    by_media = {str(number): judged(serving, str(number)) for number in range(40)}
    assert set(by_media.values()) == {"large", "other"}
    assert {media_id: judged(serving, media_id) for media_id in by_media} == by_media
    assert [(each.wanted.name, each.share) for each in serving.served[1:]] == [("large", 0.5), ("other", 0.5)]
    serving.switch(Role.PRIMARY, Choice(("other",)))
    assert {judged(serving, media_id) for media_id in by_media} == {"other"}


def test_where_there_is_no_room_the_fallback_serves_and_says_why(serving: Serving, meter: Meter) -> None:
    meter.free_mib = 450
    serving.open()
    assert judged(serving) == "small"
    served = serving.served[1]
    assert served.stands_in
    assert "large on cpu: needs 400 MiB and 100 MiB in reserve, 450 MiB are free" in served.reason


def test_the_first_choice_comes_back_when_there_was_room_for_a_while(
    serving: Serving, meter: Meter, clock: Clock
) -> None:
    meter.free_mib = 450
    serving.open()
    meter.free_mib = 545
    for _ in range(2):
        serving.tend()
        assert judged(serving) == "small"
        clock.now += CALM_S - 1
    meter.free_mib = 500
    serving.tend()
    meter.free_mib = 545
    serving.tend()
    clock.now += CALM_S
    serving.tend()
    assert judged(serving) == "large"
    assert not serving.served[1].stands_in


def exhaust(serving: Serving) -> OutOfMemory:
    """Let the model that serves run out of memory; return what its user saw."""
    with serving.lease("any") as detectors:
        cramp(the_detector(detectors).session, room=0)
        with pytest.raises(OutOfMemory) as caught:
            the_detector(detectors).answers(WHITE).result(10)
    serving.step_down(caught.value, detectors)
    return caught.value


def test_a_model_whose_memory_runs_out_gives_way_and_comes_back(serving: Serving, meter: Meter, clock: Clock) -> None:
    serving.open()
    error = exhaust(serving)
    assert error.entry == "large"
    assert judged(serving) == "small"
    assert "its memory ran out while it ran" in serving.served[1].reason
    serving.tend()
    assert judged(serving) == "small", "there is room, but not for long enough"
    clock.now += CALM_S
    serving.tend()
    assert judged(serving) == "large"


def test_whoever_else_used_it_gets_its_error_and_then_the_stand_in(serving: Serving) -> None:
    serving.open()
    with serving.lease("other") as also:
        exhaust(serving)
        with pytest.raises(OutOfMemory, match="large"):
            the_detector(also).answers(WHITE)
        serving.step_down(OutOfMemory("large", "run", "again"), also)
        assert judged(serving) == "small", "it steps down once, not twice"


def test_where_nothing_is_left_it_is_said_until_there_is_room(serving: Serving, meter: Meter) -> None:
    serving.open()
    exhaust(serving)
    exhaust(serving)
    with pytest.raises(NoRoom, match=r"small on cpu: its memory ran out"), serving.lease("any"):
        pass
    assert (serving.served[1].entry, serving.served[1].provider) == (None, "")
    serving.tend()
    assert judged(serving) == "large"


def test_many_threads_and_many_switches_lose_and_mix_nothing(serving: Serving) -> None:
    serving.open()
    stop = Event()

    def work() -> int:
        done = 0
        while not stop.is_set():
            judged(serving, str(done))
            done += 1
        return done

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work) for _ in range(4)]
        for names in (("other",), ("small",), ("large",), ("other",), ("large",)):
            serving.switch(Role.PRIMARY, Choice(names))
            serving.switch(Role.PRIMARY, Choice(names, ("small",), 0.5))
        stop.set()
        assert min(worker.result(30) for worker in workers) > 0


def test_a_worker_that_cannot_load_leaves_nothing_open(
    loader: Gated, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[AnyModel] = []
    real: Callable[[Spot], AnyModel] = loader._attempt

    def attempt(spot: Spot) -> AnyModel:
        if spot.entry.name == "large":
            raise ManifestError("large", "source", "is broken")
        opened.append(real(spot))
        return opened[-1]

    monkeypatch.setattr(loader, "_attempt", attempt)
    models = Serving(loader, Selection.preferred(loader.manifest, ["primary"]), clock=clock)
    with pytest.raises(ManifestError):
        models.open()
    assert [model.entry.name for model in opened] == ["centerface"]
    with pytest.raises(OutOfMemory):
        opened[0].detect([np.zeros((32, 32, 3), np.uint8)])  # type: ignore[union-attr]


def test_a_failure_that_nobody_foresaw_leaves_no_one_waiting(
    serving: Serving, loader: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.open()

    def fail(*_: object) -> AnyModel:
        raise OSError("the disk is gone")

    monkeypatch.setattr(loader, "_attempt", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        exhaust(serving)
    with pytest.raises(NoRoom, match="large: needs: nothing serves"), serving.lease("any"):
        pass
