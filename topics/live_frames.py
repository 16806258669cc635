"""Live frames as messages: no JSON, but an encoded still, and headers that say what it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from topics.exceptions import FrameInvalid, FrameTooLarge
from topics.serialisation import RawMessage

LARGEST_BYTES = 2 << 20
"""Of a still; the topic takes no more."""
LARGEST_NUMBER = 2**53 - 1
"""Of `seq` and `pts_ms`: the whole numbers that JSON and Lua tell apart."""
_KINDS = {"image/jpeg", "image/png", "image/webp"}
_NUMBER = re.compile(rb"[0-9]{1,16}")
_LONGEST_ID = 256


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """A frame of a live stream.

    Attributes:
        stream_id: whose.
        seq: its number in the stream; the same number is the same frame.
        pts_ms: presentation time in the stream, milliseconds.
        captured_at: when it was taken.
        kind: of the still, a media type.
        image: the encoded still.
        traceparent: W3C Trace Context, if it came with one.
    """

    stream_id: str
    seq: int
    pts_ms: int
    captured_at: datetime
    kind: str
    image: bytes
    traceparent: str | None = None

    @property
    def captured_ms(self) -> int:
        """When it was taken, milliseconds since 1970."""
        return (self.captured_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def write_frame(frame: LiveFrame) -> RawMessage:
    """Return the message of a frame."""
    headers = {
        "seq": str(frame.seq).encode(),
        "pts_ms": str(frame.pts_ms).encode(),
        "captured_at": frame.captured_at.isoformat(timespec="milliseconds").encode(),
        "content-type": frame.kind.encode(),
    }
    if frame.traceparent is not None:
        headers["traceparent"] = frame.traceparent.encode()
    return RawMessage(frame.stream_id.encode(), frame.image, headers)


def read_frame(key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]) -> LiveFrame:
    """Return the frame of a message. The still itself is not looked at.

    Raises:
        FrameInvalid: key, value or a header is missing or cannot be; it is named.
        FrameTooLarge: the still is.
    """
    if value is None or not value:
        raise FrameInvalid("the value is empty: it must be an encoded still")
    if len(value) > LARGEST_BYTES:
        raise FrameTooLarge(f"the still has {len(value)} bytes, more than {LARGEST_BYTES}")
    kind = _text("content-type", headers)
    if kind not in _KINDS:
        raise FrameInvalid(f"content-type: {kind!r} is none of {', '.join(sorted(_KINDS))}")
    traceparent = headers.get("traceparent")
    return LiveFrame(
        _stream_id(key),
        _number("seq", headers),
        _number("pts_ms", headers),
        _moment(_text("captured_at", headers)),
        kind,
        value,
        None if traceparent is None else traceparent.decode("ascii", "replace"),
    )


def _stream_id(key: bytes | None) -> str:
    try:
        stream_id = (key or b"").decode()
    except UnicodeDecodeError as error:
        raise FrameInvalid("the key is not UTF-8: it must be the stream's id") from error
    if not 0 < len(stream_id) <= _LONGEST_ID or not stream_id.isprintable():
        raise FrameInvalid(f"the key must be the stream's id, of 1 to {_LONGEST_ID} printable characters")
    return stream_id


def _text(name: str, headers: Mapping[str, bytes]) -> str:
    value = headers.get(name)
    if value is None:
        raise FrameInvalid(f"{name}: there is no such header")
    return value.decode("utf-8", "replace")[:64]


def _number(name: str, headers: Mapping[str, bytes]) -> int:
    value = headers.get(name)
    if value is None:
        raise FrameInvalid(f"{name}: there is no such header")
    if not _NUMBER.fullmatch(value) or int(value) > LARGEST_NUMBER:
        raise FrameInvalid(f"{name}: {value[:32]!r} is no whole number from 0 to {LARGEST_NUMBER}")
    return int(value)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise FrameInvalid(f"captured_at: {text!r} is no time of RFC 3339") from error
    if moment.tzinfo is None or not 2000 <= moment.year < 2100:
        raise FrameInvalid(f"captured_at: {text!r} wants a time zone, and a year from 2000 to 2099")
    return moment.astimezone(UTC)
