"""A video stream that can be read from any time on, damaged data passed over.

Runs in the sandbox's workers on bytes that nobody vouches for.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TypeAlias

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from agents.media.containers import unreadable
from agents.media.exceptions import MediaError
from agents.media.frames import DecodeBudget
from agents.media.slots import TOLERANCE_S
from agents.media.sniff import VideoFormat

VideoPacket: TypeAlias = "Packet[VideoStream]"
TimedFrame: TypeAlias = tuple[float, VideoFrame]
"""A frame and its time: seconds from the first frame of the video."""

STEADY = 0.005
"""Frame rates, and distances between frames, that differ by less than this part are one."""

_SPACINGS_CHECKED = 512
_FASTEST = 1000.0  # a frame rate above this is a mistake of the container
_LONGEST_S = 1e7  # and so is a time beyond four months
_REORDER_S = 2.0  # no codec decodes a frame this long before it is shown
_BACK_OFF_S = (0.0, 2.0, 10.0, 60.0)  # how far before the wanted time to look for a key frame, one after another
_MOST_INDEXED = 1_000_000  # index entries looked at: 9 hours at 30 frames a second


class VideoReader:
    """Packets and frames of a video stream, from any time on. Times are seconds from its first frame.

    Attributes:
        fps: Average frames a second, 0.0 when unknown.
        indexed: Whether the container has an index of all frames, known from the start.
        damage: What was wrong with data that was passed over, or None.
    """

    def __init__(
        self, media: InputContainer, stream: VideoStream, container: VideoFormat, size: int, budget: DecodeBudget
    ) -> None:
        self._media = media
        self._stream = stream
        self._budget = budget
        self._pixels_left = budget.video_free_pixels + size * budget.video_pixels_per_byte
        self._frames_left = budget.frames
        self._tick_s = float(stream.time_base or 0.0) or 1e-3
        self._zero = stream.start_time or 0
        self.fps = _rate(stream.average_rate) or _rate(stream.guessed_rate)
        # Fragmented MP4 (no frames in its header) and the other containers learn their index while they are read: it
        # is no basis for a choice.
        self.indexed = container == "mp4" and stream.frames > 0 and len(stream.index_entries) > 0
        self._frame_s = self._tick_s if container == "avi" else self._spacing_s()
        self._at_start = True
        self.damage: str | None = "the file ends early" if self._ends_before(size) else None

    def time_of(self, pts: int | None) -> float:
        """Seconds from the first frame of a time stamp."""
        return ((pts or 0) - self._zero) * self._tick_s

    def frame_number(self, time_s: float) -> int:
        """The index of the frame where the container proves a constant frame rate (MP4, AVI); else milliseconds.

        Either way a function of the frame alone, unique, rising, and the same wherever decoding began.
        """
        return max(0, round(time_s / (self._frame_s or 0.001)))

    def duration_s(self) -> float:
        """Length in seconds: what the container says, or more where its index goes on."""
        stream, entries = self._stream, self._stream.index_entries
        said = 0.0
        if stream.duration is not None:
            said = stream.duration * self._tick_s
        elif self._media.duration is not None:
            said = self._media.duration / av.time_base
        if self.indexed:
            said = max(said, self.time_of(entries[len(entries) - 1].timestamp))
        return max(0.0, said)

    def key_frames_ms(self) -> tuple[int, ...]:
        """Times of the key frames by the container's index, empty where it has none to rely on."""
        entries = self._stream.index_entries
        if not self.indexed or len(entries) > _MOST_INDEXED:
            return ()
        first, keys, at = entries[0].timestamp, [], 0
        while at >= 0:
            entry = entries[at]
            keys.append(round((entry.timestamp - first) * self._tick_s * 1000))
            at = entries.search_timestamp(entry.timestamp + 1, backward=False)
        return tuple(keys)

    def without_frames(self) -> MediaError:
        """The error of a video that gives no picture."""
        why = f" ({self.damage})" if self.damage else ""
        return MediaError("undecodable", f"no frame of the video can be decoded{why}")

    def key_frame_after(self, stamp: int) -> int | None:
        """When the first key frame of the index at or after `stamp` is decoded, as a time stamp, or None."""
        entries = self._stream.index_entries
        at = entries.search_timestamp(stamp, backward=False)
        return entries[at].timestamp if at >= 0 else None

    def decoding_lead_s(self) -> float:
        """How long before it is shown the first frame of the index is decoded."""
        return max(0.0, -self.time_of(self._stream.index_entries[0].timestamp))

    def stamp(self, time_s: float) -> int:
        """The time stamp of a time."""
        return self._zero + round(time_s / self._tick_s)

    def seek(self, stamp: int) -> bool:
        """Stands before the last key frame at or before `stamp`; False where there is no way there.

        Transport streams have no index: there it is any packet before `stamp`, and who asks must look whether what
        comes is early enough.
        """
        # Decoding begins before the first frame is shown; not every container can be asked for a time before it.
        # Where there is no way to a later time, reading from the start on is one.
        targets = [self._zero - round(_REORDER_S / self._tick_s), self._zero]
        if stamp > self._zero:
            targets.insert(0, stamp)
        elif self._at_start:
            return True
        self._at_start = False
        for target in targets:
            try:
                self._media.seek(target, stream=self._stream)
            except av.FFmpegError:
                continue
            return True
        self.damage = "there is no way to the wanted time"
        return False

    def packets(self) -> Iterator[VideoPacket]:
        """Packets from where the container stands to its end."""
        packets = self._media.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self.damage = str(error.strerror)
                return
            self._at_start = False
            if packet is None or packet.size == 0:
                return
            yield packet

    def key_frame(self, packet: VideoPacket) -> TimedFrame | None:
        """The frame of a key packet, decoded by itself, or None where it does not decode."""
        context = self._stream.codec_context
        context.skip_frame = "NONKEY"
        frames = [*self._decoded(packet), *self._decoded(None)]
        context.flush_buffers()
        context.skip_frame = "DEFAULT"
        return frames[0] if len(frames) == 1 else None

    def frames(self, wanted: Callable[[float], bool] | None = None) -> Iterator[TimedFrame]:
        """Frames from where the container stands to its end.

        Args:
            wanted: Whether a frame at a time is wanted. Where it is not and no other frame refers to it (ITU-T H.264
                §7.4.1, nal_ref_idc 0, and its like) it is not decoded; others may come though they are not wanted.
        """
        context = self._stream.codec_context
        for packet in self.packets():
            if wanted is not None:
                needed = packet.pts is None or wanted(self.time_of(packet.pts))
                context.skip_frame = "DEFAULT" if needed else "NONREF"
            yield from self._decoded(packet)
        context.skip_frame = "DEFAULT"
        yield from self._decoded(None)

    def frames_from(
        self, time_s: float, keys: Sequence[float] = (), wanted: Callable[[float], bool] | None = None
    ) -> Iterator[TimedFrame]:
        """Frames from the last key frame at or before `time_s` on.

        Args:
            time_s: Where the frames are wanted from; those before come too.
            keys: Times of key frames that are known already, rising.
            wanted: As `frames` takes it.
        """
        known = bisect_right(keys, time_s + TOLERANCE_S)
        nearest_s = keys[known - 1] if known else time_s
        for back_s in _BACK_OFF_S:
            earlier_s = nearest_s - back_s
            if not self.seek(self.stamp(earlier_s)):
                return
            frames = self.frames(wanted)
            first = next(frames, None)
            if first is None:
                # Past the last key frame that a seek without an index stumbled on, or past where the file is cut off.
                if self.indexed or earlier_s <= 0.0:
                    return
                continue
            if first[0] <= time_s + TOLERANCE_S or earlier_s <= 0.0 or back_s == _BACK_OFF_S[-1]:
                yield first
                yield from frames
                return

    def _decoded(self, packet: "VideoPacket | None") -> Iterator[TimedFrame]:
        """What the decoder gives for a packet; for None, what it still holds."""
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.error.MemoryError as error:
            raise unreadable("the video", error) from None
        except av.FFmpegError as error:
            self.damage = str(error.strerror)
            return
        for frame in frames:
            self._spend(frame)
            stamp = frame.pts if frame.pts is not None else frame.dts
            if stamp is not None and abs(self.time_of(stamp)) < _LONGEST_S:
                yield self.time_of(stamp), frame

    def _spend(self, frame: VideoFrame) -> None:
        self._frames_left -= 1
        self._pixels_left -= frame.width * frame.height
        if self._frames_left < 0:
            raise MediaError("too_large", f"the video needs over {self._budget.frames} frames decoded")
        if self._pixels_left < 0:
            raise MediaError("too_large", "the video holds far more pixels than its size in bytes accounts for")

    def _spacing_s(self) -> float:
        """Seconds from each frame to the next, if that is constant by the index, else 0.0."""
        entries = self._stream.index_entries
        last = len(entries) - 1
        if not self.indexed or last < 1:
            return 0.0
        first = entries[0].timestamp
        spacing = (entries[last].timestamp - first) / last
        looked_at = range(0, last, max(1, last // _SPACINGS_CHECKED))
        off = max(abs(entries[index].timestamp - first - index * spacing) for index in looked_at)
        return spacing * self._tick_s if off <= max(1.0, STEADY * spacing) else 0.0

    def _ends_before(self, size: int) -> bool:
        """Whether the index points beyond the end of a file of `size` bytes."""
        entries = self._stream.index_entries
        return self.indexed and entries[len(entries) - 1].pos + entries[len(entries) - 1].size > size


def _rate(rate: Fraction | None) -> float:
    return float(rate) if rate is not None and 0 < rate <= _FASTEST else 0.0
