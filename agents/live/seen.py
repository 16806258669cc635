"""From the evidence of a stream's frames to what its window is told of them. Pure."""

from collections.abc import Sequence

from agents.live.last_views import LastView
from agents.live.scorer import StreamScored
from agents.live.stream import Stream
from agents.live.stream_window import SeenFace, SeenFrame
from agents.models_used import detector_facts
from models.axes import DetectorFacts
from models.evidence import FaceEvidence, FrameEvidence
from models.fusion_weights import FusionTable
from models.live import face_logit
from models.scenes import is_cut
from topics.live_frames import LiveFrame


def seen_frames(
    frames: Sequence[LiveFrame], found: StreamScored, stream: Stream, fusion: FusionTable, last: LastView | None
) -> tuple[SeenFrame, ...]:
    """Return the frames as the stream's window takes them, in the order in which they were read.

    Args:
        frames: that were scored.
        found: what they showed.
        stream: whose they are.
        fusion: how detectors of one axis are fused.
        last: the frame before them, where one is known.
    """
    facts = detector_facts(found.models)
    evidence = {frame.frame_number: frame for frame in found.scored.frames}
    cuts = {frame.frame_number for frame in found.scored.frames if frame.cut}
    if found.scored.frames and last is not None:
        first = found.scored.frames[0].frame_number
        # One that is read again was compared with what went before it when it was new.
        if last.seq < first and is_cut(last.view, found.scored.first_view):
            cuts.add(first)
    return tuple(
        SeenFrame(
            frame.seq,
            frame.captured_ms,
            _faces(evidence.get(frame.seq), facts, stream, fusion),
            cut=frame.seq in cuts,
            unread=frame.seq in found.unread,
        )
        for frame in frames
    )


def last_view(found: StreamScored) -> LastView | None:
    """Return the last of scored frames, to compare with what follows; none where none could be read."""
    if not found.scored.frames:
        return None
    return LastView(found.scored.frames[-1].frame_number, found.scored.last_view)


def _faces(
    frame: FrameEvidence | None, facts: Sequence[DetectorFacts], stream: Stream, fusion: FusionTable
) -> tuple[SeenFace, ...]:
    if frame is None:
        return ()
    judged = ((face, face_logit(face, facts, stream.policy, fusion)) for face in frame.faces)
    return tuple(SeenFace(logit, _corners(face)) for face, logit in judged if logit is not None)


def _corners(face: FaceEvidence) -> tuple[float, float, float, float]:
    box = face.box
    return (
        round(box.x, 4),
        round(box.y, 4),
        round(box.x + box.width, 4),
        round(box.y + box.height, 4),
    )
