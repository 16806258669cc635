"""Alerts are acted on: somebody is told, again where they do not answer, and what is blocked is released."""

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from agents.blocking.leases import DenyLeases
from agents.keyvalue import connect, connect_asyncio
from agents.live.asked import StreamsAsked
from agents.live.stream_window import SeenFace, SeenFrame, StreamWindows, WindowRules
from schemas.moderation import Action, Alert, Review, Transition
from schemas.stream import StreamControl
from schemas.verdict import Label, RiskLevel
from tests.pipeline.conftest import NewFleet
from tests.pipeline.test_blocking import on_loop
from tests.support.alerts import AT, stream_alert
from tests.support.endpoints import endpoint
from tests.support.fleet import Fleet, headers_of
from topics import catalogue

SECRET = "whsec_" + b64encode(b"a secret of 24 bytes or more").decode()


def hooked(new_fleet: NewFleet, webhooks: Mapping[str, str], **overrides: str) -> Fleet:
    """A fleet that tells these webhooks of the alerts of everybody."""
    told = {name: {"url": url, "secrets": [SECRET]} for name, url in webhooks.items()}
    usual = {
        "FLEET_HOOKS__EVERYBODY": json.dumps({"webhooks": told}),
        "FLEET_HOOKS__ALLOW_HTTP": "true",
        "FLEET_HOOKS__PRIVATE_HOSTS": '["127.0.0.1"]',
        "FLEET_HOOKS__TIMEOUT_S": "1",
    }
    return new_fleet(**usual | overrides)


def actions(fleet: Fleet) -> list[Action]:
    return fleet.events(catalogue.ACTIONS, Action)


def await_states(fleet: Fleet, *states: str) -> list[Action]:
    fleet.await_that(
        lambda: set(states) <= {action.state for action in actions(fleet)},
        lambda: f"{states}, of which came {[action.state for action in actions(fleet)]}",
    )
    return actions(fleet)


def test_a_webhook_is_signed_so_that_anybody_can_verify_it(new_fleet: NewFleet) -> None:
    alert = stream_alert("show", policy="default/2")
    with endpoint() as place:
        fleet = hooked(new_fleet, {"moderation": place.url})
        with fleet.serving("hooks"):
            fleet.publish(catalogue.ALERTS, [alert])
            (action,) = await_states(fleet, "delivered")
    (got,) = place.got
    document = Webhook(SECRET).verify(got.body, dict(got.headers))
    assert document["type"] == "deepfake.alert.raised"
    assert Alert.model_validate(document["data"]) == alert
    assert (action.kind, action.target, action.attempt) == ("webhook", "127.0.0.1", 1)
    told = "".join(str(message.value()) for message in fleet.messages(catalogue.ACTIONS.name))
    assert SECRET not in told
    assert place.url not in told


def test_who_does_not_answer_is_tried_again_with_the_same_id_and_delays_nobody(new_fleet: NewFleet) -> None:
    with (
        endpoint(lambda _: None) as silent,
        endpoint() as good,
        endpoint(lambda number: 200 if number else 500) as shaky,
    ):
        fleet = hooked(new_fleet, {"silent": silent.url, "good": good.url, "shaky": shaky.url})
        with fleet.serving("hooks") as hooks:
            fleet.publish(catalogue.ALERTS, [stream_alert(f"show-{number}", policy="default/2") for number in range(4)])
            fleet.await_that(lambda: len(good.got) == 4, "the good endpoint to have all alerts")
            fleet.await_that(lambda: hooks.count("fleet_hook_retries_waiting") >= 5, "retries to wait")
            fleet.publish(catalogue.ALERTS, [stream_alert("late", policy="default/2")])
            fleet.await_that(lambda: len(good.got) == 5, "the late alert not to wait for others' retries")
            fleet.await_that(lambda: len(shaky.got) >= 6, "the shaky endpoint to be tried again")
    (first, again) = (got for got in shaky.got if got.body == shaky.got[0].body)
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert int(again.headers["webhook-timestamp"]) >= int(first.headers["webhook-timestamp"]) + 9
    assert Webhook(SECRET).verify(again.body, dict(again.headers))
    waiting = fleet.messages("deepfake.alerts.retry.10s")
    assert {headers_of(message)["retry-target"] for message in waiting} == {"webhook:*:silent", "webhook:*:shaky"}


@pytest.mark.parametrize(("status", "headers"), [(410, {}), (404, {}), (302, {"Location": "http://169.254.169.254/"})])
def test_what_is_refused_for_ever_is_a_dead_letter_and_no_redirect_is_followed(
    new_fleet: NewFleet, status: int, headers: Mapping[str, str]
) -> None:
    with endpoint(lambda _: status, headers) as place:
        fleet = hooked(new_fleet, {"gone": place.url})
        with fleet.serving("hooks"):
            fleet.publish(catalogue.ALERTS, [stream_alert("show", policy="default/2")])
            (action,) = await_states(fleet, "failed")
            if status == 302:
                fleet.await_messages("deepfake.alerts.retry.10s", 1)
            else:
                (buried,) = fleet.await_messages("deepfake.alerts.dlq", 1)
                assert headers_of(buried)["dlq-reason"] == "undeliverable"
    assert f"status {status}" in action.detail
    assert len(place.got) == 1


def test_private_addresses_are_not_posted_to(new_fleet: NewFleet) -> None:
    with endpoint() as place:
        fleet = hooked(new_fleet, {"inside": place.url}, FLEET_HOOKS__PRIVATE_HOSTS="[]")
        with fleet.serving("hooks"):
            fleet.publish(catalogue.ALERTS, [stream_alert("show", policy="default/2")])
            (action,) = await_states(fleet, "failed")
    assert "not a public one" in action.detail
    assert place.got == []


def test_a_worker_that_is_killed_in_the_middle_delivers_when_it_is_back(new_fleet: NewFleet) -> None:
    with endpoint(lambda number: 200 if number else None) as place:
        fleet = hooked(new_fleet, {"slow": place.url}, FLEET_HOOKS__TIMEOUT_S="30")
        with fleet.spawned("hooks") as (victim,):
            fleet.publish(catalogue.ALERTS, [stream_alert("show", policy="default/2")])
            fleet.await_that(lambda: len(place.got) == 1, "the first attempt")
            victim.kill()
            victim.wait()
        with fleet.serving("hooks"):
            await_states(fleet, "delivered")
    first, second = place.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_a_stop_in_the_middle_loses_nothing(new_fleet: NewFleet) -> None:
    with endpoint(lambda number: 200 if number else None) as place:
        fleet = hooked(
            new_fleet, {"slow": place.url}, FLEET_HOOKS__TIMEOUT_S="30", FLEET_RUNTIME__DRAIN_TIMEOUT_S="0.5"
        )
        with fleet.serving("hooks"):
            fleet.publish(catalogue.ALERTS, [stream_alert("show", policy="default/2")])
            fleet.await_that(lambda: len(place.got) == 1, "the first attempt")
        with fleet.serving("hooks"):
            await_states(fleet, "delivered")


def test_policies_say_who_is_told(new_fleet: NewFleet) -> None:
    with endpoint() as place:
        fleet = hooked(new_fleet, {"all": place.url})
        with fleet.serving("hooks"):
            fleet.publish(
                catalogue.ALERTS,
                [stream_alert("quiet", policy="live-observe/1"), stream_alert("loud", policy="default/2")],
            )
            await_states(fleet, "delivered")
    assert [json.loads(got.body)["data"]["subject"] for got in place.got] == ["loud"]


def test_a_callback_is_called_only_where_its_host_is_allowed(new_fleet: NewFleet) -> None:
    with endpoint() as place:
        fleet = hooked(
            new_fleet,
            {},
            FLEET_HOOKS__CALLBACK_HOSTS='["127.0.0.1"]',
            FLEET_HOOKS__CALLBACK_SECRETS=json.dumps([SECRET]),
        )
        asked = StreamsAsked(connect(fleet.settings.redis), fleet.settings.redis)
        for stream, callback in (("ours", place.url), ("theirs", "http://evil.example/hook")):
            asked.note(StreamControl(stream_id=stream, command="update", callback=callback, at=AT))
        with fleet.serving("hooks"):
            fleet.publish(catalogue.ALERTS, [stream_alert(name, policy="default/2") for name in ("theirs", "ours")])
            await_states(fleet, "delivered")
    assert len(place.got) == 1
    assert Webhook(SECRET).verify(place.got[0].body, dict(place.got[0].headers))


def asked_of(fleet: Fleet, stream: str) -> None:
    asked = StreamsAsked(connect(fleet.settings.redis), fleet.settings.redis)
    asked.note(StreamControl(stream_id=stream, command="update", server="edge", publish_path=f"live/{stream}", at=AT))


def denied(fleet: Fleet, path: str) -> bool:
    async def look() -> bool:
        client = connect_asyncio(fleet.settings.redis)
        found = await DenyLeases(client, fleet.settings.redis).find("edge", path)
        await client.aclose()
        return found is not None

    return on_loop(look())


EDGE = json.dumps({"edge": {"kind": "nginx-rtmp", "api_urls": ["http://127.0.0.1:1"]}})


def alerting(fleet: Fleet, stream: str) -> int:
    """Let the window of a stream alert; return the episode."""
    windows = StreamWindows(connect(fleet.settings.redis), fleet.settings.redis)
    rules = WindowRules(hold_ms=0, min_faces=1)
    seen = SeenFrame(1, int(AT.timestamp() * 1000), (SeenFace(4.0, (0.1, 0.1, 0.4, 0.5)),))
    (moved,) = windows.add(stream, [seen], rules).moved
    return moved.episode


def test_what_is_blocked_is_released_by_a_person_and_not_blocked_again_by_its_alert(new_fleet: NewFleet) -> None:
    fleet = new_fleet(FLEET_BLOCKING__SERVERS=EDGE, FLEET_BLOCKING__CONFIRM_S="0.2")
    asked_of(fleet, "show")
    episode = alerting(fleet, "show")
    raised = stream_alert("show", episode)
    with fleet.serving("hooks"):
        fleet.publish(catalogue.ALERTS, [raised])
        await_states(fleet, "requested", "denied", "failed")
        assert denied(fleet, "live/show")
        strange = review("show", tenant="other")
        fleet.publish(catalogue.REVIEWS, [strange, review("show")])
        fleet.await_that(lambda: not denied(fleet, "live/show"), "the block to be lifted")
        released = await_states(fleet, "released")[-1]
        fleet.await_that(lambda: len(fleet.events(catalogue.ALERTS, Alert)) == 2, "the alert to be cleared")
        fleet.publish(catalogue.ALERTS, [raised, stream_alert("show", episode + 1)])
        fleet.publish(catalogue.ALERTS, [stream_alert("other", policy="live-block/1")])
        fleet.await_that(
            lambda: any(action.subject == "other" for action in actions(fleet)), "the next alert to be acted on"
        )
    assert not denied(fleet, "live/show"), "its alert is read again, and a person's word holds"
    cleared = next(alert for alert in fleet.events(catalogue.ALERTS, Alert) if alert.transition is Transition.CLEARED)
    assert (cleared.subject, cleared.episode) == ("show", episode)
    assert "moderator-7" in cleared.reason
    assert released.kind == "release"
    windows = StreamWindows(connect(fleet.settings.redis), fleet.settings.redis)
    assert not windows.lift("show", episode), "the window's alert is over, too"


def review(stream: str, tenant: str = "default") -> Review:
    return Review(
        verdict_id=stream_alert(stream).alert_id,
        content_id=stream,
        tenant=tenant,
        reviewer_id="moderator-7",
        label=Label.AUTHENTIC,
        at=datetime.now(UTC),
    )


def test_a_block_that_is_over_is_released_by_itself(new_fleet: NewFleet, tmp_path: Path) -> None:
    policies = tmp_path / "policies.yaml"
    policies.write_text(_SHORT)
    fleet = new_fleet(
        FLEET_BLOCKING__SERVERS=EDGE,
        FLEET_BLOCKING__CONFIRM_S="0.2",
        FLEET_POLICIES__FILE=str(policies),
        FLEET_HOOKS__SWEEP_S="0.2",
    )
    asked_of(fleet, "show")
    with fleet.serving("hooks"):
        fleet.publish(catalogue.ALERTS, [stream_alert("show", policy="short/1")])
        released = await_states(fleet, "denied", "released")[-1]
        fleet.await_that(lambda: len(fleet.events(catalogue.ALERTS, Alert)) == 2, "the alert to be cleared")
    assert released.detail == "its time is over"
    assert not denied(fleet, "live/show")


_SHORT = """
policies:
  - name: short
    version: 1
    description: Blocked for a second.
    combination: {kind: calibrated}
    live: {action: block, block_s: 1}
"""


def test_only_what_is_bad_enough_is_blocked(new_fleet: NewFleet) -> None:
    fleet = new_fleet(FLEET_BLOCKING__SERVERS=EDGE, FLEET_BLOCKING__CONFIRM_S="0.2")
    asked_of(fleet, "mild")
    asked_of(fleet, "alerted")
    asked_of(fleet, "bad")
    with fleet.serving("hooks"):
        fleet.publish(
            catalogue.ALERTS,
            [
                stream_alert("mild", risk=RiskLevel.MEDIUM),
                stream_alert("alerted", policy="default/2"),
                stream_alert("bad"),
            ],
        )
        await_states(fleet, "denied", "failed")
    assert {action.subject for action in actions(fleet)} == {"bad"}


def test_bad_messages_become_dead_letters_and_the_agent_goes_on(new_fleet: NewFleet) -> None:
    with endpoint() as place:
        fleet = hooked(new_fleet, {"all": place.url})
        with fleet.serving("hooks"):
            fleet.publish_raw(catalogue.ALERTS, b"no JSON")
            fleet.publish_raw(catalogue.ALERTS, b"{}")
            fleet.publish(catalogue.ALERTS, [stream_alert("show", policy="default/2")])
            await_states(fleet, "delivered")
            buried = fleet.await_messages("deepfake.alerts.dlq", 2)
    assert {headers_of(message)["dlq-reason"] for message in buried} == {"not_json", "schema_invalid"}
    assert timedelta(0) < datetime.now(UTC) - AT
