"""Which frames of a video a plan takes, and in which order they are decoded.

A plan with a rate is served in two passes: first the key frames, which decode by themselves, fill their slots; then
the slots that stayed empty are filled by decoding on from the key frame before each. The same plan on the same bytes
gives the same frames in the same order.
"""

from bisect import bisect_right
from collections.abc import Iterator

from agents.media.frames import FramePlan
from agents.media.reader import STEADY, TimedFrame, VideoPacket, VideoReader
from agents.media.slots import TOLERANCE_S, Slots

_SEEK_PAYS_S = 4.0  # without an index, skipping less than this costs more reading than it saves


def planned_frames(video: VideoReader, plan: FramePlan) -> Iterator[TimedFrame]:
    """The frames that a plan asks for: key frames first, the others after, each in time order."""
    if plan.rate_fps is None or (video.fps and plan.rate_fps >= video.fps * (1 - STEADY)):
        yield from _every_frame(video, plan)
        return
    slots = Slots(plan, plan.rate_fps, video.duration_s() if video.indexed else None)
    keys: list[float] = []
    for packet in _indexed_keys(video, slots) if video.indexed else _read_keys(video, slots):
        time_s = video.time_of(packet.pts)
        if not keys or time_s > keys[-1]:
            keys.append(time_s)
        slot = slots.of(time_s)
        if slots.wants(slot) and (frame := video.key_frame(packet)) is not None and slots.of(frame[0]) == slot:
            slots.fill(slot)
            yield frame
    yield from _other_frames(video, slots, keys)


def _every_frame(video: VideoReader, plan: FramePlan) -> Iterator[TimedFrame]:
    left = plan.max_frames
    for time_s, frame in video.frames_from(plan.start_s):
        if left == 0 or (plan.end_s is not None and time_s >= plan.end_s - TOLERANCE_S):
            return
        if plan.start_s == 0.0 or time_s >= plan.start_s - TOLERANCE_S:
            left -= 1
            yield time_s, frame


def _indexed_keys(video: VideoReader, slots: Slots) -> Iterator[VideoPacket]:
    """Key packets of wanted slots by the index: nothing between them is read."""
    slot, after = slots.next_wanted(0), None
    # The index carries decoding times, which lie before those of presentation by some frames.
    lead_s = video.decoding_lead_s() + TOLERANCE_S
    while slot is not None:
        earliest = video.stamp(slots.start_of(slot) - lead_s)
        key = video.key_frame_after(earliest if after is None else max(earliest, after))
        if key is None or slots.next_wanted(slots.of(video.time_of(key))) is None:
            return
        after = key + 1
        following = video.key_frame_after(after)
        # The key frame of an open group is given only to who asks for a time that it has been shown at.
        target = key + video.stamp(1.0) - video.stamp(0.0)
        if following is not None:
            target = min(target, following - 1)
        packet = next(video.packets(), None) if video.seek(target) else None
        if packet is None:
            return
        if packet.pts is None or packet.dts is None:
            continue
        lead_s = max(0.0, video.time_of(packet.pts) - video.time_of(packet.dts)) + TOLERANCE_S
        yield packet
        slot = slots.next_wanted(slots.of(video.time_of(packet.pts)))


def _read_keys(video: VideoReader, slots: Slots) -> Iterator[VideoPacket]:
    """Key packets of a container without an index, by reading on; over long gaps by seeking."""
    slot = slots.next_wanted(0)
    while slot is not None:
        sought = slot
        if not video.seek(video.stamp(slots.start_of(slot))):
            return
        for packet in video.packets():
            if packet.pts is None:
                continue
            time_s = video.time_of(packet.pts)
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


def _other_frames(video: VideoReader, slots: Slots, keys: list[float]) -> Iterator[TimedFrame]:
    """The first frame of each slot that has none yet; `keys` are the times of key frames that are known, rising."""
    pays_s = 0.0 if video.indexed else _SEEK_PAYS_S
    slot = slots.next_wanted(0)
    while slot is not None:
        for time_s, frame in video.frames_from(
            slots.start_of(slot), keys, lambda time_s: slots.wants(slots.of(time_s))
        ):
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
