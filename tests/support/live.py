"""Live frames as any producer writes them: of a face that the tiny detector calls altered, or of one it does not."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np

from tests.support.fleet import Fleet
from tests.support.media import Clip, clip_frame, image_bytes
from topics import catalogue
from topics.live_frames import LiveFrame, write_frame

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
"""When streams begin."""
_PORTRAIT = Clip(width=256, height=256, fps=10, frames=1)


@cache
def altered() -> bytes:
    """A JPEG of a face that the tiny detector is sure is altered."""
    face = clip_frame(_PORTRAIT, 0).astype(np.float32)
    return image_bytes((face * 0.35 + 165).astype(np.uint8), "JPEG", quality=90)


@cache
def untouched() -> bytes:
    """A JPEG of a face that the tiny detector is sure is not."""
    return image_bytes((clip_frame(_PORTRAIT, 0) * 0.35).astype(np.uint8), "JPEG", quality=90)


@cache
def empty() -> bytes:
    """A JPEG without a face."""
    return image_bytes(np.full((256, 256, 3), 90, np.uint8), "JPEG")


def frame(
    stream_id: str, seq: int, image: bytes, *, second: float | None = None, at: datetime | None = None
) -> LiveFrame:
    """Return a frame of a stream, captured so many seconds after its start; by default four frames are a second."""
    moment = seq / 4 if second is None else second
    captured_at = at or START + timedelta(seconds=moment)
    return LiveFrame(stream_id, seq, round(1000 * moment), captured_at, "image/jpeg", image)


def frames(stream_id: str, image: bytes, since: int, until: int) -> list[LiveFrame]:
    """Return frames `since` to `until` of a stream, four a second."""
    return [frame(stream_id, seq, image) for seq in range(since, until)]


def publish(fleet: Fleet, live: Iterable[LiveFrame]) -> None:
    """Publish frames, and wait until the broker has them."""
    for each in live:
        message = write_frame(each)
        fleet.publish_raw(catalogue.FRAMES, message.value or b"", message.headers, message.key or b"")
    fleet.flush()
