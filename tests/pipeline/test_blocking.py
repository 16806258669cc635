"""A stream that is blocked is gone and stays gone, at a real nginx-rtmp that asks the real door."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

import pytest
import urllib3
from hypothesis import given, settings as hypothesis_settings, strategies as st

from agents.blocking.blocker import Blocker
from agents.blocking.leases import Deny, DenyLeases
from agents.blocking.servers.catalogue import live_servers
from agents.demo.publisher import Publisher
from agents.door import Door
from agents.keyvalue import connect_asyncio
from agents.local import NginxRtmp, Valkey, nginx_rtmp_available
from agents.local.ports import choose_ports
from agents.runtime.deadline import Deadline
from agents.runtime.metrics import Metrics
from agents.settings import BlockingSettings, DoorSettings, LiveServerSettings, RedisSettings, Settings
from models.policy import Live
from schemas.identity import alert_id, derive
from schemas.media import ContentType
from schemas.moderation import Action, Alert, Transition
from schemas.stream import StreamControl
from schemas.verdict import RiskLevel
from tests.support.media import Clip, MediaFolder

needs_nginx = pytest.mark.skipif(nginx_rtmp_available() is not None, reason=nginx_rtmp_available() or "")

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LIVE = Live(block_s=3600)
_T = TypeVar("_T")


def alert(stream_id: str, episode: int = 1, transition: Transition = Transition.RAISED) -> Alert:
    return Alert(
        alert_id=alert_id(stream_id, episode, transition),
        tenant="default",
        subject=stream_id,
        content_id=stream_id,
        content_type=ContentType.STREAM,
        episode=episode,
        transition=transition,
        risk_level=RiskLevel.HIGH,
        score=0.9,
        reason="A face looks altered.",
        model_set="models",
        policy="live-block/1",
        at=NOW,
    )


def asked(stream_id: str, path: str, server: str | None = "edge") -> StreamControl:
    return StreamControl(stream_id=stream_id, command="update", server=server, publish_path=path, at=NOW)


def deny(path: str, episode: int = 1, stream_id: str | None = None, until_ms: int = 10_000) -> Deny:
    stream = stream_id or path
    return Deny(
        server="edge",
        path=path,
        stream_id=stream,
        tenant="default",
        alert_id=derive("alert", stream, str(episode)),
        episode=episode,
        score=0.9,
        risk_level="high",
        model_set="models",
        policy="live-block/1",
        reason="A face looks altered.",
        since_ms=0,
        until_ms=until_ms,
    )


@pytest.fixture
def redis_settings(server_environment: dict[str, str]) -> RedisSettings:
    return RedisSettings.model_validate(
        {"url": server_environment["FLEET_REDIS__URL"], "key_prefix": f"b{uuid4().hex[:8]}:"}
    )


def on_loop(work: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(work)


async def with_leases(redis: RedisSettings, *steps: Any) -> list[object]:
    client = connect_asyncio(redis)
    leases = DenyLeases(client, redis)
    try:
        return [await step(leases) for step in steps]
    finally:
        await client.aclose()


class TestLeases:
    def test_a_name_is_denied_until_it_is_lifted(self, redis_settings: RedisSettings) -> None:
        one = deny("live/one")
        found = on_loop(
            with_leases(
                redis_settings,
                lambda leases: leases.find("edge", "live/one"),
                lambda leases: leases.deny(one, 0),
                lambda leases: leases.find("edge", "live/one"),
                lambda leases: leases.of_stream("live/one"),
                lambda leases: leases.find("other", "live/one"),
                lambda leases: leases.lift(one),
                lambda leases: leases.find("edge", "live/one"),
                lambda leases: leases.of_stream("live/one"),
            )
        )
        assert found == [None, one, one, one, None, one, None, None]

    def test_an_alert_read_again_neither_prolongs_nor_denies_again(self, redis_settings: RedisSettings) -> None:
        first, later = deny("live/one"), deny("live/one", until_ms=99_000)
        found = on_loop(
            with_leases(
                redis_settings,
                lambda leases: leases.deny(first, 0),
                lambda leases: leases.deny(later, 5_000),
                lambda leases: leases.lift(first),
                lambda leases: leases.deny(later, 6_000),
                lambda leases: leases.find("edge", "live/one"),
            )
        )
        assert found == [first, first, first, None, None]

    def test_an_older_episode_denies_no_more_and_a_newer_one_does(self, redis_settings: RedisSettings) -> None:
        old, new = deny("live/one", 1), deny("live/one", 2)
        found = on_loop(
            with_leases(
                redis_settings,
                lambda leases: leases.deny(new, 0),
                lambda leases: leases.deny(old, 0),
                lambda leases: leases.lift(old),
                lambda leases: leases.find("edge", "live/one"),
                lambda leases: leases.lift(new),
                lambda leases: leases.deny(deny("live/one", 3), 0),
            )
        )
        assert found == [new, None, None, new, new, deny("live/one", 3)]

    def test_a_persons_word_holds_for_its_time(self, redis_settings: RedisSettings) -> None:
        one, two = deny("live/one", 1), deny("live/one", 2)
        found = on_loop(
            with_leases(
                redis_settings,
                lambda leases: leases.deny(one, 0),
                lambda leases: leases.lift(one, 5_000),
                lambda leases: leases.deny(two, 4_999),
                lambda leases: leases.deny(two, 5_000),
            )
        )
        assert found == [one, one, None, two]

    def test_what_is_over_is_due_until_it_is_done(self, redis_settings: RedisSettings) -> None:
        one, two = deny("live/one", until_ms=1_000), deny("live/two", until_ms=2_000)
        found = on_loop(
            with_leases(
                redis_settings,
                lambda leases: leases.deny(one, 0),
                lambda leases: leases.deny(two, 0),
                lambda leases: leases.due(999),
                lambda leases: leases.due(1_000),
                lambda leases: leases.due(1_000),
                lambda leases: leases.lift(one),
                lambda leases: leases.forget_due(one),
                lambda leases: leases.due(3_000),
            )
        )
        assert found[2:5] == [[], [one], [one]]
        assert found[7] == [two]

    @hypothesis_settings(max_examples=40, deadline=None)
    @given(steps=st.lists(st.tuples(st.sampled_from(["deny", "lift"]), st.integers(1, 4)), min_size=1, max_size=12))
    def test_whatever_comes_again_in_whatever_order_a_released_episode_never_denies(
        self, server_environment: dict[str, str], steps: list[tuple[str, int]]
    ) -> None:
        redis = RedisSettings.model_validate(
            {"url": server_environment["FLEET_REDIS__URL"], "key_prefix": f"b{uuid4().hex[:8]}:"}
        )

        async def play() -> None:
            client = connect_asyncio(redis)
            leases, released, in_force = DenyLeases(client, redis), 0, 0
            for what, episode in steps:
                if what == "deny":
                    got = await leases.deny(deny("live/one", episode), 0)
                    if released < episode >= in_force:
                        in_force = episode
                        assert got is not None
                    else:
                        assert got is None
                else:
                    await leases.lift(deny("live/one", episode))
                    released = max(released, episode)
                    in_force = 0 if in_force <= episode else in_force
                found = await leases.find("edge", "live/one")
                assert (found.episode if found else 0) == in_force
            await client.aclose()

        on_loop(play())


@contextmanager
def door(settings: Settings) -> Iterator[Door]:
    service = Door(settings, Metrics())
    thread = Thread(target=service.run, name="door", daemon=True)
    thread.start()
    deadline = Deadline.after(10)
    while not service.port:
        assert not deadline.expired, "the door did not open"
    try:
        yield service
    finally:
        service.stop()
        thread.join(10)
        assert not thread.is_alive()


def settings_of(redis: RedisSettings, port: int = 0, *, kind: str = "nginx-rtmp", **more: Any) -> Settings:
    server = LiveServerSettings.model_validate(
        {"kind": kind, "api_urls": more.pop("api_urls", ("http://127.0.0.1:1",))}
    )
    return Settings(
        redis=redis,
        door=DoorSettings(port=port, **more),
        blocking=BlockingSettings(servers={"edge": server}, confirm_s=5),
    )


@pytest.fixture
def clip(media: MediaFolder) -> Path:
    return media.clip(Clip(width=192, height=192, fps=10, frames=40, gop=10))


def block(settings: Settings, stream_id: str, path: str, episode: int = 1) -> list[Action]:
    async def run() -> list[Action]:
        client = connect_asyncio(settings.redis)
        blocker = Blocker(DenyLeases(client, settings.redis), live_servers(settings.blocking), settings.blocking)
        actions = [action async for action in blocker.block(alert(stream_id, episode), asked(stream_id, path), LIVE)]
        await client.aclose()
        return actions

    return on_loop(run())


def release(settings: Settings, stream_id: str) -> Action:
    async def run() -> Action:
        client = connect_asyncio(settings.redis)
        leases = DenyLeases(client, settings.redis)
        found = await leases.of_stream(stream_id)
        assert found is not None
        blocker = Blocker(leases, {}, settings.blocking)
        action = blocker.released(found, "a person says it is authentic")
        await blocker.release(found)
        await client.aclose()
        return action

    return on_loop(run())


@needs_nginx
@pytest.mark.own_servers
class TestNginx:
    @pytest.fixture
    def place(self, tmp_path: Path, redis_settings: RedisSettings) -> Iterator[tuple[NginxRtmp, Settings]]:
        (port,) = choose_ports(1)
        url = f"http://127.0.0.1:{port}/edge/publish?token=secret"
        server = NginxRtmp(tmp_path, on_publish=url, on_update=url)
        server.start()
        base = server.control_url.removesuffix("/control")
        settings = settings_of(redis_settings, port, api_urls=(base,), token="secret")
        with door(settings):
            yield server, settings
        server.stop()

    def test_a_blocked_publisher_is_gone_and_stays_out_while_others_go_on(
        self, place: tuple[NginxRtmp, Settings], clip: Path
    ) -> None:
        server, settings = place
        with (
            Publisher(clip, f"{server.url}/Bad", again_after_s=0.2) as bad,
            Publisher(clip, f"{server.url}/good", again_after_s=0.2) as good,
        ):
            bad.await_publishing()
            good.await_publishing()
            actions = block(settings, "bad", "live/Bad")
            assert [action.state for action in actions] == ["requested", "denied", "kicked", "confirmed"]
            assert {action.target for action in actions} == {"edge/live/bad"}
            bad.await_refused(5)
            assert good.refusals == 0
            again = block(settings, "bad", "live/Bad")
            assert [action.state for action in again] == ["requested", "denied", "confirmed"]
            assert {action.action_id for action in again} == {action.action_id for action in actions}
            assert release(settings, "bad").state == "released"
            bad.await_publishing()
            assert block(settings, "bad", "live/Bad") == [], "its alert is read again"
            assert bad.state == "publishing"

    def test_who_slipped_in_is_thrown_out_when_the_server_asks_again(
        self, place: tuple[NginxRtmp, Settings], clip: Path
    ) -> None:
        server, settings = place
        with Publisher(clip, f"{server.url}/sly") as sly:
            sly.await_publishing()
            until_ms = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1000)
            on_loop(with_leases(settings.redis, lambda leases: leases.deny(deny("live/sly", until_ms=until_ms), 0)))
            sly.await_refused()

    def test_a_denial_ends_by_itself(self, place: tuple[NginxRtmp, Settings], clip: Path) -> None:
        server, settings = place
        until_ms = int((datetime.now(UTC) + timedelta(seconds=2)).timestamp() * 1000)
        on_loop(with_leases(settings.redis, lambda leases: leases.deny(deny("live/back", until_ms=until_ms), 0)))
        with Publisher(clip, f"{server.url}/back", again_after_s=0.2) as back:
            back.await_refused()
            back.await_publishing()

    def test_a_live_server_that_is_away_leaves_the_denial_in_force(self, redis_settings: RedisSettings) -> None:
        settings = settings_of(redis_settings)
        quick = settings.model_copy(update={"blocking": settings.blocking.model_copy(update={"confirm_s": 0.3})})
        actions = block(quick, "bad", "live/bad")
        assert [action.state for action in actions] == ["requested", "denied", "failed"]
        assert "denial stays in force" in actions[-1].detail
        (found,) = on_loop(with_leases(redis_settings, lambda leases: leases.find("edge", "live/bad")))
        assert found is not None


def test_a_stream_of_which_nobody_said_where_it_is_published_is_not_blocked(redis_settings: RedisSettings) -> None:
    settings = settings_of(redis_settings)

    async def run(control: StreamControl) -> list[Action]:
        client = connect_asyncio(redis_settings)
        blocker = Blocker(DenyLeases(client, redis_settings), live_servers(settings.blocking), settings.blocking)
        actions = [action async for action in blocker.block(alert("lost"), control, LIVE)]
        await client.aclose()
        return actions

    nowhere = StreamControl(stream_id="lost", command="update", at=NOW)
    for control, why in ((nowhere, "under which name"), (asked("lost", "live/lost", "moon"), "no live server 'moon'")):
        (action,) = on_loop(run(control))
        assert action.state == "failed"
        assert why in action.detail


class TestDoor:
    def ask(self, service: Door, path: str, **fields: str) -> int:
        url = f"http://127.0.0.1:{service.port}{path}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return urllib3.request("POST", url, body=urlencode(fields), headers=headers).status

    def test_strangers_are_refused(self, redis_settings: RedisSettings) -> None:
        publish = {"call": "publish", "app": "live", "name": "one"}
        with door(settings_of(redis_settings, token="secret")) as service:
            assert self.ask(service, "/edge/publish?token=secret", **publish) == 204
            assert self.ask(service, "/edge/publish?token=wrong", **publish) == 401
            assert self.ask(service, "/edge/publish", **publish) == 401
            assert self.ask(service, "/other/publish?token=secret", **publish) == 404
            assert self.ask(service, "/edge/publish?token=secret", call="publish", app="live") == 400
            assert self.ask(service, "/edge/publish?token=secret", call="publish", name="no app") == 400
            assert self.ask(service, "/edge/publish?token=secret", **(publish | {"name": "x" * 70_000})) == 413
            assert self.ask(service, "/edge/publish?token=secret", call="play", app="live") == 204

    @pytest.mark.parametrize(("tenant", "status"), [("open", 204), ("closed", 403)])
    @pytest.mark.own_servers
    def test_while_redis_is_away_the_policy_says_who_may_publish(
        self, tmp_path: Path, tenant: str, status: int
    ) -> None:
        policies = tmp_path / "policies.yaml"
        policies.write_text(_CLOSED)
        with TemporaryDirectory() as name:
            valkey = Valkey(Path(name))
            valkey.start()
            settings = settings_of(RedisSettings.model_validate({"url": valkey.url}), redis_timeout_s=0.3)
            server = settings.blocking.servers["edge"].model_copy(update={"tenant": tenant})
            settings = settings.model_copy(
                update={
                    "blocking": BlockingSettings(servers={"edge": server}),
                    "policies": settings.policies.model_copy(
                        update={"file": policies, "tenants": {"closed": "closed"}}
                    ),
                }
            )
            publish = {"call": "publish", "app": "live", "name": "one"}
            with door(settings) as service:
                assert self.ask(service, "/edge/publish", **publish) == 204
                valkey.kill()
                assert self.ask(service, "/edge/publish", **publish) == status
                health = urllib3.request("GET", f"http://127.0.0.1:{service.port}/health").json()
                assert "redis" in health["away"]
                valkey.restart()
                assert self.ask(service, "/edge/publish", **publish) == 204
                assert urllib3.request("GET", f"http://127.0.0.1:{service.port}/health").json()["away"] == {}
            valkey.stop()


_CLOSED = """
policies:
  - name: closed
    version: 1
    description: Nobody in without knowing who is blocked.
    combination: {kind: calibrated}
    live: {fail_closed: true}
"""
