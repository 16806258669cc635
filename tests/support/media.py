"""Makers of media for tests: clips and pictures with known content, from a photograph that a package ships.

A frame of a clip carries its own number as a bar of black and white cells along its upper edge, so that a test can
tell which frame it holds whatever the time stamps say.
"""

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

_BITS = 12
_SOUND_RATE = 44_100
_SOUND_BLOCK = 1024


@functools.cache
def photograph() -> Pixels:
    """A portrait with one face: (512, 512, 3) RGB."""
    picture: Pixels = np.ascontiguousarray(skimage.data.astronaut())  # type: ignore[no-untyped-call]
    return picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A video to be made.

    Attributes:
        width: Stored width in pixels.
        height: Stored height in pixels.
        fps: Frames a second, where `times_ms` does not say otherwise.
        frames: How many frames; 0 makes a container with a video track and nothing on it.
        gop: Most frames between key frames.
        codec: FFmpeg's name of the encoder.
        options: Options of the encoder.
        pixel_format: FFmpeg's name.
        times_ms: Presentation times of the frames, for a variable frame rate.
        rotation: Degrees counter-clockwise that a player is told to turn it by, or None for no such mark.
        mirrored: Whether a player is told to mirror it.
        pixel_aspect: Width of a pixel over its height.
        colour: H.273 matrix coefficients and full range (True) or limited (False) to convert with and to mark.
        tagged: Whether the file says which colours it was converted with.
        flat: An (R, G, B) that fills every frame instead of the photograph.
        sound: Whether there is an audio track.
        picture: Whether there is a video track.
        faststart: Whether the index of an MP4 comes first.
        fragmented: Whether an MP4 is written in fragments.
    """

    width: int = 320
    height: int = 240
    fps: int = 30
    frames: int = 60
    gop: int = 30
    codec: str = "libx264"
    options: tuple[tuple[str, str], ...] = (("preset", "ultrafast"),)
    pixel_format: str = "yuv420p"
    times_ms: tuple[int, ...] = ()
    rotation: int | None = None
    mirrored: bool = False
    pixel_aspect: Fraction = Fraction(1)
    colour: tuple[int, bool] | None = None
    tagged: bool = True
    flat: tuple[int, int, int] | None = None
    sound: bool = False
    picture: bool = True
    faststart: bool = True
    fragmented: bool = False


class MediaFolder:
    """A folder that clips are made in, each once, however many tests ask for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[tuple[Clip, str], Path] = {}

    def clip(self, clip: Clip, suffix: str = "mp4") -> Path:
        """The file with this clip, in the container that the suffix names."""
        made = self._made.get((clip, suffix))
        if made is None:
            made = self._made[clip, suffix] = self.folder / f"clip-{len(self._made)}.{suffix}"
            write_clip(made, clip)
        return made

    def write(self, name: str, data: bytes) -> Path:
        """A file with these bytes."""
        path = self.folder / name
        path.write_bytes(data)
        return path


def clip_frame(clip: Clip, index: int) -> Pixels:
    """Frame `index` of a clip as it is given to the encoder: (height, width, 3) RGB."""
    if clip.flat is not None:
        return np.full((clip.height, clip.width, 3), clip.flat, np.uint8)
    big = _scaled(clip.width + 64, clip.height + 64)
    shift = (index * 2) % 64
    frame = big[shift : shift + clip.height, shift : shift + clip.width].copy()
    return mark(frame, index)


def mark(frame: Pixels, number: int) -> Pixels:
    """Draws a number onto a frame's upper edge, in place."""
    cell = frame.shape[1] // _BITS
    for bit in range(_BITS):
        frame[: frame.shape[0] // 8, bit * cell : (bit + 1) * cell] = 255 if number >> bit & 1 else 0
    return frame


def marked_number(frame: Pixels) -> int:
    """The number that `mark` drew, however often the frame was scaled and compressed since."""
    cell = frame.shape[1] / _BITS
    row = frame[frame.shape[0] // 16].mean(axis=1)
    return sum(1 << bit for bit in range(_BITS) if row[int((bit + 0.5) * cell)] > 128)


def write_clip(path: Path, clip: Clip) -> None:
    """Encodes a clip into the container that the path's suffix names."""
    flags = ["faststart"] if clip.faststart else []
    if clip.fragmented:
        flags = ["frag_keyframe", "empty_moov", "default_base_moof"]
    options = {"movflags": "+".join(flags)} if flags and path.suffix in {".mp4", ".mov"} else {}
    with av.open(str(path), "w", options=options) as container:
        pictures = _picture_track(container, clip) if clip.picture else None
        sound = container.add_stream("aac", rate=_SOUND_RATE) if clip.sound else None
        container.start_encoding()
        if pictures is not None:
            _encode_pictures(container, pictures, clip)
        if sound is not None:
            _encode_sound(container, sound, clip.frames / clip.fps)


def image_bytes(picture: Image.Image | Pixels, form: str, **options: object) -> bytes:
    """A picture in Pillow's format `form`."""
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def moving_image_bytes(form: str, durations_ms: Sequence[int], size: tuple[int, int] = (96, 64)) -> bytes:
    """A GIF, WebP or PNG that moves; frame `i` is marked with `i`."""
    clip = Clip(width=size[0], height=size[1])
    frames = [Image.fromarray(clip_frame(clip, index)) for index in range(len(durations_ms))]
    return image_bytes(
        frames[0],
        form,
        save_all=True,
        append_images=frames[1:],
        duration=list(durations_ms),
        loop=0,
        **({"lossless": True} if form == "WEBP" else {}),
    )


def without_moov(data: bytes) -> bytes:
    """An MP4 as a phone that lost power leaves it: the media, and no index."""
    kept, at = b"", 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] != b"moov":
            kept += data[at : at + size]
        at += size
    return kept


@functools.lru_cache(maxsize=16)
def _scaled(width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(photograph()).resize((width, height), Image.Resampling.BICUBIC))


def _picture_track(container: av.container.OutputContainer, clip: Clip) -> av.VideoStream:
    stream = container.add_stream(clip.codec, rate=clip.fps, options=dict(clip.options))
    assert isinstance(stream, av.VideoStream)
    context = stream.codec_context
    stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, clip.pixel_format
    context.gop_size = clip.gop
    context.time_base = _time_base(clip)
    if clip.pixel_aspect != 1:
        context.sample_aspect_ratio = clip.pixel_aspect
    if clip.rotation is not None or clip.mirrored:
        stream.set_display_rotation(clip.rotation or 0, hflip=clip.mirrored)
    if clip.colour is not None and clip.tagged:
        context.colorspace, context.color_range = clip.colour[0], 1 + clip.colour[1]
    context.open()
    return stream


def _encode_pictures(container: av.container.OutputContainer, stream: av.VideoStream, clip: Clip) -> None:
    for index in range(clip.frames):
        frame = av.VideoFrame.from_ndarray(clip_frame(clip, index), format="rgb24")
        if clip.colour is not None:
            space, full = clip.colour
            frame = frame.reformat(
                format=clip.pixel_format, src_color_range=2, dst_colorspace=space, dst_color_range=1 + full
            )
        frame.pts = clip.times_ms[index] if clip.times_ms else index
        frame.time_base = _time_base(clip)
        container.mux(stream.encode(frame))
    if clip.frames:
        container.mux(stream.encode(None))


def _encode_sound(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    for start in range(0, int(seconds * _SOUND_RATE), _SOUND_BLOCK):
        moments = np.arange(start, start + _SOUND_BLOCK) / _SOUND_RATE
        wave = np.sin(2 * np.pi * 440 * moments).astype(np.float32) * 0.1
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        frame.rate, frame.pts, frame.time_base = _SOUND_RATE, start, Fraction(1, _SOUND_RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _time_base(clip: Clip) -> Fraction:
    return Fraction(1, 1000 if clip.times_ms else clip.fps)
