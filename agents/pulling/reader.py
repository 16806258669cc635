"""Inside a puller process: reads a live stream, decodes as little of it as will do, and samples stills."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import cast

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.error import (
    EOFError as AvEnd,
    FFmpegError,
    InvalidDataError,
)
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from agents.media.containers import VIDEO_CODECS
from agents.media.exceptions import MediaError
from agents.pulling.exceptions import Trouble
from agents.pulling.sampling import KeyFrames, Pacing, sampling
from agents.pulling.stills import Stills
from agents.pulling.web import Web
from agents.pulling.wire import Opened, Pulse, Said, Still, Task

_CODECS = ",".join(sorted(VIDEO_CODECS))
_PULSE_S = 0.5
_PROBED = 0.5
"""The share of the time to open that FFmpeg may look for streams in what comes."""
_MOST_PIXELS = 8192 * 8192
"""Of a picture; FFmpeg refuses larger ones before it has any memory for them."""
_UNDECODABLE_S = 30.0
"""How long packets may come of which none can be decoded, seconds: the first key frame may be that far."""
_ARRIVALS = 64
"""Packets whose arrival is remembered: a decoder holds back 16 at most to bring them into order."""
_BUSY = 0.9
"""The share of its time that a puller may spend decoding: above it, it falls behind."""
_FEW_FPS = 5.0
"""Up to so many sampled frames a second enough are left where every B frame is passed over."""
_LATE = 1.5
"""After so many intervals without a sample those frames are decoded, too."""
_WHOLE = 0.95
"""The share of a timeout after which an error counts as its end."""
_CALM_S = 10.0
"""How long then only key frames are decoded, seconds."""


class Reader:
    """Pulls one stream over one connection.

    Args:
        task: What to pull.
        tell: Takes what there is to say.
        clock: Monotonic, seconds.
        wall: Since 1970, seconds.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        task: Task,
        tell: Callable[[Said], None],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._task = task
        self._tell = tell
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._sampling = sampling(task.fps, task.every_nth)
        self._keys = KeyFrames(1 / task.fps if task.every_nth is None else 0.0)
        self._stills = Stills(task.max_side, task.quality, task.most_bytes)
        self._arrivals: OrderedDict[int, tuple[float, int]] = OrderedDict()
        self._thin = task.every_nth is None and task.fps <= _FEW_FPS
        """Whether frames that no other one is made of are passed over."""
        self._taken_s: float | None = None
        self._keys_only = False
        self._calm_until_s = 0.0
        self._decoded_s = self._clock()
        self._received = 0
        self._busy_s = 0.0
        self._pulsed_s = 0.0
        self._heard_s = self._clock()

    def run(self) -> None:
        """Read until it is over.

        Raises:
            Trouble: why it is.
        """
        patience_s = self._task.open_timeout_s
        try:
            with self._open() as container:
                self._heard_s, patience_s = self._clock(), self._task.read_timeout_s
                self._read(container)
        except FFmpegError as error:
            if self._clock() - self._heard_s > _WHOLE * patience_s:
                # What FFmpeg makes of an interruption is each protocol's own affair.
                raise Trouble("timed_out", f"nothing came for {patience_s:g} s") from error
            raise _trouble(error, opened=self._pulsed_s > 0) from error
        except MediaError as error:
            # Of our own HTTP.
            raise Trouble("forbidden" if error.kind == "forbidden" else "unreachable", error.reason) from error
        except UnicodeDecodeError as error:
            # PyAV reads the names of formats and streams as UTF-8.
            raise Trouble("not_a_stream", "its names are not UTF-8") from error
        raise Trouble("ended", "the server ended the stream")

    def _open(self) -> InputContainer:
        task = self._task
        # In RTMP, FFmpeg would by itself wait 90 s for the pictures of a stream that has none.
        probe_us = str(int(_PROBED * task.open_timeout_s * 1_000_000))
        options = {"codec_whitelist": _CODECS, "analyzeduration": probe_us, **task.options}
        timeout = (task.open_timeout_s, task.read_timeout_s)
        if not task.web:
            return av.open(task.url, format=task.form, options=options, timeout=timeout)
        web = Web(task.allow_private, task.hosts, task.read_timeout_s)
        return av.open(task.url, format=task.form, options=options, timeout=timeout, io_open=web.open)

    def _read(self, container: InputContainer) -> None:
        if not container.streams.video:
            raise Trouble("no_video", "the stream has no video")
        video = container.streams.video[0]
        if video.codec_context is None:
            raise Trouble("undecodable", "no decoder knows the video's codec")
        context = _prepared(video)
        if self._thin:
            context.skip_frame = "NONREF"
        self._tell(Opened(context.name, context.width & 0xFFFF, context.height & 0xFFFF))
        self._pulsed_s = self._clock()
        task, pacing = self._task, Pacing()
        # Sound is read too, and let go: silence of the picture alone is noticed by it.
        for packet in container.demux():
            self._heard_s = self._clock()
            if task.web and packet.dts is not None and packet.time_base is not None:
                self._sleep(pacing.wait_s(float(packet.dts * packet.time_base), self._heard_s))
            now_s = self._clock()
            if packet.stream is not video:
                if now_s - self._pulsed_s > task.read_timeout_s:
                    raise Trouble("changed", "sound comes, and no more of this video")
                continue
            if packet.size == 0:
                continue
            self._received += 1
            self._take(cast("av.Packet[VideoStream]", packet), context, now_s)
            self._pulse(now_s)

    def _take(self, packet: "av.Packet[VideoStream]", context: VideoCodecContext, now_s: float) -> None:
        if packet.pts is not None:
            self._arrivals[packet.pts] = now_s, int(self._wall() * 1000)
            if len(self._arrivals) > _ARRIVALS:
                self._arrivals.popitem(last=False)
        if packet.is_keyframe:
            enough = self._keys.came(now_s) or now_s < self._calm_until_s
            if self._keys_only and not enough:
                context.flush_buffers()
            self._keys_only = enough
        elif self._keys_only:
            self._keys.missing(now_s)
            return
        for frame in self._decoded(packet, context):
            self._offer(frame, now_s, packet.time_base)
        if self._thin and self._taken_s is not None and now_s - self._taken_s > _LATE / self._task.fps:
            # Too few are left: a publisher decides which frames others are made of.
            self._thin = False
            context.skip_frame = "DEFAULT"

    def _decoded(self, packet: "av.Packet[VideoStream]", context: VideoCodecContext) -> Iterator[VideoFrame]:
        try:
            frames = list(context.decode(packet))
            if self._keys_only:
                # Without those behind it, a decoder would hold the key frame back to bring it into order.
                frames += context.decode(None)
                context.flush_buffers()
        except InvalidDataError as error:
            if self._clock() - self._decoded_s > _UNDECODABLE_S:
                raise Trouble("undecodable", "nothing that comes can be decoded") from error
            return
        if frames:
            self._decoded_s = self._clock()
        yield from frames

    def _offer(self, frame: VideoFrame, now_s: float, time_base: Fraction | None) -> None:
        at_s, captured_ms = self._arrivals.get(
            -1 if frame.pts is None else frame.pts, (now_s, int(self._wall() * 1000))
        )
        if not self._sampling.takes(at_s):
            return
        self._taken_s = now_s
        pts_ms = 0 if frame.pts is None or time_base is None else int(frame.pts * time_base * 1000)
        jpeg = self._stills.jpeg(frame)
        self._tell(Still(captured_ms, max(0, pts_ms), frame.width & 0xFFFF, frame.height & 0xFFFF, jpeg))

    def _pulse(self, came_s: float) -> None:
        now_s = self._clock()
        self._busy_s += now_s - came_s
        passed_s = now_s - self._pulsed_s
        if passed_s < _PULSE_S:
            return
        if self._busy_s > _BUSY * passed_s:
            self._calm_until_s = now_s + _CALM_S
        self._tell(Pulse(self._received, passed_s))
        self._received, self._busy_s, self._pulsed_s = 0, 0.0, now_s


def _prepared(video: VideoStream) -> VideoCodecContext:
    """Return the decoder, so set that a frame comes out as soon as it can.

    `max_pixels` takes effect on the codec context's options alone, and a list of decoders there and in the container's.
    """
    context = video.codec_context
    context.options = {"codec_whitelist": _CODECS, "max_pixels": str(_MOST_PIXELS)}
    context.thread_count = 1
    context.thread_type = ThreadType.SLICE
    return context


def _trouble(error: FFmpegError, *, opened: bool) -> Trouble:
    """Return what an error of FFmpeg means. Its own text is left out: it names the URL."""
    if isinstance(error, InvalidDataError):
        return Trouble("not_a_stream", "what comes is no stream of this kind")
    if isinstance(error, AvEnd):
        ended = Trouble("ended", "the server ended the connection")
        return ended if opened else Trouble("unreachable", "the server closed the connection")
    return Trouble("unreachable", error.strerror or type(error).__name__)
