"""Work for a decoder process."""

import queue
import threading
from dataclasses import dataclass, field

from agents.media.frames import Decoding, FramePlan, MediaProbe
from agents.media.shared_frames import Frame
from agents.media.sniff import Sniffed
from agents.media.source import MediaSource


@dataclass(slots=True)
class Job:
    """One probe (no plan) or one decoding, from the thread that wants it to the one that drives a decoder.

    Attributes:
        source: The media, for reads; its owner may close it at any time.
        sniffed: Its type.
        plan: Frames wanted, or None for a probe.
        fd: A descriptor of the job's own with the media in a local file, or None.
        results: Frames or the probe as they come; then an error, or None, as the end.
        decoding: What decoded the video, once that is known.
        cancelled: Set when nobody wants the rest.
    """

    source: MediaSource
    sniffed: Sniffed
    plan: FramePlan | None
    fd: int | None
    results: "queue.SimpleQueue[Frame | MediaProbe | Exception | None]" = field(default_factory=queue.SimpleQueue)
    decoding: Decoding | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
