"""What the frames agent scores with: stills of many streams are decoded, searched and judged together."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from agents.decoders import Decoders
from agents.evidence_counts import count_frames
from agents.live.stream import Stream
from agents.media.decoder import SandboxPolicy
from agents.media.exceptions import MediaError
from agents.media.frames import FramePlan
from agents.media.sandbox import DecoderPool, FrameStream
from agents.media.shared_frames import Frame
from agents.media.sniff import sniff
from agents.media.source import memory_source
from agents.model_set import LoadedModels
from agents.models_used import ModelUsed
from agents.runtime.exceptions import Unavailable
from agents.runtime.metrics import Metrics
from models.asking import asking_live
from models.detectors import DetectorSet
from models.exceptions import NoRoom, OutOfMemory
from models.fusion_weights import FusionTable
from models.inference.batcher import Urgency
from models.scoring import Looked, Scored, ScoringLimits, StageSeconds, ask_further, gather, look_at
from topics.live_frames import LiveFrame


@dataclass(frozen=True, slots=True)
class StreamScored:
    """Frames of one stream, scored.

    Attributes:
        scored: evidence in order of time; `frame_number` is `seq`, `pts_ms` when the frame was captured.
        unread: numbers of frames that could not be read.
        model_set: fingerprint of the models.
        models: that scored them.
    """

    scored: Scored
    unread: frozenset[int]
    model_set: str
    models: tuple[ModelUsed, ...]


@dataclass(slots=True)
class _Still:
    """A decoded live frame, as scoring takes it."""

    frame: LiveFrame
    decoded: Frame

    @property
    def frame_number(self) -> int:
        return self.frame.seq

    @property
    def pts_ms(self) -> int:
        # In the order in which they were captured: presentation times begin anew with each connection.
        return self.frame.captured_ms

    @property
    def is_key(self) -> bool:
        return True

    @property
    def pixels(self) -> NDArray[np.uint8]:
        return self.decoded.pixels

    def release(self) -> None:
        self.decoded.release()


@dataclass(slots=True)
class _Decoding:
    """The stills of one stream on their way through the decoders. Taken in order, of all streams likewise."""

    frames: Sequence[LiveFrame]
    jobs: Sequence[FrameStream | None]
    unread: set[int] = field(default_factory=set)

    def __iter__(self) -> Iterator[_Still]:
        for frame, job in zip(self.frames, self.jobs, strict=True):
            decoded = None if job is None else _first(job)
            if decoded is None:
                self.unread.add(frame.seq)
            else:
                yield _Still(frame, decoded)


class LiveScorer:
    """Scores stills of streams. For one thread between `open` and `close`."""

    def __init__(
        self, sandbox: SandboxPolicy, models: LoadedModels, limits: ScoringLimits, metrics: Metrics, *, max_side: int
    ) -> None:
        self._decoders = Decoders(sandbox, metrics)
        self._models = models
        self._limits = limits
        self._metrics = metrics
        self._plan = FramePlan(max_frames=1, max_side=max_side)

    @property
    def fusion(self) -> FusionTable:
        """How detectors of one axis are fused."""
        return self._models.fusion

    def score(
        self, frames: Mapping[str, Sequence[LiveFrame]], streams: Mapping[str, Stream]
    ) -> dict[str, StreamScored]:
        """Return what frames of streams show. What cannot be read is said, and is no error.

        Where a model runs out of memory, what stands in for it scores them all from the beginning.

        Args:
            frames: by stream.
            streams: each that has frames.

        Raises:
            Unavailable: memory is short of all that could stand in, or no decoder comes up.
            ModelError: a model failed.
        """
        while True:
            try:
                with ExitStack() as leases:
                    sets = {
                        stream_id: leases.enter_context(self._models.lease(str(streams[stream_id].media_id)))
                        for stream_id in frames
                    }
                    try:
                        return self._scored(frames, streams, sets)
                    except OutOfMemory as error:
                        failed = error
            except NoRoom as error:
                raise Unavailable("memory", str(error)) from error
            for detectors in {id(each): each for each in sets.values()}.values():
                if failed.entry in {entry.name for entry in detectors.entries}:
                    self._models.serving.step_down(failed, detectors)
                    break

    def _scored(
        self, frames: Mapping[str, Sequence[LiveFrame]], streams: Mapping[str, Stream], sets: Mapping[str, DetectorSet]
    ) -> dict[str, StreamScored]:
        seconds = StageSeconds()
        with self._decoders.use() as pool, ExitStack() as jobs:
            # All of them at once: while the first are searched for faces, the next are decoded.
            decodings = {
                stream_id: _Decoding(of_stream, [self._decode(pool, frame, jobs) for frame in of_stream])
                for stream_id, of_stream in frames.items()
            }
            looked = {
                stream_id: look_at(
                    decoding,
                    sets[stream_id],
                    asking_live(streams[stream_id].asked.detection_level, sets[stream_id].entries),
                    self._limits,
                    seconds,
                    Urgency.LIVE,
                )
                for stream_id, decoding in decodings.items()
            }
        scored = self._judged(looked)
        self._count(scored, seconds)
        return {
            stream_id: StreamScored(
                found,
                frozenset(decodings[stream_id].unread),
                sets[stream_id].fingerprint,
                self._models.used(sets[stream_id]),
            )
            for stream_id, found in scored.items()
        }

    def _judged(self, looked: Mapping[str, Looked]) -> dict[str, Scored]:
        with self._metrics.stage_seconds.labels("score").time():
            asked = {stream_id: ask_further(each) for stream_id, each in looked.items()}
            return {stream_id: gather(each) for stream_id, each in asked.items()}

    def _decode(self, pool: DecoderPool, frame: LiveFrame, jobs: ExitStack) -> FrameStream | None:
        """Begin to decode a still; none where it is not one."""
        source = jobs.enter_context(memory_source(f"frame {frame.seq}", frame.image))
        try:
            sniffed = sniff(source)
            return jobs.enter_context(pool.frames(source, self._plan, sniffed)) if sniffed.kind == "image" else None
        except MediaError:
            return None

    def _count(self, scored: Mapping[str, Scored], seconds: StageSeconds) -> None:
        self._metrics.stage_seconds.labels("decode").observe(seconds.decode)
        self._metrics.stage_seconds.labels("faces").observe(seconds.faces)
        count_frames(chain.from_iterable(each.frames for each in scored.values()), self._metrics)

    def open(self) -> None:
        """Load the models and start the decoders.

        Raises:
            ModelError: a model cannot be had or does not load.
        """
        self._models.open()
        self._decoders.open()

    def close(self) -> None:
        """Let go of them."""
        self._decoders.close()
        self._models.close()


def _first(job: FrameStream) -> Frame | None:
    try:
        return next(job, None)
    except MediaError:
        return None
