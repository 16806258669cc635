"""Videos: probed by header and first frame, decoded by plan.

Runs in the sandbox's workers on bytes that nobody vouches for.
"""

import os
from collections.abc import Callable, Generator
from contextlib import closing

import av
from av.container import InputContainer

from agents.media.containers import ReadableFile, opened, video_stream
from agents.media.conversion import Conversion
from agents.media.exceptions import MediaError
from agents.media.frames import DecodeBudget, DecodedFrame, Decoding, FramePlan, MediaProbe
from agents.media.hardware import SOFTWARE, Hardware, Unfit, decoding_of
from agents.media.reader import VideoReader
from agents.media.sampling import planned_frames
from agents.media.sniff import VideoFormat


def probe_video(
    file: ReadableFile, container: VideoFormat, size: int, budget: DecodeBudget, threads: int = 1
) -> MediaProbe:
    """What the video in `file` of `size` bytes is. Its first frame is decoded, in software, so that it can be
    trusted.

    Raises:
        MediaError: `undecodable`, `unsupported` or `too_large`.
    """
    with opened(file, container, budget) as media:
        stream = video_stream(media, budget, threads)
        if stream is None:
            return _probe_audio(media, container)
        video = VideoReader(media, stream, container, size, budget)
        first = next(video.frames(), None)
        if first is None:
            raise video.without_frames()
        conversion = Conversion(1, stream.sample_aspect_ratio)
        width, height, rotation = conversion.upright_size(first[1])
        return MediaProbe(
            kind="video",
            container=container,
            codec=stream.codec_context.name,
            width=width,
            height=height,
            rotation=rotation,
            duration_s=video.duration_s(),
            fps=video.fps,
            frame_count=stream.frames or None,
            key_frames_ms=video.key_frames_ms(),
        )


def decode_video(
    file: ReadableFile,
    container: VideoFormat,
    size: int,
    plan: FramePlan,
    budget: DecodeBudget,
    threads: int = 1,
    hardware: Hardware = SOFTWARE,
    report: Callable[[Decoding], None] = lambda _: None,
) -> Generator[DecodedFrame, None, None]:
    """The frames that `plan` asks for of the video in `file`: key frames first, the others after, each in time order.

    A frame is written (`DecodedFrame.write`) before the next is asked for. Damage in the data is passed over as long
    as any frame comes out. Where the device gives no first frame, software decodes all of them; it is not asked about
    later ones, which then are passed over as damage is.

    Args:
        file: Read from its beginning.
        container: As sniffed.
        size: Of the file, in bytes.
        plan: Which frames.
        budget: What they may cost.
        threads: That software decodes with.
        hardware: The device, if any.
        report: Told before the first frame what decodes them.

    Raises:
        MediaError: `undecodable`, `unsupported` (also audio alone) or `too_large`.
    """
    if hardware.accel is not None:
        frames = _decoded(file, container, size, plan, budget, threads, hardware, report)
        with closing(frames):
            try:
                first = next(frames, None)
            except Unfit as unfit:
                hardware = Hardware(None, str(unfit))
            except MediaError as error:
                if error.kind != "undecodable":
                    raise
                hardware = Hardware(None, f"on the device: {error.reason}")
            else:
                if first is not None:
                    yield first
                    yield from frames
                return
        file.seek(0, os.SEEK_SET)
    yield from _decoded(file, container, size, plan, budget, threads, hardware, report)


def _decoded(
    file: ReadableFile,
    container: VideoFormat,
    size: int,
    plan: FramePlan,
    budget: DecodeBudget,
    threads: int,
    hardware: Hardware,
    report: Callable[[Decoding], None],
) -> Generator[DecodedFrame, None, None]:
    with opened(file, container, budget, hardware.accel) as media:
        stream = video_stream(media, budget, threads)
        if stream is None:
            kind = _probe_audio(media, container).codec
            raise MediaError("unsupported", f"the {container} container holds {kind} audio and no video")
        video = VideoReader(media, stream, container, size, budget)
        conversion = Conversion(plan.max_side, stream.sample_aspect_ratio)
        count = 0
        for time_s, frame in planned_frames(video, plan):
            if count == 0:
                report(decoding_of(stream, frame, hardware))
            count += 1
            yield conversion.decoded(frame, video.frame_number(time_s), round(time_s * 1000))
        if count == 0 and (video.damage is not None or plan.start_s == 0.0):
            raise video.without_frames()


def _probe_audio(media: InputContainer, container: VideoFormat) -> MediaProbe:
    if not media.streams.audio:
        raise MediaError("undecodable", f"the {container} container holds neither video nor audio")
    stream = media.streams.audio[0]
    seconds = (media.duration or 0) / av.time_base
    name = "unknown" if stream.codec_context is None else stream.codec_context.name
    return MediaProbe("audio", container, name, 0, 0, 0, max(0.0, seconds), 0.0, None)
