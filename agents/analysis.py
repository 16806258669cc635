"""From a segment of opened media to its evidence: decode, find faces, score. Knows no Kafka and no Redis."""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import orjson
from pydantic import TypeAdapter

from agents.media.exceptions import MediaError
from agents.media.frames import FramePlan
from agents.media.sandbox import DecoderPool
from agents.media.source import MediaSource
from agents.models_used import ModelUsed
from models.asking import asking
from models.detectors import DetectorSet
from models.evidence import FrameEvidence
from models.inference.batcher import Urgency
from models.scenes import is_cut
from models.scoring import Scored, ScoringLimits, StageSeconds, WorstFace, score_frames
from schemas.media import ContentType, Priority, Segment


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a segment has no evidence: a kind of MediaError and its reason."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A face as a small picture, see `models.scoring.WorstFace`."""

    pts_ms: int
    logit: float
    jpeg: str
    """In Base64."""


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """What scoring a segment found. Travels through Redis as JSON."""

    index: int
    start_s: float
    end_s: float
    frames: tuple[FrameEvidence, ...]
    model_set: str
    """Fingerprint of the models that really scored it."""
    started_at_ms: int
    """When a worker began, milliseconds since 1970."""
    failure: Failure | None = None
    models: tuple[ModelUsed, ...] = ()
    """The models that scored it; none where there was nothing to score."""
    first_view: str = ""
    """The first frame as `models.scenes.view` gives it, in Base64: tells a cut at the segment's edge."""
    last_view: str = ""
    """The last frame likewise."""
    worst: Picture | None = None
    """The face that looks most altered."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Time by stage: fetch, decode, faces, score."""

    def dump(self) -> bytes:
        """Return it as JSON."""
        return orjson.dumps(self)


_URGENCY = {Priority.INTERACTIVE: Urgency.INTERACTIVE, Priority.BULK: Urgency.BULK}
_RESULT: TypeAdapter[SegmentResult] = TypeAdapter(SegmentResult)


def load_result(value: bytes) -> SegmentResult:
    """Return the result that `dump` wrote."""
    return _RESULT.validate_json(value)


def joined(results: Sequence[SegmentResult]) -> tuple[FrameEvidence, ...]:
    """Return the frames of segments, given in order of time, with the cuts between segments marked."""
    read = [result for result in results if result.frames]
    frames = list(read[0].frames) if read else []
    for before, after in pairwise(read):
        first, *rest = after.frames
        cut = is_cut(b64decode(before.last_view), b64decode(after.first_view))
        frames += [replace(first, cut=cut), *rest]
    return tuple(frames)


def frame_plan(segment: Segment, max_side: int) -> FramePlan:
    """Return which frames of a segment are looked at."""
    if segment.content_type is ContentType.IMAGE:
        return FramePlan(max_frames=1, max_side=max_side)
    return FramePlan(
        start_s=segment.start_s,
        end_s=segment.end_s or None,
        rate_fps=segment.upload.options.sample_rate_fps,
        max_frames=segment.max_frames,
        max_side=max_side,
    )


def analyse(
    segment: Segment,
    source: MediaSource,
    decoders: DecoderPool,
    detectors: DetectorSet,
    models: tuple[ModelUsed, ...],
    limits: ScoringLimits,
    *,
    max_side: int,
    started_at_ms: int,
) -> SegmentResult:
    """Score a segment of opened media. Media that cannot be read is a result with a failure.

    Raises:
        ModelError: a model failed.
    """
    seconds = StageSeconds()
    scored = Scored((), b"", b"")
    failure = None
    try:
        with decoders.frames(source, frame_plan(segment, max_side)) as decoded:
            scored = score_frames(
                decoded,
                detectors,
                asking(segment.upload.detection_level, detectors.entries),
                limits,
                seconds,
                _URGENCY[segment.upload.priority],
            )
    except MediaError as error:
        failure = Failure(error.kind, error.reason)
    return SegmentResult(
        index=segment.index,
        start_s=segment.start_s,
        end_s=segment.end_s,
        frames=scored.frames,
        model_set=detectors.fingerprint,
        started_at_ms=started_at_ms,
        failure=failure,
        models=models,
        first_view=b64encode(scored.first_view).decode(),
        last_view=b64encode(scored.last_view).decode(),
        worst=None if scored.worst is None else _picture(scored.worst),
        seconds={"decode": seconds.decode, "faces": seconds.faces, "score": seconds.score},
    )


def _picture(worst: WorstFace) -> Picture:
    return Picture(worst.pts_ms, worst.logit, b64encode(worst.jpeg).decode())
