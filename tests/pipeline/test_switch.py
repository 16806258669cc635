"""Models are changed while workers run, by command, and every verdict says which ones scored it."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agents.assembly import AGENTS
from agents.cli.exits import ExitCode
from agents.model_set import selection
from agents.runtime.metrics import Metrics
from agents.segments import Segments
from models.manifest import Role
from models.selection import Choice, Selection
from schemas.control import WorkerReport
from schemas.media import MediaUpload, Segment
from schemas.verdict import Verdict
from tests.pipeline.conftest import NewFleet
from tests.support.commands import run_fleet
from tests.support.cramped import cramp
from tests.support.fleet import Fleet
from tests.support.media import MediaFolder, image_bytes, photograph
from tests.support.tiny_models import entry_fields, fleet_faces, write_brightness, write_entries
from topics import catalogue


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """`steep` is preferred and falls back to `flat`; `other` is another one, and the file of `changed` has changed."""
    entries = [fleet_faces()]
    for name, gain in {"steep": 20.0, "flat": 2.0, "other": -20.0, "changed": 5.0}.items():
        sha256 = write_brightness(tmp_path / f"{name}.onnx", gain=gain)
        chain = {"fallback": "flat"} if name == "steep" else {}
        entries.append(entry_fields(path=f"{name}.onnx", sha256=sha256, name=name, **chain))
    write_entries(tmp_path / "manifest.yaml", entries)
    write_brightness(tmp_path / "changed.onnx", gain=6.0)
    return tmp_path / "manifest.yaml"


@pytest.fixture
def fleet(new_fleet: NewFleet, manifest: Path) -> Fleet:
    return new_fleet(FLEET_MODELS__MANIFEST=str(manifest), FLEET_MODELS__THREADS="1")


@pytest.fixture
def uploads(fleet: Fleet, media: MediaFolder) -> Iterator[MediaUpload]:
    """Stills without end, no two of the same bytes."""

    def each(number: int) -> MediaUpload:
        picture = photograph().copy()
        picture[:8, :8] = number % 256
        picture[8:16, :8] = number // 256
        return fleet.upload(media.write(f"still-{number}.png", image_bytes(picture, "PNG")), f"still-{number}")

    return map(each, itertools.count())


def primary(verdict: Verdict) -> str:
    """Who judged it. The set, the scores and the thresholds of a verdict must speak of the same model."""
    (name,) = (model.name for model in verdict.models if model.role == "primary")
    assert {detector.detector for axis in verdict.axes for detector in axis.detectors} == {name}
    return name


def asked(fleet: Fleet, *arguments: str) -> str:
    """Run `fleet models …` to its good end, and return what it said."""
    done = run_fleet("models", *arguments, variables=fleet.environment)
    assert done.returncode == ExitCode.OK, done.stderr
    return done.stdout


def reports(fleet: Fleet) -> list[WorkerReport]:
    return fleet.events(catalogue.WORKERS, WorkerReport)


def choosing(fleet: Fleet, choice: Choice) -> Selection:
    return selection(fleet.settings.models).switched(Role.PRIMARY, choice)


def test_a_switch_under_load_loses_nothing_and_mixes_nothing(fleet: Fleet, uploads: Iterator[MediaUpload]) -> None:
    published: list[MediaUpload] = []

    def publish(count: int) -> None:
        some = list(itertools.islice(uploads, count))
        fleet.publish(catalogue.UPLOADS, some)
        published.extend(some)

    with fleet.running("uploads", "segments"):
        publish(10)
        fleet.await_verdicts(5)
        with ThreadPoolExecutor(1) as pool:
            switching = pool.submit(asked, fleet, "switch", "primary=other")
            while not switching.done():
                publish(2)
                fleet.await_verdicts(len(published) - 6)
            assert "other" in switching.result()
        fleet.await_verdicts(len(published))
        planned = fleet.events(catalogue.SEGMENTS, Segment)
        before = len(planned)
        fleet.await_that(lambda: _planned_anew(fleet, publish), "the planner to follow")
        verdicts = fleet.await_verdicts(len(published))
    assert len(verdicts) == len(published)
    sets = {
        "steep": choosing(fleet, Choice(("steep",))).fingerprint(""),
        "other": choosing(fleet, Choice(("other",))).fingerprint(""),
    }
    judges = {name: primary(verdict) for name, verdict in verdicts.items()}
    assert set(judges.values()) == {"steep", "other"}
    for name, verdict in verdicts.items():
        assert verdict.reproduction is not None
        assert verdict.reproduction.model_set == sets[judges[name]]
        bright = verdict.manipulation_score is not None and verdict.manipulation_score > 0.5
        assert bright is (judges[name] == "steep"), "the photograph's face is brighter than grey"
    segments = {segment.upload.content_id: segment.model_set for segment in fleet.events(catalogue.SEGMENTS, Segment)}
    assert len(segments) > before
    assert set(segments.values()) == set(sets.values())


def _planned_anew(fleet: Fleet, publish: Callable[[int], None]) -> bool:
    """Publish one more; whether the last one was planned for the new models."""
    publish(1)
    count = len(fleet.events(catalogue.UPLOADS, MediaUpload))
    fleet.await_messages(catalogue.SEGMENTS.name, count)
    return fleet.events(catalogue.SEGMENTS, Segment)[-1].model_set == choosing(fleet, Choice(("other",))).fingerprint(
        ""
    )


def test_a_model_that_does_not_load_is_refused_and_a_later_worker_follows_what_was_asked(
    fleet: Fleet, uploads: Iterator[MediaUpload]
) -> None:
    with fleet.running("uploads", "segments"):
        refused = run_fleet("models", "switch", "primary=changed", variables=fleet.environment)
        assert refused.returncode == ExitCode.MODELS_INVALID
        assert "1 worker of 1 refused; the old models stay there" in refused.stderr
        assert "changed refused" in refused.stdout
        assert "source.sha256" in "".join(refused.stdout.split())
        fleet.publish(catalogue.UPLOADS, [next(uploads)])
        assert primary(fleet.await_verdicts(1)["still-0"]) == "steep"
        assert "source.sha256" in "".join(asked(fleet, "status").split())
        asked(fleet, "switch", "primary=other")
        assert reports(fleet)[-1].refused == ()
        asked(fleet, "switch", "primary=flat", "--canary", "40%")
    fleet.await_that(lambda: reports(fleet)[-1].state == "ended", "the worker's last word")
    with fleet.running("uploads", "segments"):
        some = list(itertools.islice(uploads, 12))
        fleet.publish(catalogue.UPLOADS, some)
        verdicts = fleet.await_verdicts(13)
        canary = choosing(fleet, Choice(("other",), ("flat",), 0.4))
        for upload in some:
            expected = [entry.name for entry in canary.entries(str(upload.media_id)) if entry.role is Role.PRIMARY]
            assert [primary(verdicts[upload.content_id])] == expected
        assert {primary(verdicts[upload.content_id]) for upload in some} == {"other", "flat"}
        said = asked(fleet, "reset", "primary")
        assert "steep" in said
        assert "flat" not in said.replace("flattened", "")


def test_a_worker_that_is_not_meant_does_not_follow(fleet: Fleet, uploads: Iterator[MediaUpload]) -> None:
    misspelt = run_fleet("models", "switch", "primary=stepp", variables=fleet.environment)
    assert misspelt.returncode == ExitCode.MODELS_INVALID
    assert "stepp: name: no such entry" in misspelt.stderr
    wrong = run_fleet("models", "switch", "screen=steep", variables=fleet.environment)
    assert "steep: role: serves primary, not screen" in wrong.stderr
    usage = run_fleet("models", "switch", "primary", variables=fleet.environment)
    assert usage.returncode == ExitCode.USAGE
    nobody = run_fleet("models", "switch", "primary=other", variables=fleet.environment)
    assert nobody.returncode == ExitCode.OK
    assert "those that start later follow" in nobody.stderr
    with fleet.running("uploads", "segments"):
        fleet.publish(catalogue.UPLOADS, [next(uploads)])
        assert primary(fleet.await_verdicts(1)["still-0"]) == "other"


def test_a_model_whose_memory_runs_out_is_replaced_and_the_verdict_names_what_scored(
    fleet: Fleet, uploads: Iterator[MediaUpload]
) -> None:
    metrics = Metrics()
    agent = AGENTS["segments"](fleet.settings, metrics)
    assert isinstance(agent, Segments)
    with fleet.running("uploads"), fleet.running(agent, metrics=metrics) as (segments,):
        fleet.publish(catalogue.UPLOADS, [next(uploads)])
        assert primary(fleet.await_verdicts(1)["still-0"]) == "steep"
        with agent._scorer._models.lease("") as detectors:
            cramp(detectors.detectors["steep"].session, room=0)
        fleet.publish(catalogue.UPLOADS, itertools.islice(uploads, 6))
        verdicts = fleet.await_verdicts(7)
        assert {primary(verdicts[f"still-{number}"]) for number in range(1, 7)} == {"flat"}
        (flat,) = (model for model in verdicts["still-3"].models if model.role == "primary")
        assert "steep on cpu: its memory ran out while it ran" in flat.provider_reason
        assert segments.count("fleet_model_stands_in", model="steep") == 1
        fleet.await_that(
            lambda: any(model.stands_in for model in reports(fleet)[-1].models), "the worker to say who stands in"
        )
    assert len(fleet.events(catalogue.VERDICTS, Verdict)) == 7, "none twice"
