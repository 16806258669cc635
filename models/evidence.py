"""What scoring leaves behind: faces and their logits, by frame. All that a decision rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RelativeBox:
    """A rectangle in the upright frame, as shares of its width and height, each in [0, 1]."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: "RelativeBox") -> float:
        """Return the intersection over union, 0 to 1."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        if width <= 0 or height <= 0:
            return 0.0
        both = width * height
        return both / (self.width * self.height + other.width * other.height - both)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a head looks, degrees; zeros are a frontal, upright face."""

    yaw: float = 0.0
    """Positive to the picture's right."""
    pitch: float = 0.0
    """Positive upwards."""
    roll: float = 0.0
    """Positive clockwise."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a face can be judged: size in pixels, the rest in [0, 1].

    The defaults are a face with nothing against it: results of workers that did not measure these are still read.
    """

    size_px: float
    sharpness: float
    exposure: float
    frontality: float
    usable: bool
    contrast: float = 1.0
    noise: float = 0.0
    """0 none to 1 nothing else."""
    blockiness: float = 0.0
    """0 none to 1 only blocks of a codec."""
    occlusion: float = 0.0
    """0 no sign of anything before the face to 1 strong ones; a hint."""
    pose: Pose = Pose()


@dataclass(frozen=True, slots=True)
class FaceEvidence:
    """One face in one frame. `logits` is empty where the face was not usable."""

    box: RelativeBox
    detection_score: float
    quality: Quality
    logits: Mapping[str, float] = field(default_factory=dict)
    """Calibrated logit of fake, by detector."""
    track: int = 0
    """The face over time."""


@dataclass(frozen=True, slots=True)
class FrameEvidence:
    """One frame that was looked at."""

    frame_number: int
    pts_ms: int
    key_frame: bool
    cut: bool
    """Whether it begins a new scene: faces of different scenes are never the same track."""
    faces: tuple[FaceEvidence, ...]
