"""What decoders answer, checked field by field: they may have been taken over by what they decoded."""

from dataclasses import dataclass
from typing import cast, get_args

from agents.media.exceptions import MediaError, MediaErrorKind
from agents.media.frames import DecoderName, Decoding, MediaKind, MediaProbe
from agents.media.protocol import Message, ProtocolError

_LARGEST_SIDE = 1 << 20
LARGEST_COUNT = 1 << 53


@dataclass(frozen=True, slots=True)
class FrameAnswer:
    """A frame that waits in a slot of the ring; sizes are (width, height) in pixels."""

    slot: int
    size: tuple[int, int]
    source_size: tuple[int, int]
    frame_number: int
    pts_ms: int
    is_key: bool


def frame_in(message: Message) -> FrameAnswer:
    """The frame that a FRAME tells of.

    Raises:
        ProtocolError: It is not well formed.
    """
    return FrameAnswer(
        slot=message.integer("slot", 0, LARGEST_COUNT),
        size=(message.integer("width", 1, _LARGEST_SIDE), message.integer("height", 1, _LARGEST_SIDE)),
        source_size=(
            message.integer("source_width", 1, _LARGEST_SIDE),
            message.integer("source_height", 1, _LARGEST_SIDE),
        ),
        frame_number=message.integer("frame_number", 0, LARGEST_COUNT),
        pts_ms=message.integer("pts_ms", -LARGEST_COUNT, LARGEST_COUNT),
        is_key=bool(message.integer("is_key", 0, 1)),
    )


def probe_in(message: Message) -> MediaProbe:
    """The probe that a PROBED brings.

    Raises:
        ProtocolError: It is not well formed.
    """
    kind, keys = message.text("media_kind"), message.fields.get("key_frames_ms")
    if kind not in get_args(MediaKind):
        raise ProtocolError("PROBED has no valid media_kind")
    if not isinstance(keys, list) or any(type(key) is not int for key in keys):
        raise ProtocolError("PROBED has no valid key_frames_ms")
    counted = message.fields.get("frame_count") is not None
    return MediaProbe(
        kind=cast("MediaKind", kind),
        container=message.text("container"),
        codec=message.text("codec"),
        width=message.integer("width", 0, _LARGEST_SIDE),
        height=message.integer("height", 0, _LARGEST_SIDE),
        rotation=message.integer("rotation", 0, 270),
        duration_s=message.number("duration_s"),
        fps=message.number("fps"),
        frame_count=message.integer("frame_count", 0, LARGEST_COUNT) if counted else None,
        key_frames_ms=tuple(keys),
    )


def decoding_in(message: Message) -> Decoding | None:
    """What a DONE or FAILED says has decoded the stream, or None where it says nothing: no frame came, or a still.

    Raises:
        ProtocolError: It is not well formed.
    """
    if "decoder" not in message.fields:
        return None
    decoder = message.text("decoder")
    if decoder not in get_args(DecoderName):
        raise ProtocolError(f"{message.kind.name} has no valid decoder")
    return Decoding(cast("DecoderName", decoder), message.text("why"))


def failure_in(message: Message) -> MediaError:
    """The error that a FAILED brings.

    Raises:
        ProtocolError: It is not well formed.
    """
    kind = message.text("kind")
    if kind not in get_args(MediaErrorKind):
        raise ProtocolError("FAILED has no valid kind")
    return MediaError(cast("MediaErrorKind", kind), message.text("reason"))
