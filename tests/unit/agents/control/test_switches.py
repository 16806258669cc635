"""What switches mean to a worker, and what operators learn of its answer."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from agents.control.answers import FORGOTTEN_AFTER, SILENT_AFTER, Answer, answered, in_force, latest
from agents.control.log import TopicLog
from agents.control.switches import choice_of, effective, follow
from agents.local.ports import choose_ports
from agents.report.serving import switches_table, workers_view
from agents.settings import KafkaSettings
from models.manifest import Manifest, Role
from models.selection import Choice, Selection
from schemas.control import ModelSwitch, RefusedSwitch, WorkerModel, WorkerReport
from tests.support.tiny_models import entry_fields, fleet_faces
from topics.catalogue import CONTROL

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def preferred() -> Selection:
    def fields(name: str, role: str) -> dict[str, Any]:
        return entry_fields(path=f"{name}.onnx", sha256="0" * 64, name=name, role=role)

    entries = [fleet_faces(), fields("first", "primary"), fields("second", "primary"), fields("screen", "screen")]
    return Selection.preferred(Manifest.of({"entries": entries}, Path("manifest.yaml")), ("primary",))


def switch(*models: str, at_s: int = 0, **fields: object) -> ModelSwitch:
    asked = {"role": "primary", "models": models, "by": "ada@ops", "at": NOON + timedelta(seconds=at_s)}
    return ModelSwitch.model_validate(asked | fields)


def model(wanted: str, share: float = 1.0, **fields: object) -> WorkerModel:
    serving = {"role": "primary", "wanted": wanted, "name": wanted, "version": "1", "share": share, "provider": "cpu"}
    return WorkerModel.model_validate(serving | {"reason": "first that opened", "stands_in": False} | fields)


def report(*models: WorkerModel, worker: str = "w-0", age: timedelta = timedelta(0), **fields: object) -> WorkerReport:
    said = {"worker": worker, "agent": "segments", "state": "serving", "models": models}
    return WorkerReport.model_validate(said | {"started_at": NOON - timedelta(hours=1), "at": NOON - age} | fields)


class TestFollowing:
    def test_the_last_one_that_a_worker_is_meant_by_holds(self, preferred: Selection) -> None:
        switches = [switch("second"), switch("first", agent="segments"), switch("second", agent="frames")]
        assert effective(switches, "segments", preferred) == [switches[1]]
        assert effective(switches, "frames", preferred) == [switches[2]]
        assert effective(switches[:1], "frames", preferred) == [switches[0]]

    def test_a_role_that_the_worker_does_not_load_is_none_of_its_business(self, preferred: Selection) -> None:
        assert effective([switch("screen", role="screen")], "segments", preferred) == []

    def test_without_models_the_manifests_own_serve(self, preferred: Selection) -> None:
        assert choice_of(switch(), preferred) == Choice(("first",))
        canary = switch(canary=("second",), canary_share=0.1)
        assert choice_of(canary, preferred) == Choice(("first",), ("second",), 0.1)

    def test_what_cannot_be_followed_leaves_the_rest(self, preferred: Selection) -> None:
        followed = follow(preferred, [switch("gone")], "segments")
        assert followed.selection == preferred
        assert followed.refused[Role.PRIMARY].reason.startswith("gone: name: no such entry")
        assert followed.refused[Role.PRIMARY].at == NOON
        mended = follow(preferred, [switch("gone"), switch("second", at_s=1)], "segments")
        assert (mended.selection.choices[Role.PRIMARY], mended.refused) == (Choice(("second",)), {})

    @pytest.mark.parametrize("fields", [{"canary": ("second",)}, {"canary_share": 0.5}])
    def test_a_canary_has_a_share(self, fields: dict[str, object]) -> None:
        with pytest.raises(ValidationError, match="canary and canary_share go together"):
            ModelSwitch.model_validate(switch("first").model_dump() | fields)

    def test_the_last_word_of_each_key_is_in_force(self) -> None:
        switches = [switch("a"), switch("b", at_s=1), switch("c", agent="segments")]
        assert in_force(switches) == {"primary": switches[1], "primary@segments": switches[2]}


class TestAnswers:
    def test_a_worker_has_followed_when_it_serves_what_was_asked(self) -> None:
        asked = switch("second")
        assert answered(report(model("first")), asked, Choice(("second",))) is Answer.PENDING
        assert answered(report(model("second")), asked, Choice(("second",))) is Answer.FOLLOWED

    def test_of_a_canary_the_shares_must_be_right(self) -> None:
        choice = Choice(("first",), ("second",), 0.25)
        asked = switch("first", canary=("second",), canary_share=0.25)
        assert answered(report(model("first", 0.75), model("second", 0.25)), asked, choice) is Answer.FOLLOWED
        assert answered(report(model("first", 0.5), model("second", 0.5)), asked, choice) is Answer.PENDING

    def test_a_refusal_counts_for_its_own_switch_only(self) -> None:
        refused = RefusedSwitch(role="primary", models=("second",), reason="is broken", at=NOON)
        said = report(model("first"), refused=(refused,))
        assert answered(said, switch("second"), Choice(("second",))) is Answer.REFUSED
        assert answered(said, switch("second", at_s=1), Choice(("second",))) is Answer.PENDING

    def test_the_dead_are_forgotten_and_the_silent_marked(self) -> None:
        reports = [
            report(worker="early", age=timedelta(seconds=40)),
            report(worker="early"),
            report(worker="silent", age=SILENT_AFTER + timedelta(seconds=1)),
            report(worker="dead", age=FORGOTTEN_AFTER),
            report(worker="left"),
            report(worker="left", state="ended"),
        ]
        heard = latest(reports, NOON)
        assert [(each.report.worker, each.silent) for each in heard] == [("early", False), ("silent", True)]
        assert heard[0].report.at == NOON


def shown(*reports: WorkerReport, reasons: bool = False) -> str:
    console = Console(width=100, record=True)
    console.print(workers_view(latest(reports, NOON), NOON, reasons=reasons))
    return console.export_text()


class TestView:
    def test_what_stands_in_and_what_was_refused_is_explained(self) -> None:
        short = model("large", name="small", reason="large on cuda: no room", stands_in=True)
        gone = model("liar", role="synthetic", name=None, version="", provider="", reason="liar: needs.cuda: no room")
        refused = RefusedSwitch(role="screen", models=("other",), reason="other: source: is broken", at=NOON)
        text = shown(report(short, gone, refused=(refused,)))
        assert "small for large" in text
        assert "w-0: small: large on cuda: no room" in text
        assert "nothing for liar" in text
        assert "w-0: other refused, asked for at 2026-11-01 12:00:00: other: source: is broken" in text

    def test_why_a_model_runs_where_it_does_is_said_on_request(self) -> None:
        assert "first that opened" not in shown(report(model("first")))
        assert "w-0: first: first that opened" in shown(report(model("first")), reasons=True)

    def test_a_silent_worker_is_marked(self) -> None:
        assert "w-0: silent for 120 s" in shown(report(model("first"), age=timedelta(seconds=120)))

    def test_what_was_asked_for_is_shown(self) -> None:
        console = Console(width=120, record=True)
        console.print(switches_table([switch(canary=("second",), canary_share=0.1, agent="segments")]))
        text = console.export_text()
        assert "second, 10%" in text
        assert "the manifest's own" in text


def test_a_broker_that_is_away_is_waited_for_no_longer_than_was_said() -> None:
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{choose_ports(1)[0]}")
    log = TopicLog(kafka, CONTROL, ModelSwitch)
    assert log.read_all(0.2) == ([], False)
    assert log.read(0.1) == []
    log.close()
