"""A stream that is blocked is gone and stays gone at a real node-media-server 4, which tells the real door."""

from pathlib import Path

import pytest

from agents.demo.publisher import Publisher
from agents.local.ports import choose_ports
from agents.settings import BlockingSettings, DoorSettings, LiveServerSettings, RedisSettings, Settings
from tests.pipeline.test_blocking import block, door, redis_settings, release
from tests.support.media import Clip, MediaFolder
from tests.support.node_media_server import PASSWORD, USERNAME, NodeMedia, node_media_server_missing

__all__ = ["redis_settings"]

pytestmark = pytest.mark.own_servers


def test_a_blocked_publisher_is_thrown_out_and_closed_again_each_time(
    tmp_path: Path, media: MediaFolder, redis_settings: RedisSettings
) -> None:
    if (reason := node_media_server_missing()) is not None:
        pytest.skip(reason)
    clip = media.clip(Clip(width=192, height=192, fps=10, frames=40, gop=10))
    (port,) = choose_ports(1)
    server = NodeMedia(tmp_path, f"http://127.0.0.1:{port}/edge/publish?token=secret")
    server.start()
    edge = LiveServerSettings.model_validate(
        {
            "kind": "node-media-server",
            "api_urls": [server.api_url],
            "username": USERNAME,
            "password": PASSWORD,
        }
    )
    settings = Settings(
        redis=redis_settings,
        door=DoorSettings.model_validate({"port": port, "token": "secret"}),
        blocking=BlockingSettings(servers={"edge": edge}, confirm_s=5),
    )
    try:
        with (
            door(settings),
            Publisher(clip, f"{server.url}/bad", again_after_s=0.2) as bad,
            Publisher(clip, f"{server.url}/good", again_after_s=0.2) as good,
        ):
            bad.await_publishing()
            good.await_publishing()
            actions = block(settings, "bad", "live/bad")
            assert [action.state for action in actions] == ["requested", "denied", "kicked", "confirmed"]
            bad.await_refused(4)
            assert good.refusals == 0
            release(settings, "bad")
            refusals = bad.refusals
            bad.await_publishing()
            assert bad.refusals <= refusals + 1
    finally:
        server.stop()
