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
class ArtifactEvidence:
    """What one artifact analysis found in one face, see `models.artifacts`."""

    kind: str
    score: float
    """0 nothing to 1 strong."""
    region: RelativeBox | None = None
    """Where it is strongest, in the frame; none where it is nowhere in particular."""


@dataclass(frozen=True, slots=True)
class Light:
    """How a face is lit: the plane that fits its luma best. Luma levels, 0 to 255."""

    mean: float
    across: float
    """Rise from the face's left edge to its right."""
    along: float
    """Rise from its top edge to its bottom."""


@dataclass(frozen=True, slots=True)
class Motion:
    """How a face moved since the frame before, against what is around it. In sides of the face, by second."""

    face: float
    """Mean length of the flow inside the face."""
    around: float
    """Likewise around it."""
    unlike: float
    """Length of the difference of both mean flows."""
    disorder: float
    """Mean deviation of the flow inside the face from the affine motion that fits it best."""
    interval_ms: int
    """Since the frame before."""


@dataclass(frozen=True, slots=True)
class FaceEvidence:
    """One face in one frame. What detectors and analyses say is empty where the face was not usable.

    What has a default is not in results of workers that did not look at it.
    """

    box: RelativeBox
    detection_score: float
    quality: Quality
    logits: Mapping[str, float] = field(default_factory=dict)
    """Calibrated logit of fake, by detector."""
    track: int = 0
    """The face over time."""
    landmarks: tuple[tuple[float, float], ...] = ()
    """x and y of both eyes, nose and both mouth corners, as shares of the frame."""
    artifacts: tuple[ArtifactEvidence, ...] = ()
    square: RelativeBox | None = None
    """The crop that detectors of altered faces judge; it may reach outside the frame."""
    heat: str = ""
    """Where in `square` the detector of altered faces saw alteration, see `models.heat`."""
    light: Light | None = None
    motion: Motion | None = None
    unanswered: tuple[str, ...] = ()
    """Detectors that were asked and answered with no number: an error of theirs, and no evidence of anything."""


@dataclass(frozen=True, slots=True)
class FrameEvidence:
    """One frame that was looked at."""

    frame_number: int
    pts_ms: int
    key_frame: bool
    cut: bool
    """Whether it begins a new scene: faces of different scenes are never the same track."""
    faces: tuple[FaceEvidence, ...]
    unseen: str = ""
    """The face detector, where it answered with no number: an error of its, and no evidence that there is no face."""
