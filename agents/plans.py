"""Planning: which time ranges an upload is scored in. Pure: equal uploads of equal bytes get equal plans."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from math import ceil

import orjson

from schemas.media import ContentType, MediaInfo, MediaUpload, Segment

_CUT_SLACK = 0.25
"""A cut moves to a key frame within this share of a segment: nothing is decoded twice."""
_SHORT = 1.5
"""A clip of up to so many segment lengths stays whole: cutting it costs more than it saves."""


def cuts(duration_s: float, segment_s: float, key_frames_ms: Sequence[int], most: int) -> list[float]:
    """Return the moments at which a video of `duration_s` seconds is cut, from 0 to its end.

    There are `most` ranges at most, of about equal length: `segment_s` seconds or less, unless that would be more
    of them, and moved to a key frame where one is near.
    """
    if duration_s <= _SHORT * segment_s:
        return [0.0, duration_s]
    count = min(ceil(duration_s / segment_s), most)
    length = duration_s / count
    moments = [0.0]
    for number in range(1, count):
        moment = _nearest(key_frames_ms, number * length, _CUT_SLACK * length)
        if moment > moments[-1]:
            moments.append(moment)
    return [*moments, duration_s]


def _nearest(key_frames_ms: Sequence[int], moment_s: float, slack_s: float) -> float:
    position = bisect_left(key_frames_ms, moment_s * 1000)
    around = [frame / 1000 for frame in key_frames_ms[max(0, position - 1) : position + 1]]
    nearest = min(around, key=lambda frame: abs(frame - moment_s), default=moment_s)
    return nearest if abs(nearest - moment_s) <= slack_s else moment_s


def fingerprint(upload: MediaUpload, moments: Sequence[float], model_set: str, policy: str) -> str:
    """Return the fingerprint of a plan: what is asked, where it is cut, which models and policy answer.

    Two uploads of the same bytes with equal fingerprints get the same scores.
    """
    asked = {
        "level": upload.detection_level,
        "options": upload.options.model_dump(mode="json"),
        "cuts": [round(moment, 3) for moment in moments],
        "model_set": model_set,
        "policy": policy,
    }
    return sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()[:24]


def plan(
    upload: MediaUpload,
    info: MediaInfo,
    key_frames_ms: Sequence[int],
    *,
    moving: bool,
    segment_s: float,
    model_set: str,
    policy: str,
    received_at: datetime,
    planned_at: datetime,
) -> tuple[Segment, ...]:
    """Return the segments of an upload: one for a still or a short clip, several for a long video.

    Video whose length is not known (a recording that was never finished) is one segment, to its end.

    Args:
        upload: what was asked.
        info: what the bytes are.
        key_frames_ms: where decoding can start, ascending, milliseconds; may be empty.
        moving: whether it is video.
        segment_s: longest range, seconds.
        model_set: fingerprint of the models that will answer.
        policy: name and version of the policy.
        received_at: when the upload was read.
        planned_at: now.
    """
    frames = upload.options.max_frames
    # No more segments than frames: each looks at one at least, and all together at no more than was asked.
    moments = cuts(info.duration_s, segment_s, key_frames_ms, most=frames) if moving else [0.0, 0.0]
    mark = fingerprint(upload, moments, model_set, policy)
    ranges = list(pairwise(moments))
    return tuple(
        Segment(
            media_id=upload.media_id,
            upload=upload,
            info=info,
            content_type=ContentType.VIDEO if moving else ContentType.IMAGE,
            start_s=start,
            end_s=end,
            index=index,
            of=len(ranges),
            max_frames=frames * (index + 1) // len(ranges) - frames * index // len(ranges),
            plan_fingerprint=mark,
            model_set=model_set,
            policy=policy,
            received_at=received_at,
            planned_at=planned_at,
            plan_ms=max(0.0, (planned_at - received_at).total_seconds() * 1000),
        )
        for index, (start, end) in enumerate(ranges)
    )
