"""Live streams are pulled: their frames come, by one worker at a time, whatever server, worker and broker do."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import count, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import pytest
import urllib3

from agents.demo.publisher import Publisher
from agents.keyvalue import connect
from agents.local import EmbeddedBroker, NginxRtmp, Valkey, nginx_rtmp_available
from agents.local.ports import choose_ports
from agents.local.processes import children_of
from agents.runtime.exceptions import AgentStopped
from agents.runtime.health import Health
from agents.runtime.metrics import Metrics
from agents.streams import Streams
from schemas.stream import StreamControl, StreamState
from tests.pipeline.conftest import NewFleet
from tests.support.commands import run_fleet
from tests.support.fleet import Fleet, headers_of
from tests.support.hls import serving, write_playlist
from tests.support.media import Clip, MediaFolder
from topics import catalogue
from topics.live_frames import LiveFrame, read_frame

pytestmark = pytest.mark.skipif(nginx_rtmp_available() is not None, reason=nginx_rtmp_available() or "")

SMALL = Clip(width=320, height=240, fps=25, frames=100, gop=12)
_MOMENTS = count()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NginxRtmp]:
    server = NginxRtmp(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def streams_fleet(new_fleet: NewFleet) -> Fleet:
    """A fleet that notices quickly."""
    return new_fleet(
        FLEET_STREAMS__READ_TIMEOUT_S="2",
        FLEET_STREAMS__OPEN_TIMEOUT_S="4",
        FLEET_STREAMS__RETRY_S="0.2",
        FLEET_STREAMS__RETRY_MOST_S="1",
        FLEET_STREAMS__LEASE_S="3",
        FLEET_STREAMS__FRAME_TIMEOUT_S="0.5",
    )


def ask(fleet: Fleet, stream_id: str, command: str = "start", **fields: object) -> None:
    """Publish a command."""
    moment = datetime.fromtimestamp(1_790_000_000 + next(_MOMENTS), UTC)
    given = {"stream_id": stream_id, "command": command, "at": moment, **fields}
    fleet.publish(catalogue.STREAMS, [StreamControl.model_validate(given)])


def frames(fleet: Fleet, stream_id: str) -> list[LiveFrame]:
    """Every frame of a stream so far, in the order of the topic."""
    found = []
    for message in fleet.messages(catalogue.FRAMES.name):
        headers = {name: value.encode() for name, value in headers_of(message).items()}
        key, value = message.key(), message.value()
        assert isinstance(key, bytes)
        assert isinstance(value, bytes)
        frame = read_frame(key, value, headers)
        if frame.stream_id == stream_id:
            found.append(frame)
    return found


def await_frames(fleet: Fleet, stream_id: str, at_least: int, timeout_s: float = 30.0) -> list[LiveFrame]:
    """Wait for so many frames of a stream."""
    fleet.await_that(
        lambda: len(frames(fleet, stream_id)) >= at_least,
        lambda: f"{at_least} frames of {stream_id}, of which came {len(frames(fleet, stream_id))}; {states(fleet)}",
        timeout_s,
    )
    return frames(fleet, stream_id)


def states(fleet: Fleet, stream_id: str = "") -> list[StreamState]:
    """Every state so far, of one stream or all."""
    events = fleet.events(catalogue.STREAM_STATES, StreamState)
    return [state for state in events if stream_id in {"", state.stream_id}]


def await_state(fleet: Fleet, stream_id: str, phase: str, reason: str = "", since: int = 0) -> StreamState:
    """Wait for a state after the first `since`."""

    def found() -> list[StreamState]:
        every = states(fleet, stream_id)[since:]
        return [state for state in every if state.phase == phase and state.reason.startswith(reason)]

    fleet.await_that(lambda: bool(found()), lambda: f"{phase} {reason}: {states(fleet, stream_id)}", 30.0)
    return found()[-1]


def assert_seq_rises(seen: list[LiveFrame]) -> None:
    assert all(before.seq < after.seq for before, after in pairwise(seen))


def test_a_started_stream_gives_its_frames_and_a_stopped_one_gives_no_more(
    streams_fleet: Fleet, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet = streams_fleet
    with Publisher(media.clip(SMALL), f"{server.url}/a") as publisher, fleet.running("streams"):
        publisher.await_publishing()
        ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=5)
        seen = await_frames(fleet, "a", 15)
        assert_seq_rises(seen)
        assert {frame.kind for frame in seen} == {"image/jpeg"}
        live = await_state(fleet, "a", "live")
        assert (live.codec, live.width, live.height) == ("h264", 320, 240)
        ask(fleet, "a", "stop")
        assert await_state(fleet, "a", "ended").reason == "stopped"


def test_hls_is_pulled_too(streams_fleet: Fleet, media: MediaFolder) -> None:
    fleet = streams_fleet
    write_playlist(media.folder / "list.m3u8", media.clip(SMALL))
    with serving(media.folder) as (url, _), fleet.running("streams"):
        ask(fleet, "a", url=f"{url}/list.m3u8", sample_rate_fps=5)
        # The list has an end: it is read again and again.
        seen = await_frames(fleet, "a", 30)
        fleet.await_that(lambda: states(fleet, "a")[-1].connections >= 2, "a second connection")
    assert_seq_rises(seen)
    assert rate(seen) < 6


def test_no_frame_comes_once_a_stream_is_said_to_have_ended(
    streams_fleet: Fleet, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet, clip = streams_fleet, media.clip(SMALL)
    with (
        Publisher(clip, f"{server.url}/a") as first,
        Publisher(clip, f"{server.url}/b") as second,
        fleet.running("streams"),
    ):
        first.await_publishing()
        second.await_publishing()
        for name in ("a", "b"):
            ask(fleet, name, url=f"{server.url}/{name}", sample_rate_fps=10)
        await_frames(fleet, "a", 5)
        await_frames(fleet, "b", 5)
        ask(fleet, "a", "stop")
        ended = await_state(fleet, "a", "ended")
        await_frames(fleet, "b", len(frames(fleet, "b")) + 15)
        assert frames(fleet, "a")[-1].seq < ended.next_seq
        assert frames(fleet, "a")[-1].captured_at <= ended.at


def test_frames_are_sampled_as_asked_and_an_update_changes_it(
    streams_fleet: Fleet, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet = streams_fleet
    with Publisher(media.clip(SMALL), f"{server.url}/a") as publisher, fleet.running("streams"):
        publisher.await_publishing()
        ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=2)
        slow = await_frames(fleet, "a", 6)
        assert rate(slow) == pytest.approx(2, abs=0.4)
        ask(fleet, "a", "update", sample_rate_fps=12)
        await_state(fleet, "a", "live", since=len(states(fleet, "a")))
        fast = await_frames(fleet, "a", len(frames(fleet, "a")) + 36)[-24:]
        assert 8 < rate(fast) < 14
        assert_seq_rises(frames(fleet, "a"))


def rate(seen: list[LiveFrame]) -> float:
    """Frames a second, by when they were captured."""
    return (len(seen) - 1) / (seen[-1].captured_at - seen[0].captured_at).total_seconds()


def test_of_a_flood_of_240_frames_a_second_no_more_are_published_than_asked(
    streams_fleet: Fleet, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet = streams_fleet
    flood = media.clip(Clip(width=320, height=240, fps=240, frames=480, gop=240))
    with Publisher(flood, f"{server.url}/a") as publisher, fleet.running("streams"):
        publisher.await_publishing()
        ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=4)
        seen = await_frames(fleet, "a", 24)
        assert rate(seen) < 4.5
        fleet.await_that(lambda: states(fleet, "a")[-1].received_fps > 100, lambda: str(states(fleet, "a")), 20)


def test_a_publisher_that_is_dropped_and_comes_back_is_pulled_again_and_seq_goes_on(
    streams_fleet: Fleet, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet = streams_fleet
    with Publisher(media.clip(SMALL), f"{server.url}/a") as publisher, fleet.running("streams"):
        publisher.await_publishing()
        ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=5)
        before = await_frames(fleet, "a", 5)
        publisher.stop()
        since = len(states(fleet, "a"))
        await_state(fleet, "a", "stalled", since=since)
        with Publisher(media.clip(SMALL), f"{server.url}/a") as again:
            again.await_publishing()
            await_state(fleet, "a", "live", since=since)
            after = await_frames(fleet, "a", len(frames(fleet, "a")) + 5)
    assert_seq_rises(after)
    assert len(after) > len(before)


@pytest.mark.parametrize(
    ("second", "suffix", "codec", "size"),
    [
        (Clip(width=192, height=144, fps=25, frames=100, gop=12), "mp4", "h264", (192, 144)),
        (Clip(width=320, height=240, fps=25, frames=100, gop=12, codec="flv", options=()), "flv", "flv", (320, 240)),
    ],
    ids=["resolution", "codec"],
)
def test_other_pictures_midway_are_followed(
    streams_fleet: Fleet,
    server: NginxRtmp,
    media: MediaFolder,
    second: Clip,
    suffix: str,
    codec: str,
    size: tuple[int, int],
) -> None:
    fleet = streams_fleet
    with fleet.running("streams"):
        with Publisher(media.clip(SMALL), f"{server.url}/a") as publisher:
            publisher.await_publishing()
            ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=5)
            await_frames(fleet, "a", 5)
        with Publisher(media.clip(second, suffix), f"{server.url}/a") as publisher:
            publisher.await_publishing()

            def followed() -> bool:
                last = states(fleet, "a")[-1]
                return (last.phase, last.codec, last.width, last.height) == ("live", codec, *size)

            fleet.await_that(followed, lambda: str(states(fleet, "a")[-3:]), 30)
            seen = await_frames(fleet, "a", len(frames(fleet, "a")) + 3)
    assert_seq_rises(seen)
    with av.open(BytesIO(seen[-1].image)) as still:
        assert (still.streams.video[0].width, still.streams.video[0].height) == size


def test_a_server_that_falls_silent_counts_as_stalled_and_is_connected_to_anew(
    streams_fleet: Fleet, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet = streams_fleet
    with Publisher(media.clip(SMALL), f"{server.url}/a", again_after_s=0.2) as publisher, fleet.running("streams"):
        publisher.await_publishing()
        ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=5)
        await_frames(fleet, "a", 5)
        since = len(states(fleet, "a"))
        os.kill(server.pid, signal.SIGSTOP)
        try:
            await_state(fleet, "a", "stalled", "timed_out", since)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await_state(fleet, "a", "live", since=since)
        assert_seq_rises(await_frames(fleet, "a", len(frames(fleet, "a")) + 5))


def test_a_process_that_hangs_is_killed_and_another_takes_its_place(
    streams_fleet: Fleet, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet = streams_fleet
    with Publisher(media.clip(SMALL), f"{server.url}/a") as publisher, fleet.running("streams"):
        publisher.await_publishing()
        ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=5)
        await_frames(fleet, "a", 5)
        since = len(states(fleet, "a"))
        (puller,) = pullers(os.getpid())
        os.kill(puller, signal.SIGSTOP)
        await_state(fleet, "a", "stalled", "hung", since)
        await_state(fleet, "a", "live", since=since)
        assert_seq_rises(await_frames(fleet, "a", len(frames(fleet, "a")) + 5))
        assert not Path(f"/proc/{puller}").exists()


def pullers(agent: int) -> list[int]:
    """The processes that pull for an agent's process."""
    nurseries = [pid for pid in children_of(agent) if b"pulling.nursery" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return [pid for nursery in nurseries for pid in children_of(nursery)]


def test_a_killed_worker_is_followed_by_another_and_nobody_publishes_beside_it(
    streams_fleet: Fleet, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet = streams_fleet
    with (
        Publisher(media.clip(SMALL), f"{server.url}/a") as publisher,
        fleet.spawned("streams", FLEET_RUNTIME__INSTANCE="one") as (one,),
        fleet.spawned("streams", FLEET_RUNTIME__INSTANCE="two") as (two,),
    ):
        publisher.await_publishing()
        ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=10)
        before = await_frames(fleet, "a", 10)
        owner = await_state(fleet, "a", "live")
        victim = one if owner.worker.startswith("one-") else two
        orphans = pullers(victim.pid)
        victim.kill()
        fleet.await_that(
            lambda: states(fleet, "a")[-1].phase == "live" and states(fleet, "a")[-1].worker != owner.worker,
            "the other worker to take over",
        )
        heir = states(fleet, "a")[-1]
        seen = await_frames(fleet, "a", len(frames(fleet, "a")) + 10)
        # A stop is obeyed wherever it is read.
        ask(fleet, "a", "stop")
        await_state(fleet, "a", "ended")
        assert len(orphans) == 1
        fleet.await_that(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans), "its process to end")
    assert len(seen) > len(before)
    assert heir.lease > owner.lease
    # One key, one partition, and its order: had both published, numbers would go back.
    assert_seq_rises(frames(fleet, "a"))


@pytest.mark.parametrize("whole", [True, False], ids=["as a machine that is paused", "its frames pile up meanwhile"])
def test_a_worker_that_was_frozen_publishes_nothing_more_of_a_stream_that_another_has_by_then(
    streams_fleet: Fleet, server: NginxRtmp, media: MediaFolder, *, whole: bool
) -> None:
    fleet = streams_fleet
    with (
        Publisher(media.clip(SMALL), f"{server.url}/a") as publisher,
        fleet.spawned("streams", FLEET_RUNTIME__INSTANCE="one") as (one,),
        fleet.spawned("streams", FLEET_RUNTIME__INSTANCE="two") as (two,),
    ):
        publisher.await_publishing()
        ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=10)
        await_frames(fleet, "a", 10)
        owner = await_state(fleet, "a", "live")
        zombie = one if owner.worker.startswith("one-") else two
        (puller,) = pullers(zombie.pid)
        frozen = [zombie.pid, puller] if whole else [zombie.pid]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            fleet.await_that(
                lambda: states(fleet, "a")[-1].phase == "live" and states(fleet, "a")[-1].worker != owner.worker,
                "the other worker to take over",
            )
            await_frames(fleet, "a", len(frames(fleet, "a")) + 5)
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        # It has learned that the stream is another's when its puller is gone.
        fleet.await_that(lambda: not Path(f"/proc/{puller}").exists(), "the frozen worker to let go")
        await_frames(fleet, "a", len(frames(fleet, "a")) + 10)
        heir = states(fleet, "a")[-1]
    assert heir.worker != owner.worker
    assert heir.lease > owner.lease
    assert_seq_rises(frames(fleet, "a"))
    leases = [state.lease for state in states(fleet, "a")]
    assert leases == sorted(leases)


def test_while_redis_is_away_frames_end_with_the_lease_and_go_on_when_it_comes_back_empty(
    migrated: dict[str, str], valkey: Valkey, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet = Fleet(
        {**migrated, "FLEET_REDIS__URL": valkey.url},
        media.folder,
        FLEET_REDIS__TIMEOUT_S="0.5",
        FLEET_STREAMS__LEASE_S="3",
        FLEET_STREAMS__FRAME_TIMEOUT_S="0.5",
    )
    with Publisher(media.clip(SMALL), f"{server.url}/a") as publisher, fleet.running("streams") as (streams,):
        publisher.await_publishing()
        ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=10)
        await_frames(fleet, "a", 5)
        valkey.kill()
        fleet.await_that(lambda: "redis" in streams.process.health.report().away, "Redis to be missed")
        fleet.await_that(lambda: streams.count("fleet_stream_frames", fate="dropped") > 5, "frames to be dropped")
        paused = frames(fleet, "a")
        valkey.restart()
        connect(fleet.settings.redis).flushall()
        seen = await_frames(fleet, "a", len(paused) + 10)
        fleet.await_that(lambda: streams.process.health.report().ready, "the agent to be ready")
        ask(fleet, "a", "stop")
        await_state(fleet, "a", "ended")
    assert_seq_rises(seen)
    fleet.close()


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A Valkey that only this test uses."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Valkey(folder)
        server.start()
        yield server
        server.stop()


@pytest.mark.own_servers
def test_while_the_broker_is_away_old_frames_are_dropped_and_then_fresh_ones_come(
    migrated: dict[str, str], server: NginxRtmp, media: MediaFolder, tmp_path: Path
) -> None:
    (tmp_path / "broker").mkdir()
    broker = EmbeddedBroker(tmp_path / "broker")
    broker.start()
    fleet = Fleet(
        {**migrated, "FLEET_KAFKA__BOOTSTRAP_SERVERS": broker.url, "FLEET_KAFKA__BROKER": "embedded"},
        media.folder,
        FLEET_STREAMS__FRAME_TIMEOUT_S="0.5",
    )
    with Publisher(media.clip(SMALL), f"{server.url}/a") as publisher, fleet.running("streams") as (streams,):
        publisher.await_publishing()
        ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=10)
        before = await_frames(fleet, "a", 5)[-1]
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            fleet.await_that(lambda: streams.count("fleet_stream_frames", fate="dropped") > 20, "drops")
        finally:
            woken = datetime.now(UTC)
            os.kill(broker.pid, signal.SIGCONT)
        fleet.await_that(lambda: frames(fleet, "a")[-1].captured_at > woken, "fresh frames")
        seen = frames(fleet, "a")
    late = [frame for frame in seen if frame.captured_at < woken - timedelta(seconds=2)]
    assert len({frame.seq for frame in late if frame.seq > before.seq}) < 20, "frames of long ago were queued"
    # What lay in a connection that was given up may be written after what came by the next one.
    assert_seq_rises([frame for frame in seen if frame.captured_at > woken])
    by_seq = sorted(seen, key=lambda frame: frame.seq)
    assert by_seq == sorted(seen, key=lambda frame: frame.captured_at)
    fleet.close()
    broker.stop()


def test_a_private_address_is_refused_unless_its_host_is_allowed(
    new_fleet: NewFleet, server: NginxRtmp, media: MediaFolder
) -> None:
    closed = new_fleet(FLEET_MEDIA__ALLOW_PRIVATE_ADDRESSES="false")
    open_ = new_fleet(FLEET_MEDIA__ALLOW_PRIVATE_ADDRESSES="false", FLEET_STREAMS__ALLOWED_HOSTS='["127.0.0.1"]')
    with Publisher(media.clip(SMALL), f"{server.url}/a") as publisher:
        publisher.await_publishing()
        with closed.running("streams"), open_.running("streams"):
            for fleet in (closed, open_):
                ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=5)
            refused = await_state(closed, "a", "connecting", "forbidden")
            await_frames(open_, "a", 3)
    assert "127.0.0.1" in refused.reason
    assert "/live/a" not in refused.reason
    assert frames(closed, "a") == []


def test_what_is_no_stream_says_so_and_is_tried_again_seldom(
    streams_fleet: Fleet, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet = streams_fleet
    media.write("page.m3u8", b"<html>not found</html>")
    with (
        fleet.running("streams"),
        socket.create_server(("127.0.0.1", 0)) as mute,
        serving(media.folder) as (pages, _),
        Publisher(media.clip(Clip(picture=False, sound=True)), f"{server.url}/sound") as sound,
    ):
        ask(fleet, "mute", url=f"rtmp://127.0.0.1:{mute.getsockname()[1]}/live/a")
        ask(fleet, "web", url=f"rtmp://127.0.0.1:{server.ports[1]}/live/a")
        ask(fleet, "nobody", url=f"rtmp://127.0.0.1:{choose_ports(1)[0]}/live/a")
        ask(fleet, "file", url="file:///etc/passwd")
        ask(fleet, "silent", url=f"{server.url}/nothing")
        ask(fleet, "page", url=f"{pages}/page.m3u8")
        sound.await_publishing()
        ask(fleet, "sound", url=f"{server.url}/sound")
        fleet.await_that(
            lambda: len({state.stream_id for state in states(fleet) if state.reason}) == 7,
            lambda: str(states(fleet)),
            30,
        )
        reasons = {state.stream_id: state.reason.partition(":")[0] for state in states(fleet) if state.reason}
    assert reasons == {
        "web": "unreachable",
        "nobody": "unreachable",
        "file": "forbidden",
        "silent": "timed_out",
        "mute": "timed_out",
        "page": "not_a_stream",
        "sound": "no_video",
    }


def test_streams_are_started_changed_looked_at_and_stopped_from_the_command_line(
    new_fleet: NewFleet, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet = new_fleet(FLEET_RUNTIME__HEALTH_PORT=str(choose_ports(1)[0]))
    with Publisher(media.clip(SMALL), f"{server.url}/a") as publisher, fleet.running("streams"):
        publisher.await_publishing()
        started = run_fleet(
            "streams", "start", "a", f"{server.url}/a", "--sample-rate", "2", variables=fleet.environment
        )
        assert started.returncode == 0, started.stderr
        await_state(fleet, "a", "live")
        endpoint = f"http://127.0.0.1:{fleet.environment['FLEET_RUNTIME__HEALTH_PORT']}/streams"
        (state,) = urllib3.request("GET", endpoint).json()
        assert (state["stream_id"], state["phase"]) == ("a", "live")
        changed = run_fleet("streams", "update", "a", "--sample-rate", "10", variables=fleet.environment)
        assert changed.returncode == 0, changed.stderr
        fleet.await_that(lambda: states(fleet, "a")[-1].connections == 2, "a new connection")
        table = run_fleet("streams", "list", variables={**fleet.environment, "COLUMNS": "200"})
        assert "h264 320x240" in table.stdout, table.stdout + table.stderr
        assert run_fleet("streams", "stop", "a", variables=fleet.environment).returncode == 0
        await_state(fleet, "a", "ended", "stopped")
        left = run_fleet("streams", "list", "--json", variables=fleet.environment)
        assert left.stdout == ""
    refused = run_fleet("streams", "start", "a", "", variables=fleet.environment)
    assert refused.returncode == 2


def test_a_worker_that_is_drained_hands_its_streams_over_at_once(
    new_fleet: NewFleet, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet = new_fleet(FLEET_STREAMS__LEASE_S="60")  # nothing runs out in this test
    with Publisher(media.clip(SMALL), f"{server.url}/a") as publisher, fleet.running("streams") as (first,):
        publisher.await_publishing()
        ask(fleet, "a", url=f"{server.url}/a", sample_rate_fps=10)
        owner = await_state(fleet, "a", "live")
        with fleet.running("streams"):
            first.stop()
            await_state(fleet, "a", "stalled", "its worker was stopped")
            fleet.await_that(
                lambda: states(fleet, "a")[-1].phase == "live" and states(fleet, "a")[-1].worker != owner.worker,
                "the other worker to take over",
            )
            await_frames(fleet, "a", len(frames(fleet, "a")) + 5)
    assert_seq_rises(frames(fleet, "a"))


def test_streams_are_shared_out_and_each_is_pulled_once(
    new_fleet: NewFleet, server: NginxRtmp, media: MediaFolder
) -> None:
    fleet = new_fleet(FLEET_STREAMS__MAX_STREAMS="3")
    names = [f"s{number}" for number in range(5)]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(Publisher(media.clip(SMALL), f"{server.url}/{name}")).await_publishing()
        stack.enter_context(fleet.running("streams", "streams"))
        for name in names:
            ask(fleet, name, url=f"{server.url}/{name}", sample_rate_fps=2)
        for name in names:
            await_frames(fleet, name, 4)
        owners = {name: {state.worker for state in states(fleet, name)} for name in names}
    assert all(len(workers) == 1 for workers in owners.values())
    assert len(set.union(*owners.values())) == 2


def test_an_agent_whose_own_threads_cannot_go_on_ends_with_their_error(fleet: Fleet) -> None:
    class Failing(Streams):
        def watched(self, health: Health, failed: Callable[[AgentStopped], None]) -> None:
            super().watched(health, failed)
            self.tell = failed

        def open(self) -> None:
            super().open()
            self.tell(AgentStopped("its keeper died"))

    with (
        pytest.raises(AgentStopped, match="its keeper died"),
        fleet.running(Failing(fleet.settings, Metrics())) as (streams,),
    ):
        streams.thread.join(30)
