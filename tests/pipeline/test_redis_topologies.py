"""The fleet on a Redis Cluster, and behind Sentinel: by URL alone."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from redis.cluster import RedisCluster

from agents.keyvalue import connect
from agents.live.asked import StreamsAsked
from agents.live.last_views import LastView, LastViews
from agents.live.stream_window import SeenFace, SeenFrame, StreamWindows, WindowRules
from agents.live.worst_faces import LiveFace, WorstFaces
from agents.runtime.deadline import Deadline
from agents.runtime.exceptions import Unavailable
from agents.settings import RedisSettings
from schemas.stream import StreamControl
from tests.pipeline.conftest import NewFleet
from tests.support.live import START, altered, frames, publish, untouched
from tests.support.media import MediaFolder, image_bytes, photograph
from tests.support.valkeys import behind_sentinel, cluster, replicate
from topics import catalogue

pytestmark = pytest.mark.own_servers

STREAMS = [f"stream-{number}" for number in range(12)]
RULES = WindowRules(hold_ms=0, min_faces=1)


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    with TemporaryDirectory() as folder, cluster(Path(folder) / "cluster") as url:
        yield url


def settings_of(url: str) -> RedisSettings:
    return RedisSettings.model_validate({"url": url, "timeout_s": 2, "key_prefix": f"c{uuid4().hex[:8]}:"})


def seen(seq: int, logit: float = 3.0) -> SeenFrame:
    return SeenFrame(seq, 1_790_000_000_000 + 250 * seq, (SeenFace(logit, (0.1, 0.1, 0.4, 0.5)),))


def test_what_is_remembered_of_streams_spreads_over_a_cluster(cluster_url: str) -> None:
    settings = settings_of(cluster_url)
    client = connect(settings)
    assert isinstance(client, RedisCluster)
    windows = StreamWindows(client, settings)
    for seq in range(4):
        outcomes = windows.add_all({stream: ([seen(seq)], RULES) for stream in STREAMS})
    assert {outcome.frames for outcome in outcomes.values()} == {4}
    assert {outcome.phase for outcome in outcomes.values()} == {"alerting"}
    assert [past.seq for past in windows.timeline(STREAMS[0], 10)] == [0, 1, 2, 3]
    assert len({client.get_node_from_key(windows.keys(stream)[0]).name for stream in STREAMS}) == 3
    faces = WorstFaces(client, settings)
    for seq in range(5):
        faces.keep({stream: (LiveFace(seq, 40 * seq, float(seq), b"jpeg"), 60_000) for stream in STREAMS})
    assert [face.seq for face in faces.find(STREAMS[3])] == [4, 3, 2]
    LastViews(client, settings, 60_000).keep({stream: LastView(7, b"view") for stream in STREAMS})
    assert LastViews(client, settings, 60_000).find_all(STREAMS) == {stream: LastView(7, b"view") for stream in STREAMS}
    asked = StreamsAsked(client, settings)
    for stream in STREAMS:
        asked.note(StreamControl(stream_id=stream, command="update", tenant="acme", at=START))
    assert {control.tenant for control in asked.find_all([*STREAMS, "unknown"]).values()} == {"acme"}


def test_uploads_and_live_frames_are_judged_on_a_cluster(
    cluster_url: str, new_fleet: NewFleet, tiny_manifest: Path, media: MediaFolder
) -> None:
    fleet = new_fleet(FLEET_MODELS__MANIFEST=str(tiny_manifest), FLEET_REDIS__URL=cluster_url)
    still = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
    with fleet.running("uploads", "segments", "frames"):
        fleet.publish(catalogue.UPLOADS, [fleet.upload(still, f"still-{number}") for number in range(4)])
        for stream in STREAMS[:4]:
            publish(fleet, frames(stream, altered(), 0, 12))
        fleet.await_verdicts(4)
        fleet.await_that(lambda: len(fleet.messages(catalogue.ALERTS.name)) >= 4, "four alerts")


def test_a_failover_behind_sentinel_loses_no_window(tmp_path: Path) -> None:
    with behind_sentinel(tmp_path / "pair") as (url, primary):
        settings = settings_of(url)
        windows = StreamWindows(connect(settings), settings)
        for seq in range(4):
            windows.add("show", [seen(seq, -3.0)], RULES)
        replicate(connect(settings))
        primary.kill()
        deadline = Deadline.after(30)
        while True:
            try:
                outcome = windows.add("show", [seen(4, -3.0)], RULES)
                break
            except Unavailable:
                assert not deadline.expired, "nobody took over"
    assert (outcome.frames, outcome.added) == (5, 1)


def test_a_live_stream_goes_on_after_a_failover(new_fleet: NewFleet, tiny_manifest: Path, tmp_path: Path) -> None:
    with behind_sentinel(tmp_path / "pair") as (url, primary):
        fleet = new_fleet(FLEET_MODELS__MANIFEST=str(tiny_manifest), FLEET_REDIS__URL=url, FLEET_REDIS__TIMEOUT_S="1")
        with fleet.running("frames") as (agent,):
            publish(fleet, frames("show", untouched(), 0, 8))
            fleet.await_that(lambda: agent.count("fleet_live_frames", outcome="added") >= 8, "frames in the window")
            replicate(connect(fleet.settings.redis))
            primary.kill()
            publish(fleet, frames("show", altered(), 8, 40))
            fleet.await_that(lambda: len(fleet.messages(catalogue.ALERTS.name)) >= 1, "the alert")


def test_a_cluster_that_is_away_is_said() -> None:
    with pytest.raises(Unavailable, match="redis is away"):
        connect(settings_of("redis+cluster://127.0.0.1:1"))
