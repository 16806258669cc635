"""Evidence as scoring leaves it behind, for tests of what is decided on it."""

from collections.abc import Mapping, Sequence

from models.evidence import FaceEvidence, FrameEvidence, Quality, RelativeBox

GOOD = Quality(size_px=120.0, sharpness=0.6, exposure=0.95, frontality=0.9, usable=True)
POOR = Quality(size_px=12.0, sharpness=0.01, exposure=0.1, frontality=0.2, usable=False)
LEFT = RelativeBox(0.1, 0.2, 0.2, 0.3)
RIGHT = RelativeBox(0.6, 0.2, 0.2, 0.3)


def face(
    logits: Mapping[str, float] | None = None, *, track: int = 0, box: RelativeBox = LEFT, quality: Quality = GOOD
) -> FaceEvidence:
    """Return a face with the logits of its detectors."""
    return FaceEvidence(box, detection_score=0.99, quality=quality, logits=logits or {}, track=track)


def frame(number: int, *faces: FaceEvidence, pts_ms: int | None = None, cut: bool = False) -> FrameEvidence:
    """Return a frame of a video with one frame a second, unless said otherwise."""
    return FrameEvidence(
        frame_number=number,
        pts_ms=1000 * number if pts_ms is None else pts_ms,
        key_frame=number == 0,
        cut=cut,
        faces=faces,
    )


def clip(detector: str, logits: Sequence[float], *, track: int = 0) -> tuple[FrameEvidence, ...]:
    """Return frames with one face each, judged by one detector."""
    return tuple(frame(number, face({detector: logit}, track=track)) for number, logit in enumerate(logits))
