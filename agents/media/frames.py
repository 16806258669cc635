"""What is asked of a decoder and what it answers: plans, probes, budgets and decoded frames."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from agents.media.exceptions import MediaError

MediaKind = Literal["image", "video", "audio"]
DecoderName = Literal["cuda", "software"]
HardwareKind = Literal["none", "cuda"]


@dataclass(frozen=True, slots=True)
class MediaProbe:
    """What media is, read from its headers and the first frame.

    Attributes:
        kind: `image` for a still, `video` (animated pictures too), or `audio` when there is no picture in it.
        container: Picture format or container, as sniffed.
        codec: Name of the video codec, of the picture format for stills, of the audio codec for `audio`.
        width: Upright width of a frame in pixels, pixels made square; 0 for audio.
        height: Upright height in the same sense.
        rotation: Degrees clockwise that the stored frame is turned by to stand upright: 0, 90, 180 or 270.
        duration_s: Seconds; 0.0 for a still.
        fps: Average frames a second; 0.0 where it means nothing.
        frame_count: Frames, where the container says so, else None.
        key_frames_ms: Where frames start that decode by themselves, in milliseconds, where the container has an
            index of them, else empty. Cut there, and nothing is decoded twice.
    """

    kind: MediaKind
    container: str
    codec: str
    width: int
    height: int
    rotation: int
    duration_s: float
    fps: float
    frame_count: int | None
    key_frames_ms: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class FramePlan:
    """Which frames of a video are wanted. Times count from its first frame; a still yields its picture if 0 is in.

    At a rate, time is cut into slots of 1/rate seconds that count from zero, whatever `start_s` is. A plan owns the
    slots that *start* in `[start_s, end_s)` and takes one frame of each: its first key frame, else its first frame.
    So plans that adjoin take together exactly what one plan over all of it takes, wherever they are cut. A rate at
    or above that of the video, or None, means every frame with a time in `[start_s, end_s)`.

    Attributes:
        start_s: First second.
        end_s: End, exclusive, in seconds; None is the end of the video.
        rate_fps: Frames wanted of each second, or None for all.
        max_frames: Frames at most. Of more slots, this many evenly spread ones are taken; of every frame, the first.
        max_side: Longest side of a frame in pixels; larger ones are scaled down, smaller ones stay.
    """

    start_s: float = 0.0
    end_s: float | None = None
    rate_fps: float | None = None
    max_frames: int = 100_000
    max_side: int = 1280

    def __post_init__(self) -> None:
        end = math.inf if self.end_s is None else self.end_s
        if not 0.0 <= self.start_s < end:
            raise ValueError(f"a plan cannot go from {self.start_s} s to {self.end_s} s")
        if self.rate_fps is not None and not 0.0 < self.rate_fps < math.inf:
            raise ValueError(f"a plan cannot ask for {self.rate_fps} frames a second")
        if self.max_frames < 1 or self.max_side < 1:
            raise ValueError("a plan asks for at least one frame of at least one pixel")


@dataclass(frozen=True, slots=True)
class DecodeBudget:
    """What one job may cost, so that a small file cannot ask for a large machine.

    Attributes:
        image_pixels: Pixels of a still or of an animated picture's canvas, told from its header.
        frame_pixels: Pixels of a video frame; 8192 x 4608 by default.
        frames: Frames decoded for one job, wanted or not.
        free_pixels: Pixels that may be decoded whatever the size of the file.
        image_pixels_per_byte: Pixels that each byte of a picture file allows beyond `free_pixels`.
        video_free_pixels: As `free_pixels`, summed over the frames of a video.
        video_pixels_per_byte: As `image_pixels_per_byte`, for videos: of an unchanging 4K picture an encoder makes
            about 50 bytes a frame.
    """

    image_pixels: int = 128_000_000
    frame_pixels: int = 37_748_736
    frames: int = 200_000
    free_pixels: int = 64_000_000
    image_pixels_per_byte: int = 200
    video_free_pixels: int = 4_000_000_000
    video_pixels_per_byte: int = 200_000

    def check_image(self, width: int, height: int, size: int) -> None:
        """Lets a picture of `size` bytes pass that its header says is `width` x `height`.

        Raises:
            MediaError: `undecodable` without any pixel, `too_large` over a budget.
        """
        pixels = width * height
        if width < 1 or height < 1:
            raise MediaError("undecodable", "the picture has no pixels")
        if pixels > self.image_pixels:
            raise MediaError("too_large", f"the picture has {width}x{height} pixels, over {self.image_pixels}")
        if pixels > self.free_pixels + size * self.image_pixels_per_byte:
            raise MediaError("too_large", f"the picture has {width}x{height} pixels in only {size} bytes")


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame that is decoded but not yet written anywhere.

    Attributes:
        frame_number: Position in the video; see `video.frame_number`.
        pts_ms: Time from the first frame in milliseconds.
        is_key: Whether it decodes by itself.
        width: Width as it will be written, upright and scaled, in pixels.
        height: Height in the same sense.
        source_width: Upright width before scaling down.
        source_height: Upright height before scaling down.
        write: Writes `height` x `width` x 3 bytes, RGB, row after row, to the start of a buffer.
    """

    frame_number: int
    pts_ms: int
    is_key: bool
    width: int
    height: int
    source_width: int
    source_height: int
    write: Callable[[memoryview], None]


@dataclass(frozen=True, slots=True)
class Decoding:
    """What decoded a video stream.

    Attributes:
        decoder: `cuda`, or `software`.
        why: Why software.
    """

    decoder: DecoderName
    why: str = ""


def fitted(width: int, height: int, max_side: int) -> tuple[int, int]:
    """`width` x `height` scaled down, if it must be, until its longer side is `max_side`; never below one pixel."""
    longest = max(width, height)
    if longest <= max_side:
        return width, height
    return max(1, round(width * max_side / longest)), max(1, round(height * max_side / longest))
