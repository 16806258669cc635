"""Live frames are read as anyone's producer may write them, and refused by name."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from topics.exceptions import FrameInvalid, FrameTooLarge
from topics.headers import DEAD_LETTER_REASONS, FRAME_HEADERS
from topics.live_frames import LARGEST_BYTES, LARGEST_NUMBER, LiveFrame, read_frame, write_frame

HEADERS: Mapping[str, bytes] = {header.name: header.example.encode() for header in FRAME_HEADERS}
STILL = b"\xff\xd8\xff\xe0 a still"


def test_the_documented_example_is_read() -> None:
    frame = read_frame(b"live-0815", STILL, HEADERS)
    assert (frame.stream_id, frame.seq, frame.pts_ms, frame.kind) == ("live-0815", 1042, 41680, "image/jpeg")
    assert frame.captured_at == datetime(2026, 3, 14, 9, 26, 53, 120_000, UTC)
    assert frame.captured_ms == 1_773_480_413_120
    assert frame.traceparent == HEADERS["traceparent"].decode()
    assert read_frame(b"live-0815", STILL, {**HEADERS, "other": b"\xff"}) == frame, (
        "what it does not know is left alone"
    )


@given(
    st.builds(
        LiveFrame,
        st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=40),
        st.integers(0, LARGEST_NUMBER),
        st.integers(0, LARGEST_NUMBER),
        st.datetimes(datetime(2000, 1, 2), datetime(2099, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
            lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        ),
        st.sampled_from(["image/jpeg", "image/png", "image/webp"]),
        st.binary(min_size=1, max_size=50),
    )
)
def test_what_is_written_is_read(frame: LiveFrame) -> None:
    message = write_frame(frame)
    assert read_frame(message.key, message.value, message.headers) == frame


def test_a_time_is_brought_to_one_zone() -> None:
    text = datetime(2026, 3, 14, 10, tzinfo=timezone(timedelta(hours=1))).isoformat().encode()
    assert read_frame(b"s", STILL, {**HEADERS, "captured_at": text}).captured_at.hour == 9


@pytest.mark.parametrize("name", ["seq", "pts_ms", "captured_at", "content-type"])
def test_a_header_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(FrameInvalid, match=f"{name}: there is no such header"):
        read_frame(b"s", STILL, {key: value for key, value in HEADERS.items() if key != name})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seq": b"-1"}, "seq: .* is no whole number"),
        ({"seq": b"1.5"}, "seq"),
        ({"seq": b"9007199254740992"}, "seq"),
        ({"pts_ms": b""}, "pts_ms"),
        ({"pts_ms": b"1" * 5000}, "pts_ms"),
        ({"captured_at": b"yesterday"}, "captured_at: 'yesterday' is no time"),
        ({"captured_at": b"2026-03-14T09:26:53"}, "captured_at: .* wants a time zone"),
        ({"captured_at": b"1970-01-01T00:00:00Z"}, "captured_at: .* a year from 2000"),
        ({"captured_at": b"\xff\xfe"}, "captured_at"),
        ({"content-type": b"video/mp4"}, "content-type: 'video/mp4' is none of image/jpeg, image/png, image/webp"),
    ],
)
def test_a_header_that_cannot_be_is_named(changes: dict[str, bytes], said: str) -> None:
    with pytest.raises(FrameInvalid, match=said):
        read_frame(b"s", STILL, {**HEADERS, **changes})


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"x" * 257, b"a\nb"])
def test_a_frame_must_say_whose_it_is(key: bytes | None) -> None:
    with pytest.raises(FrameInvalid, match="key"):
        read_frame(key, STILL, HEADERS)


@pytest.mark.parametrize("value", [None, b""])
def test_a_frame_must_have_a_still(value: bytes | None) -> None:
    with pytest.raises(FrameInvalid, match="the value is empty"):
        read_frame(b"s", value, HEADERS)


def test_a_still_that_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(FrameTooLarge, match=f"{LARGEST_BYTES + 1} bytes"):
        read_frame(b"s", bytes(LARGEST_BYTES + 1), HEADERS)


def test_its_dead_letters_have_documented_reasons() -> None:
    assert {FrameInvalid.reason, FrameTooLarge.reason} <= DEAD_LETTER_REASONS.keys()
