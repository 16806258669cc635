"""What scored frames add to the metrics."""

from collections.abc import Iterable

from agents.runtime.metrics import Metrics
from models.evidence import FrameEvidence


def count_frames(frames: Iterable[FrameEvidence], metrics: Metrics) -> None:
    """Count frames, faces, and what detectors left unanswered."""
    for frame in frames:
        metrics.frames.inc()
        if frame.unseen:
            metrics.unseen.labels(frame.unseen).inc()
        for face in frame.faces:
            metrics.faces.labels(str(face.quality.usable).lower()).inc()
            for name in face.unanswered:
                metrics.unanswered.labels(name).inc()
