"""Live streams are pulled: their frames come, by one worker at a time, whatever happens to server, worker and broker."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, pairwise
from pathlib import Path

import pytest

from agents.demo.publisher import Publisher
from agents.local import NginxRtmp, nginx_rtmp_available
from schemas.stream import StreamControl, StreamState
from tests.pipeline.conftest import NewFleet
from tests.support.fleet import Fleet, headers_of
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
