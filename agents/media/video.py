"""Videos: probed by header and first frame, decoded by plan.

Runs in the sandbox's workers on bytes that nobody vouches for. A plan with a rate is served in two passes: first the
key frames, which decode by themselves, fill their slots; then the slots that stayed empty are filled by decoding on
from the key frame before each. The same plan on the same bytes gives the same frames in the same order.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction
from typing import TypeAlias

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from agents.media.containers import ReadableFile, opened, unreadable, video_stream
from agents.media.conversion import Conversion
from agents.media.exceptions import MediaError
from agents.media.frames import DecodeBudget, DecodedFrame, FramePlan, MediaProbe
from agents.media.slots import TOLERANCE_S, Slots
from agents.media.sniff import VideoFormat

VideoPacket: TypeAlias = "Packet[VideoStream]"

_STEADY = 0.005  # frame rates, and distances between frames, that differ by less are one
_SPACINGS_CHECKED = 512
_FASTEST = 1000.0  # a frame rate above this is a mistake of the container
_REORDER_S = 2.0  # no codec decodes a frame this long before it is shown
_BACK_OFF_S = (0.0, 2.0, 10.0, 60.0)  # how far before the wanted time to look for a key frame, one after another
_SEEK_PAYS_S = 4.0  # without an index, skipping less than this costs more reading than it saves
_MOST_INDEXED = 1_000_000  # index entries looked at: 9 hours at 30 frames a second


def probe_video(
    file: ReadableFile, container: VideoFormat, size: int, budget: DecodeBudget, threads: int = 1
) -> MediaProbe:
    """What the video in `file` of `size` bytes is. Its first frame is decoded, so that it can be trusted.

    Raises:
        MediaError: `undecodable`, `unsupported` or `too_large`.
    """
    with opened(file, container, budget) as media:
        stream = video_stream(media, budget, threads)
        if stream is None:
            return _probe_audio(media, container)
        video = Video(media, stream, container, size, budget)
        first = next(video.decoded(), None)
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
    file: ReadableFile, container: VideoFormat, size: int, plan: FramePlan, budget: DecodeBudget, threads: int = 1
) -> Generator[DecodedFrame, None, None]:
    """The frames that `plan` asks for of the video in `file`: key frames first, the others after, each in time order.

    A frame is written (`DecodedFrame.write`) before the next is asked for. Damage in the data is passed over as long
    as any frame comes out.

    Raises:
        MediaError: `undecodable`, `unsupported` (also audio alone) or `too_large`.
    """
    with opened(file, container, budget) as media:
        stream = video_stream(media, budget, threads)
        if stream is None:
            kind = _probe_audio(media, container).codec
            raise MediaError("unsupported", f"the {container} container holds {kind} audio and no video")
        video = Video(media, stream, container, size, budget)
        conversion = Conversion(plan.max_side, stream.sample_aspect_ratio)
        count = 0
        for time_s, frame in video.planned(plan):
            count += 1
            yield conversion.decoded(frame, video.frame_number(time_s), round(time_s * 1000))
        if count == 0 and (video.damage is not None or plan.start_s == 0.0):
            raise video.without_frames()


class Video:
    """A video stream that can be read from any time on. Times are seconds from its first frame.

    Attributes:
        fps: Average frames a second, 0.0 when unknown.
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
        self._indexed = container == "mp4" and stream.frames > 0 and len(stream.index_entries) > 0
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
        if self._indexed:
            said = max(said, self.time_of(entries[len(entries) - 1].timestamp))
        return max(0.0, said)

    def key_frames_ms(self) -> tuple[int, ...]:
        """Times of the key frames by the container's index, empty where it has none to rely on."""
        entries = self._stream.index_entries
        if not self._indexed or len(entries) > _MOST_INDEXED:
            return ()
        first, keys, at = entries[0].timestamp, [], 0
        while at >= 0:
            entry = entries[at]
            keys.append(round((entry.timestamp - first) * self._tick_s * 1000))
            at = entries.search_timestamp(entry.timestamp + 1, backward=False)
        return tuple(keys)

    def _spacing_s(self) -> float:
        """Seconds from each frame to the next, if that is constant by the index, else 0.0."""
        entries = self._stream.index_entries
        last = len(entries) - 1
        if not self._indexed or last < 1:
            return 0.0
        first = entries[0].timestamp
        spacing = (entries[last].timestamp - first) / last
        looked_at = range(0, last, max(1, last // _SPACINGS_CHECKED))
        off = max(abs(entries[index].timestamp - first - index * spacing) for index in looked_at)
        return spacing * self._tick_s if off <= max(1.0, _STEADY * spacing) else 0.0

    def _ends_before(self, size: int) -> bool:
        """Whether the index points beyond the end of a file of `size` bytes."""
        entries = self._stream.index_entries
        return self._indexed and entries[len(entries) - 1].pos + entries[len(entries) - 1].size > size

    def without_frames(self) -> MediaError:
        """The error of a video that gives no picture."""
        why = f" ({self.damage})" if self.damage else ""
        return MediaError("undecodable", f"no frame of the video can be decoded{why}")

    def planned(self, plan: FramePlan) -> Iterator[tuple[float, VideoFrame]]:
        """The frames that a plan asks for, each with its time."""
        if plan.rate_fps is None or (self.fps and plan.rate_fps >= self.fps * (1 - _STEADY)):
            yield from self._every(plan)
            return
        slots = Slots(plan, plan.rate_fps, self.duration_s() if self._indexed else None)
        keys: list[float] = []
        yield from self._key_frames(slots, keys)
        yield from self._others(slots, keys)

    def decoded(self, slots: Slots | None = None) -> Iterator[tuple[float, VideoFrame]]:
        """Frames from where the container stands to its end with their times, damaged data passed over.

        With `slots`, frames that no other frame refers to may be left out where no slot wants one.
        """
        context = self._stream.codec_context
        for packet in self._packets():
            if slots is not None:
                wanted = packet.pts is None or slots.wants(slots.of(self.time_of(packet.pts)))
                context.skip_frame = "DEFAULT" if wanted else "NONREF"
            yield from self._frames_of(packet)
        context.skip_frame = "DEFAULT"
        yield from self._frames_of(None)

    def _every(self, plan: FramePlan) -> Iterator[tuple[float, VideoFrame]]:
        left = plan.max_frames
        for time_s, frame in self._from(plan.start_s):
            if left == 0 or (plan.end_s is not None and time_s >= plan.end_s - TOLERANCE_S):
                return
            if plan.start_s == 0.0 or time_s >= plan.start_s - TOLERANCE_S:
                left -= 1
                yield time_s, frame

    def _key_frames(self, slots: Slots, keys: list[float]) -> Iterator[tuple[float, VideoFrame]]:
        """Pass 1: the first key frame of each wanted slot. Notes in `keys` when key frames start."""
        context = self._stream.codec_context
        context.skip_frame = "NONKEY"
        for packet in self._indexed_keys(slots) if self._indexed else self._read_keys(slots):
            keys.append(self.time_of(packet.pts))
            slot = slots.of(keys[-1])
            if not slots.wants(slot):
                continue
            slots.fill(slot)
            frames = [*self._frames_of(packet), *self._frames_of(None)]
            context.flush_buffers()
            if len(frames) == 1 and slots.of(frames[0][0]) == slot:
                yield frames[0]
            else:
                slots.reopen(slot)
        context.skip_frame = "DEFAULT"

    def _indexed_keys(self, slots: Slots) -> Iterator[VideoPacket]:
        """Key packets of wanted slots by the index: nothing between them is read."""
        entries = self._stream.index_entries
        slot, after = slots.next_wanted(0), None
        # Entries carry decoding times, which lie before those of presentation by some frames.
        delay_s = max(0.0, -self.time_of(entries[0].timestamp)) + TOLERANCE_S
        while slot is not None:
            wanted = self._stamp(slots.start_of(slot) - delay_s)
            at = entries.search_timestamp(wanted if after is None else max(wanted, after), backward=False)
            if at < 0:
                return
            timestamp = entries[at].timestamp
            if slots.next_wanted(slots.of(self.time_of(timestamp))) is None:
                return
            after = timestamp + 1
            following = entries.search_timestamp(after, backward=False)
            # The key frame of an open group is given only to who asks for a time that it has been shown at.
            target = timestamp + round(1 / self._tick_s)
            if following >= 0:
                target = min(target, entries[following].timestamp - 1)
            packet = next(self._packets(), None) if self._seek(target) else None
            if packet is None:
                return
            if packet.pts is None or packet.dts is None:
                continue
            delay_s = max(0.0, (packet.pts - packet.dts) * self._tick_s) + TOLERANCE_S
            yield packet
            slot = slots.next_wanted(slots.of(self.time_of(packet.pts)))

    def _read_keys(self, slots: Slots) -> Iterator[VideoPacket]:
        """Key packets of a container without an index, by reading on; over long gaps by seeking."""
        slot = slots.next_wanted(0)
        while slot is not None:
            sought = slot
            if not self._seek(self._stamp(slots.start_of(slot))):
                return
            for packet in self._packets():
                if packet.pts is None:
                    continue
                time_s = self.time_of(packet.pts)
                slot = slots.next_wanted(slots.of(time_s))
                if slot is None:
                    return
                if packet.is_keyframe:
                    yield packet
                    slot = slots.next_wanted(slots.of(time_s))
                    if slot is None or (slot > sought and slots.start_of(slot) - time_s > _SEEK_PAYS_S):
                        break
            else:
                return

    def _others(self, slots: Slots, keys: list[float]) -> Iterator[tuple[float, VideoFrame]]:
        """Pass 2: the first frame of each slot that is still empty."""
        pays_s = 0.0 if self._indexed else _SEEK_PAYS_S
        slot = slots.next_wanted(0)
        while slot is not None:
            for time_s, frame in self._from(slots.start_of(slot), keys, slots):
                here = slots.of(time_s)
                if slots.wants(here):
                    slots.fill(here)
                    yield time_s, frame
                slot = slots.next_wanted(here)
                if slot is None:
                    return
                before = bisect_right(keys, slots.start_of(slot))
                if before and keys[before - 1] - time_s > pays_s:
                    break
            else:
                return

    def _from(
        self, time_s: float, keys: Sequence[float] = (), slots: Slots | None = None
    ) -> Iterator[tuple[float, VideoFrame]]:
        """Frames from the last key frame at or before `time_s` on; `keys` are those known already, rising."""
        known = bisect_right(keys, time_s + TOLERANCE_S)
        nearest_s = keys[known - 1] if known else time_s
        for back_s in _BACK_OFF_S:
            earlier_s = nearest_s - back_s
            if not self._seek(self._stamp(earlier_s)):
                return
            frames = self.decoded(slots)
            first = next(frames, None)
            if first is None:
                # Past the last key frame that a seek without an index stumbled on, or past where the file is cut off.
                if self._indexed or earlier_s <= 0.0:
                    return
                continue
            if first[0] <= time_s + TOLERANCE_S or earlier_s <= 0.0 or back_s == _BACK_OFF_S[-1]:
                yield first
                yield from frames
                return

    def _stamp(self, time_s: float) -> int:
        return self._zero + round(time_s / self._tick_s)

    def _seek(self, stamp: int) -> bool:
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

    def _packets(self) -> Iterator[VideoPacket]:
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

    def _frames_of(self, packet: "VideoPacket | None") -> Iterator[tuple[float, VideoFrame]]:
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
            if stamp is not None:
                yield self.time_of(stamp), frame

    def _spend(self, frame: VideoFrame) -> None:
        self._frames_left -= 1
        self._pixels_left -= frame.width * frame.height
        if self._frames_left < 0:
            raise MediaError("too_large", f"the video needs over {self._budget.frames} frames decoded")
        if self._pixels_left < 0:
            raise MediaError("too_large", "the video holds far more pixels than its size in bytes accounts for")


def _rate(rate: Fraction | None) -> float:
    return float(rate) if rate is not None and 0 < rate <= _FASTEST else 0.0


def _probe_audio(media: InputContainer, container: VideoFormat) -> MediaProbe:
    if not media.streams.audio:
        raise MediaError("undecodable", f"the {container} container holds neither video nor audio")
    stream = media.streams.audio[0]
    seconds = (media.duration or 0) / av.time_base
    name = "unknown" if stream.codec_context is None else stream.codec_context.name
    return MediaProbe("audio", container, name, 0, 0, 0, max(0.0, seconds), 0.0, None)
