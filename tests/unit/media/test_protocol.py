"""Parent and decoder understand each other, and the parent believes nothing that is not well formed."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.media.answers import failure_in, frame_in, probe_in
from agents.media.protocol import MOST_DATA, Channel, Closed, Kind, Message, ProtocolError

FRAME = {
    "job": 1,
    "slot": 0,
    "width": 4,
    "height": 3,
    "source_width": 8,
    "source_height": 6,
    "frame_number": 7,
    "pts_ms": 70,
    "is_key": 1,
}
PROBE = {
    "job": 1,
    "media_kind": "video",
    "container": "mp4",
    "codec": "h264",
    "width": 320,
    "height": 240,
    "rotation": 90,
    "duration_s": 2.5,
    "fps": 30,
    "frame_count": None,
    "key_frames_ms": [0, 800],
}


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    with contextlib.closing(Channel(ours)) as parent, contextlib.closing(Channel(theirs, True)) as decoder:
        yield parent, decoder


def test_messages_arrive_whole_and_in_order(pair: tuple[Channel, Channel]) -> None:
    parent, decoder = pair
    parent.send(Kind.RELEASE, {"slots": [1, 2]})
    parent.send(Kind.DATA, data=b"bytes")
    parent.send(Kind.LOST)
    assert decoder.receive() == Message(Kind.RELEASE, {"slots": [1, 2]})
    assert decoder.receive() == Message(Kind.DATA, {}, b"bytes")
    assert decoder.receive() == Message(Kind.LOST, {})


def test_descriptors_travel_with_their_message(pair: tuple[Channel, Channel]) -> None:
    parent, decoder = pair
    read, write = os.pipe()
    parent.send(Kind.LOST)
    parent.send(Kind.JOB, {"job": 1}, descriptors=(read,))
    assert decoder.receive().descriptors == ()
    (passed,) = decoder.receive().descriptors
    os.write(write, b"x")
    assert os.read(passed, 1) == b"x"
    for fd in (read, write, passed):
        os.close(fd)


def test_the_parent_takes_no_descriptors(pair: tuple[Channel, Channel]) -> None:
    parent, decoder = pair
    before = len(list(Path("/proc/self/fd").iterdir()))
    decoder.send(Kind.READY, {"held": []}, descriptors=(0,))
    assert parent.receive().descriptors == ()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_end_without_the_other_is_closed(pair: tuple[Channel, Channel]) -> None:
    parent, decoder = pair
    decoder.close()
    with pytest.raises(Closed):
        parent.receive()
    with pytest.raises(Closed):
        parent.send(Kind.LOST)


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack("=BI", 99, 0),
        struct.pack("=BI", Kind.DONE, 1 << 31),
        struct.pack("=BI", Kind.DATA, MOST_DATA + 1),
        struct.pack("=BI", Kind.DONE, 3) + b"{]}",
        struct.pack("=BI", Kind.DONE, 2) + b"[]",
        struct.pack("=BI", Kind.DONE, 100_000) + b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_an_error(raw: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(raw)
        with pytest.raises(ProtocolError):
            Channel(ours).receive()


def test_a_message_that_does_not_end_is_not_waited_for_forever() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0.1)
    with ours, theirs:
        theirs.sendall(struct.pack("=BI", Kind.DONE, 100) + b"{")
        with pytest.raises(Closed):
            Channel(ours).receive()


def test_well_formed_answers_are_understood() -> None:
    frame = frame_in(Message(Kind.FRAME, FRAME))
    assert (frame.size, frame.source_size, frame.is_key) == ((4, 3), (8, 6), True)
    probe = probe_in(Message(Kind.PROBED, PROBE))
    assert (probe.kind, probe.frame_count, probe.key_frames_ms, probe.fps) == ("video", None, (0, 800), 30.0)
    error = failure_in(Message(Kind.FAILED, {"kind": "too_large", "reason": "x" * 1000}))
    assert (error.kind, len(error.reason)) == ("too_large", 500)


@pytest.mark.parametrize(
    "wrong",
    [
        {"slot": -1},
        {"slot": "0"},
        {"slot": True},
        {"width": 0},
        {"height": 1 << 40},
        {"frame_number": -1},
        {"pts_ms": 1.5},
        {"is_key": None},
    ],
)
def test_a_frame_with_a_wrong_field_is_an_error(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        frame_in(Message(Kind.FRAME, FRAME | wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        {"media_kind": "script"},
        {"codec": 1},
        {"width": -1},
        {"rotation": 300},
        {"fps": float("nan")},
        {"duration_s": float("inf")},
        {"duration_s": "1"},
        {"frame_count": -1},
        {"key_frames_ms": [0, "1"]},
        {"key_frames_ms": None},
    ],
)
def test_a_probe_with_a_wrong_field_is_an_error(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        probe_in(Message(Kind.PROBED, PROBE | wrong))


def test_a_failure_of_no_known_kind_is_an_error() -> None:
    with pytest.raises(ProtocolError):
        failure_in(Message(Kind.FAILED, {"kind": "forbidden?", "reason": "x"}))
