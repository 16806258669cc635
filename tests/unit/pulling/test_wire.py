"""What a puller and its parent say to each other: a whole message in time, or a typed end."""

import socket
import struct
from collections.abc import Iterator

import pytest

from agents.pulling.exceptions import Trouble
from agents.pulling.wire import Broken, Kind, Opened, Pulse, Said, Silent, Still, Task, Wire

TASK = Task(
    url="rtmp://192.0.2.1/live/a",
    form="flv",
    options={"fflags": "nobuffer"},
    fps=1.5,
    every_nth=None,
    max_side=640,
    quality=90,
    most_bytes=1000,
    open_timeout_s=1,
    read_timeout_s=2,
    hosts=["live.example"],
)


@pytest.fixture
def pair() -> Iterator[tuple[Wire, Wire, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Wire(ours), Wire(theirs), theirs


def test_a_task_comes_as_it_was_given(pair: tuple[Wire, Wire, socket.socket]) -> None:
    parent, puller, _ = pair
    parent.send_task(TASK)
    assert puller.receive_task() == TASK


@pytest.mark.parametrize(
    "said", [Opened("h264", 1280, 720), Pulse(12, 0.5), Still(1_790_000_000_000, 40, 8, 6, b"jpeg")]
)
def test_what_a_puller_says_comes_as_it_was_said(pair: tuple[Wire, Wire, socket.socket], said: Said) -> None:
    parent, puller, _ = pair
    puller.send(said)
    assert parent.receive(1) == said


def test_why_it_is_over_is_raised(pair: tuple[Wire, Wire, socket.socket]) -> None:
    parent, puller, _ = pair
    puller.send_end(Trouble("no_video", "only sound"))
    with pytest.raises(Trouble, match="no_video: only sound"):
        parent.receive(1)


def test_half_a_message_is_not_waited_for_without_end(pair: tuple[Wire, Wire, socket.socket]) -> None:
    parent, _, theirs = pair
    theirs.sendall(struct.pack("=BI", Kind.FRAME, 100) + b"half")
    with pytest.raises(Silent):
        parent.receive(0.05)


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack("=BI", 99, 0),
        struct.pack("=BI", Kind.FRAME, 1 << 30),
        struct.pack("=BI", Kind.PULSE, 1 << 20),
        struct.pack("=BI", Kind.PULSE, 2) + b"{}",
        struct.pack("=BI", Kind.PULSE, 4) + b"\xff\xff\xff\xff",
        struct.pack("=BI", Kind.ENDED, 29) + b'{"kind":"what","detail":"no"}',
        struct.pack("=BI", Kind.TASK, 2) + b"{}",
        struct.pack("=BIqqHH", Kind.FRAME, 22, -5, 0, 1, 1) + b"no",
        struct.pack("=BI", Kind.FRAME, 3) + b"abc",
    ],
)
def test_a_puller_that_breaks_the_rules_is_not_believed(pair: tuple[Wire, Wire, socket.socket], sent: bytes) -> None:
    parent, _, theirs = pair
    theirs.sendall(sent)
    with pytest.raises(Broken):
        parent.receive(1)


def test_a_puller_that_is_gone_is_noticed_on_both_ways(pair: tuple[Wire, Wire, socket.socket]) -> None:
    parent, _, theirs = pair
    theirs.close()
    with pytest.raises(Broken):
        parent.receive(1)
    with pytest.raises(Broken):
        parent.send_task(TASK)
