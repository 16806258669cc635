"""Opens video containers for FFmpeg with everything shut that a stranger's file has no business with.

The demuxer is the one that the content asks for and no other. FFmpeg gets a file object, never a name; protocols and
nested files are refused twice (an empty protocol whitelist, and an opener that refuses). Decoders come from a list,
which FFmpeg honours in two places: while it probes (an option of the container) and on the decoder itself
(`codec_context.options`); one does not imply the other.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn, Protocol

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from agents.media.exceptions import MediaError
from agents.media.frames import DecodeBudget
from agents.media.sniff import VideoFormat

_DEMUXERS: Mapping[VideoFormat, str] = {
    "mp4": "mov",
    "matroska": "matroska",
    "avi": "avi",
    "flv": "flv",
    "mpegts": "mpegts",
    "mpegps": "mpeg",
    "ogg": "ogg",
}
VIDEO_CODECS = frozenset(
    {
        "av1",
        "flv",
        "h263",
        "h264",
        "hevc",
        "libdav1d",
        "mjpeg",
        "mpeg1video",
        "mpeg2video",
        "mpeg4",
        "msmpeg4",
        "msmpeg4v2",
        "prores",
        "theora",
        "vp6",
        "vp6f",
        "vp8",
        "vp9",
    }
)
"""Decoders by FFmpeg's names: what phones, browsers, cameras and editors write."""

_CODEC_LIST = ",".join(sorted(VIDEO_CODECS))
_MOST_STREAMS = 64
_IO_BUFFER = 64 * 1024


class ReadableFile(Protocol):
    """What FFmpeg reads from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes from the position, none at the end."""

    def seek(self, offset: int, whence: int, /) -> int:
        """Moves the position as `io.IOBase.seek` does, and returns it."""

    def tell(self) -> int:
        """The position."""


@contextmanager
def opened(
    file: ReadableFile, container: VideoFormat, budget: DecodeBudget, accel: HWAccel | None = None
) -> Iterator[InputContainer]:
    """The container in `file`, with its streams probed and all of them but the video one switched off.

    Args:
        file: Read from its position.
        container: As sniffed.
        budget: Bounds its pixels.
        accel: The device to decode on, if any.

    Raises:
        MediaError: `undecodable`.
    """
    demuxer = _DEMUXERS[container]
    try:
        opening = av.open(
            file,
            mode="r",
            format=demuxer,
            options={
                "protocol_whitelist": "",
                "format_whitelist": demuxer,
                "codec_whitelist": _CODEC_LIST,
                "max_pixels": str(budget.frame_pixels),
                "max_streams": str(_MOST_STREAMS),
            },
            buffer_size=_IO_BUFFER,
            io_open=_refuse_to_open,
            metadata_errors="replace",
            hwaccel=accel,
        )
    except av.FFmpegError as error:
        device = "" if accel is None else "the device or "
        raise unreadable(f"{device}the {container} container", error) from None
    with opening:
        yield opening


def video_stream(container: InputContainer, budget: DecodeBudget, threads: int) -> VideoStream | None:
    """The main video stream with its decoder open, or None when the container has none, cover art apart.

    Raises:
        MediaError: `unsupported`, when its codec is not on the list; `too_large`; `undecodable`.
    """
    found = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not found:
        return None
    # A stream without a decoder has no size to ask for.
    decodable = [stream for stream in found if stream.codec_context is not None]
    if not decodable:
        raise MediaError("unsupported", "the video uses a codec that FFmpeg does not know")
    stream = max(decodable, key=_prominence)
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    context = stream.codec_context
    if context.name not in VIDEO_CODECS:
        raise MediaError("unsupported", f"the video uses the codec {context.name}, which is not on the list")
    if stream.width * stream.height > budget.frame_pixels:
        raise MediaError(
            "too_large", f"the video has {stream.width}x{stream.height} pixels, over {budget.frame_pixels}"
        )
    context.options = {"codec_whitelist": _CODEC_LIST, "max_pixels": str(budget.frame_pixels)}
    context.thread_count = threads
    try:
        context.open()
    except av.FFmpegError as error:
        raise unreadable(f"the {context.name} stream", error) from None
    return stream


def unreadable(what: str, error: av.FFmpegError) -> MediaError:
    """FFmpeg's failure as ours: its words are kept, the file's are not (they are the sender's)."""
    if isinstance(error, av.error.MemoryError):
        return MediaError("too_large", f"{what} needs more memory than a decoder is given")
    return MediaError("undecodable", f"{what} is damaged ({error.strerror})")


def _prominence(stream: VideoStream) -> tuple[bool, int]:
    return bool(stream.disposition & Disposition.default), stream.width * stream.height


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:  # noqa: ARG001 - FFmpeg's signature
    raise MediaError("unsupported", "the container refers to other files")
