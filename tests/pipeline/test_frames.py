"""Live frames in, rolling verdicts and alerts out: once each, whoever scores them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agents.evidence_store import EvidenceStore
from agents.keyvalue import connect
from agents.live.asked import StreamsAsked
from agents.live.stream_window import StreamWindows
from agents.local import Valkey
from schemas.identity import alert_id, stream_media_id
from schemas.moderation import Alert, Transition
from schemas.stream import StreamControl
from schemas.verdict import Label, Outcome, RiskLevel, Verdict
from tests.pipeline.conftest import NewFleet
from tests.support.fleet import Fleet, Running, headers_of
from tests.support.live import START, altered, empty, frame, frames, publish, untouched
from topics import catalogue
from topics.live_frames import LARGEST_BYTES

RAISED, ESCALATED, CLEARED = Transition.RAISED, Transition.ESCALATED, Transition.CLEARED


@pytest.fixture
def live_fleet(new_fleet: NewFleet, tiny_manifest: Path, tmp_path: Path) -> Fleet:
    return new_fleet(
        FLEET_MODELS__MANIFEST=str(tiny_manifest),
        FLEET_MODELS__ROLES='["primary"]',
        FLEET_EVIDENCE__URL=str(tmp_path / "evidence"),
    )


def alerts(fleet: Fleet) -> list[Alert]:
    return fleet.events(catalogue.ALERTS, Alert)


def await_alerts(fleet: Fleet, count: int) -> list[Alert]:
    fleet.await_that(lambda: len(alerts(fleet)) >= count, f"{count} alerts")
    return alerts(fleet)


def await_counted(fleet: Fleet, agent: Running, outcome: str, count: int) -> None:
    fleet.await_that(
        lambda: agent.count("fleet_live_frames", outcome=outcome) >= count, f"{count} frames that are {outcome}"
    )


def ask(fleet: Fleet, stream_id: str, **fields: object) -> None:
    asked = StreamControl.model_validate({"stream_id": stream_id, "command": "update", "at": START, **fields})
    StreamsAsked(connect(fleet.settings.redis), fleet.settings.redis).note(asked)


def test_a_stream_that_turns_altered_alerts_with_its_evidence_and_is_cleared(live_fleet: Fleet) -> None:
    fleet = live_fleet
    with fleet.running("frames", "sink"):
        publish(fleet, frames("show", untouched(), 0, 12))
        publish(fleet, frames("calm", untouched(), 0, 24))
        publish(fleet, frames("show", altered(), 12, 40))
        raised = await_alerts(fleet, 1)[0]
        publish(fleet, frames("show", untouched(), 40, 400))
        fleet.await_that(lambda: alerts(fleet)[-1].transition is CLEARED, "the alert to be cleared")
        told = alerts(fleet)
        fleet.await_that(lambda: fleet.rows(_ALERT_ROWS) == [(len(told),)], "the alerts' rows")
    assert {alert.subject for alert in told} == {"show"}
    assert raised.transition is RAISED
    assert raised.alert_id == alert_id("show", raised.episode, "raised")
    assert raised.content_type == "stream"
    assert raised.risk_level in {RiskLevel.HIGH, RiskLevel.CRITICAL}
    assert raised.policy == "default/2"
    assert raised.window is not None
    assert START < raised.at <= START + timedelta(seconds=10)
    assert [moment.seq for moment in raised.timeline] == sorted(moment.seq for moment in raised.timeline)
    last = raised.timeline[-1]
    assert last.score is not None
    assert last.score > 0.9
    assert raised.picture is not None
    assert raised.picture.score > 0.9
    assert raised.evidence
    kept = EvidenceStore(fleet.settings.evidence)
    for key in raised.evidence:
        assert (kept.get(key) or b"").startswith(b"\xff\xd8")
    assert {alert.episode for alert in told} == {raised.episode}
    assert len({alert.alert_id for alert in told}) == len(told), "raised, one for each band above, cleared"


_ALERT_ROWS = "SELECT count(*) FROM deepfake_detection.alerts WHERE content_type = 'stream'"


def test_verdicts_on_a_stream_come_by_its_own_clock(live_fleet: Fleet) -> None:
    fleet = live_fleet
    with fleet.running("frames", "sink"):
        publish(fleet, frames("calm", untouched(), 0, 84))
        fleet.await_that(lambda: len(fleet.events(catalogue.VERDICTS, Verdict)) >= 2, "two verdicts")
        fleet.await_that(lambda: len(fleet.rows(_VERDICT_ROWS)) == 2, "their rows")
    first, second = sorted(fleet.events(catalogue.VERDICTS, Verdict), key=lambda verdict: verdict.created_at)
    assert first.media_id == second.media_id == stream_media_id("default", "calm")
    assert [each.window for each in (first, second)] == [
        "PT30S/2026-11-01T12:00:10.000+00:00",
        "PT30S/2026-11-01T12:00:20.000+00:00",
    ]
    assert (first.label, first.outcome, first.content_type) == (Label.AUTHENTIC, Outcome.SCORED, "stream")
    assert first.verdict_id != second.verdict_id
    assert {model.name for model in first.models} == {"centerface", "tiny"}


_VERDICT_ROWS = "SELECT 1 FROM deepfake_detection.analysis_results WHERE content_type = 'stream'"


def test_what_was_asked_of_a_stream_holds_for_it(live_fleet: Fleet) -> None:
    fleet = live_fleet
    ask(fleet, "silent", real_time_alerts=False)
    ask(fleet, "theirs", tenant="acme", uploader_id="user-7", policy="live-block")
    with fleet.running("frames"):
        for stream in ("silent", "theirs"):
            publish(fleet, frames(stream, altered(), 0, 48))
        fleet.await_that(lambda: len(fleet.events(catalogue.VERDICTS, Verdict)) >= 2, "verdicts")
        told = await_alerts(fleet, 1)
    assert {(alert.subject, alert.tenant, alert.policy) for alert in told} == {("theirs", "acme", "live-block/1")}
    verdicts = {verdict.content_id: verdict for verdict in fleet.events(catalogue.VERDICTS, Verdict)}
    assert verdicts["silent"].label is Label.MANIPULATED
    assert (verdicts["theirs"].uploader_id, verdicts["theirs"].tenant) == ("user-7", "acme")


def test_faces_are_blurred_where_the_policy_wants_it(new_fleet: NewFleet, tiny_manifest: Path, tmp_path: Path) -> None:
    policies = tmp_path / "policies.yaml"
    policies.write_text(_SHY)
    fleet = new_fleet(
        FLEET_MODELS__MANIFEST=str(tiny_manifest),
        FLEET_POLICIES__FILE=str(policies),
        FLEET_POLICIES__TENANTS='{"shy": "shy"}',
    )
    ask(fleet, "shown")
    ask(fleet, "hidden", tenant="shy")
    with fleet.running("frames"):
        for stream in ("shown", "hidden"):
            publish(fleet, frames(stream, altered(), 0, 16))
        fleet.await_that(lambda: {alert.subject for alert in alerts(fleet)} == {"shown", "hidden"}, "both alerts")
    sizes = {alert.subject: len(alert.picture.jpeg) for alert in alerts(fleet) if alert.picture is not None}
    assert sizes["hidden"] < 0.7 * sizes["shown"], "what is blurred has little to encode"


_SHY = """
policies:
  - name: shy
    version: 1
    description: Nobody is shown.
    combination: {kind: calibrated}
    live: {blur_faces: true}
"""


def test_frames_read_again_change_nothing(live_fleet: Fleet) -> None:
    fleet = live_fleet
    show = frames("show", altered(), 0, 48)
    with fleet.running("frames") as (agent,):
        publish(fleet, show)
        await_counted(fleet, agent, "added", 48)
    before = {alert.alert_id for alert in alerts(fleet)}
    fleet.forget_group("frames")
    with fleet.running("frames") as (agent,):
        await_counted(fleet, agent, "replayed", 48)
    assert before
    assert {alert.alert_id for alert in alerts(fleet)} == before


def test_a_killed_worker_loses_no_frame_and_doubles_none(live_fleet: Fleet) -> None:
    fleet = live_fleet
    streams = [f"stream-{number}" for number in range(6)]
    turning = {name: 8 + 4 * number for number, name in enumerate(streams)}
    live = [
        frame(name, seq, altered() if seq >= turning[name] else untouched()) for seq in range(60) for name in streams
    ]
    with fleet.spawned("frames", "frames", FLEET_FRAMES__MAX_DELAY_S="600") as (victim, _):
        publish(fleet, live[:120])
        await_alerts(fleet, 1)
        victim.kill()
        victim.wait()
        publish(fleet, live[120:])
        fleet.await_that(lambda: _complete(fleet, streams, 60), "all frames in the windows", timeout_s=100)
    killed = {(alert.subject, alert.alert_id) for alert in alerts(fleet)}
    assert {subject for subject, _ in killed} == set(streams)
    windows = StreamWindows(connect(fleet.settings.redis), fleet.settings.redis)
    assert [[past.seq for past in windows.timeline(name, 100)] for name in streams] == [list(range(60))] * 6
    assert killed == _uninterrupted(fleet, live, streams)


def _complete(fleet: Fleet, streams: Sequence[str], count: int) -> bool:
    windows = StreamWindows(connect(fleet.settings.redis), fleet.settings.redis)
    return all(len(windows.timeline(name, 100)) == count for name in streams)


def _uninterrupted(fleet: Fleet, live: Sequence[object], streams: Sequence[str]) -> set[tuple[str, object]]:
    """The alerts of the same frames in one run of one worker, in other windows."""
    other = fleet.settings.model_copy(
        update={"redis": fleet.settings.redis.model_copy(update={"key_prefix": f"{fleet.name}-again:"})}
    )
    fleet.forget_group("frames")
    before = len(alerts(fleet))
    with fleet.running("frames", settings=other) as (agent,):
        await_counted(fleet, agent, "added", len(live))
    fleet.messages(catalogue.ALERTS.name)
    return {(alert.subject, alert.alert_id) for alert in alerts(fleet)[before:]}


def test_hostile_frames_are_refused_by_name_and_cost_no_other_frame(live_fleet: Fleet) -> None:
    fleet = live_fleet
    good = frames("good", altered(), 0, 24)
    with fleet.running("frames") as (agent,):
        publish(fleet, good[:12])
        fleet.publish_raw(catalogue.FRAMES, altered(), {"seq": b"1"}, b"nameless")
        fleet.publish_raw(catalogue.FRAMES, b"", {}, b"empty")
        publish(
            fleet,
            [
                frame("bad", 0, b"\xff\xd8\xff\xe0 no picture"),
                frame("bad", 1, altered()[: len(altered()) // 3]),
                frame("bad", 2, b"RIFF\x00\x00\x00\x00AVI LIST"),
                frame("bad", 3, b"\x00" * 1000),
            ],
        )
        publish(fleet, good[12:])
        await_counted(fleet, agent, "added", 24)
        await_counted(fleet, agent, "unread", 3)
        fleet.await_messages("media.frames.dlq", 2)
        await_alerts(fleet, 1)
    assert {headers_of(message)["dlq-reason"] for message in fleet.messages("media.frames.dlq")} == {"frame_invalid"}


def test_a_stream_of_which_nothing_can_be_read_says_so(live_fleet: Fleet) -> None:
    fleet = live_fleet
    with fleet.running("frames"):
        publish(fleet, frames("broken", b"\xff\xd8\xff\xe0 no picture", 0, 44))
        publish(fleet, frames("faceless", empty(), 0, 44))
        fleet.await_that(lambda: len(fleet.events(catalogue.VERDICTS, Verdict)) >= 2, "both verdicts")
    outcomes = {verdict.content_id: verdict for verdict in fleet.events(catalogue.VERDICTS, Verdict)}
    assert outcomes["broken"].outcome is Outcome.UNDECODABLE
    assert outcomes["faceless"].outcome is Outcome.NO_FACE
    assert {verdict.label for verdict in outcomes.values()} == {Label.INCONCLUSIVE}


def test_a_still_of_twenty_megabytes_never_reaches_the_topic_nor_the_reader() -> None:
    # The broker refuses it by `max.message.bytes`; a broker that is set otherwise meets the reader's own limit.
    assert int(catalogue.FRAMES.configuration["max.message.bytes"]) == LARGEST_BYTES
    assert LARGEST_BYTES < 20 << 20


def test_clocks_and_numbers_that_go_wrong_cost_their_own_stream_nothing_but_those_frames(live_fleet: Fleet) -> None:
    fleet = live_fleet
    now = datetime.now(UTC)
    ahead = [frame("ahead", seq, untouched(), at=now + timedelta(days=365)) for seq in range(2)]
    back = [
        *frames("back", untouched(), 20, 24),
        *[frame("back", seq, untouched(), second=7 + seq) for seq in range(3)],
        frame("back", 21, altered(), second=11),
    ]
    with fleet.running("frames") as (agent,):
        publish(fleet, [*ahead, *back])
        publish(fleet, [frame("ahead", seq, untouched(), at=now + timedelta(seconds=seq / 4)) for seq in range(2, 6)])
        await_counted(fleet, agent, "skewed", 2)
        await_counted(fleet, agent, "renumbered", 1)
        await_counted(fleet, agent, "added", 2 + 4 + 4 + 3)


def test_redis_that_is_away_is_waited_for(migrated: dict[str, str], tiny_manifest: Path, tmp_path: Path) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        valkey = Valkey(folder)
        valkey.start()
        fleet = Fleet(
            {**migrated, "FLEET_REDIS__URL": valkey.url},
            tmp_path,
            FLEET_MODELS__MANIFEST=str(tiny_manifest),
            FLEET_REDIS__TIMEOUT_S="1",
        )
        with fleet.running("frames") as (agent,):
            publish(fleet, frames("show", untouched(), 0, 8))
            await_counted(fleet, agent, "added", 8)
            valkey.kill()
            publish(fleet, frames("show", altered(), 8, 24))
            fleet.await_that(lambda: "redis" in agent.process.health.report().away, "the agent to say it")
            assert not agent.process.health.report().ready
            assert alerts(fleet) == []
            valkey.restart()
            await_alerts(fleet, 1)
            await_counted(fleet, agent, "added", 24)
            fleet.await_that(lambda: agent.process.health.report().ready, "the agent to be ready again")
        fleet.close()
        valkey.stop()
