"""The verdict: what the fleet says of a piece of media, why, and what made it say so."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from schemas.event import Event, Name, Part, Score, Timestamp
from schemas.media import ContentType, DetectionLevel, MediaInfo


class Outcome(StrEnum):
    """How the analysis ended."""

    SCORED = "scored"
    """Faces were found and judged."""
    NO_FACE = "no_face"
    """The media was read and shows no face."""
    UNDECODABLE = "undecodable"
    """The bytes are not readable as what they claim to be."""
    UNSUPPORTED = "unsupported"
    """A kind of media, codec or size that the fleet does not examine."""
    UNREACHABLE = "unreachable"
    """The bytes could not be had: gone, refused, forbidden, or changed while being read."""


class Label(StrEnum):
    """The three-way decision."""

    AUTHENTIC = "authentic"
    MANIPULATED = "manipulated"
    INCONCLUSIVE = "inconclusive"


class RiskLevel(StrEnum):
    """Bands of the manipulation score: below 0.5, 0.8, 0.95, and above."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Axis(StrEnum):
    """What a detector asks; axes are judged apart and none clears another."""

    MANIPULATION = "manipulation"
    """Was a real face altered?"""
    SYNTHETIC = "synthetic"
    """Was the whole picture generated?"""
    LIVENESS = "liveness"
    """Is it a recording held before a camera?"""


class ManipulationKind(StrEnum):
    """How media can be manipulated."""

    FACE_SWAP = "face_swap"
    REENACTMENT = "reenactment"
    SPEECH_DRIVEN = "speech_driven"
    FULL_SYNTHESIS = "full_synthesis"
    PARTIAL = "partial"
    ATTRIBUTE_MANIPULATION = "attribute_manipulation"
    UNKNOWN = "unknown"


class Box(Part):
    """A rectangle in the upright picture, as shares of its width and height."""

    x: Score
    """Left edge."""
    y: Score
    """Top edge."""
    width: Score
    """Width."""
    height: Score
    """Height."""


class DetectorScore(Part):
    """What one detector said of the media."""

    detector: Name
    """The model's name in the manifest."""
    axis: Axis
    """What it asks."""
    score: Score
    """Calibrated probability."""
    threshold: Score
    """From where it speaks of manipulation."""
    weight: Annotated[float, Field(ge=0)]
    """Its weight in the axis."""
    faces: Annotated[int, Field(ge=0)]
    """How many face crops it judged."""


class AxisScore(Part):
    """The score of one axis, over its detectors."""

    axis: Axis
    """Which."""
    score: Score
    """Calibrated probability."""
    threshold: Score
    """From where the axis says manipulated."""
    detectors: tuple[DetectorScore, ...]
    """What it was made of."""


class ManipulationType(Part):
    """A kind of manipulation and how likely it is."""

    kind: ManipulationKind
    """Which."""
    probability: Score
    """The probabilities of a verdict sum to at most 1."""


class HeadPose(Part):
    """Where a head looks, degrees, from five landmarks: right to some ten degrees."""

    yaw: float
    """Positive to the picture's right."""
    pitch: float
    """Positive upwards."""
    roll: float
    """Positive clockwise."""


class FaceQuality(Part):
    """How well a face can be judged. What may be null is null in verdicts older than it."""

    size_px: Annotated[float, Field(ge=0)]
    """The shorter side of its box, pixels of the examined frame."""
    sharpness: Score
    """0 blurred to 1 sharp."""
    exposure: Score
    """0 black or burnt out to 1 well exposed."""
    frontality: Score
    """0 profile to 1 frontal."""
    usable: bool
    """Whether it passed the quality gate."""
    contrast: Score | None = None
    """0 of one brightness to 1 black and white."""
    noise: Score | None = None
    """0 none to 1 nothing else."""
    blockiness: Score | None = None
    """0 none to 1 only blocks of a codec."""
    occlusion: Score | None = None
    """0 no sign of anything before the face to 1 strong ones; a hint."""
    pose: HeadPose | None = None
    """Where the head looks."""


class HeatMap(Part):
    """Where a detector sees alteration, as a coarse map over a part of the picture."""

    left: float
    """Left edge of the part, as a share of the picture's width; the part may reach outside."""
    top: float
    """Top edge, as a share of its height."""
    width: Annotated[float, Field(gt=0)]
    """Width of the part."""
    height: Annotated[float, Field(gt=0)]
    """Height of the part."""
    cells: str
    """A byte a cell, 0 nothing to 255 sure, S rows of S cells, in Base64."""


class FaceAnalysis(Part):
    """One face in one frame."""

    track: Annotated[int, Field(ge=0)]
    """The face over time, numbered within the media."""
    box: Box
    """Where it is."""
    detection_score: Score
    """How sure the face detector is."""
    quality: FaceQuality
    """How well it can be judged."""
    scores: dict[str, Score]
    """Calibrated probability by detector; empty if the face was not usable."""
    regions: tuple[Box, ...] = ()
    """Where in it a detector sees alteration, the strongest first."""
    heat: HeatMap | None = None
    """The same as a map; of the most suspicious frames only."""


class FrameAnalysis(Part):
    """One frame that was looked at."""

    frame_number: Annotated[int, Field(ge=0)]
    """Its number in the media."""
    pts_ms: Annotated[int, Field(ge=0)]
    """Its presentation time, milliseconds."""
    key_frame: bool
    """Whether it is a key frame of the codec."""
    score: Score | None
    """The highest score of its usable faces."""
    faces: tuple[FaceAnalysis, ...]
    """Its faces."""


class SegmentAnalysis(Part):
    """One planned time range."""

    index: Annotated[int, Field(ge=0)]
    """Which."""
    start_s: Annotated[float, Field(ge=0)]
    """Seconds."""
    end_s: Annotated[float, Field(ge=0)]
    """Seconds, exclusive."""
    frames: Annotated[int, Field(ge=0)]
    """Frames looked at."""
    faces: Annotated[int, Field(ge=0)]
    """Faces found."""
    score: Score | None
    """The highest frame score."""
    failure: str | None = None
    """Why it could not be read, if so."""


SuspicionKind = Literal["sustained", "intermittent", "isolated"]
"""Through all its frames, in some of them, or in one or two alone."""


class SuspiciousSegment(Part):
    """A stretch of time whose frames score above the threshold."""

    start_s: Annotated[float, Field(ge=0)]
    """Seconds."""
    end_s: Annotated[float, Field(ge=0)]
    """Seconds."""
    severity: RiskLevel
    """The band of its mean score."""
    mean_score: Score
    """Mean frame score."""
    peak_score: Score
    """Highest frame score."""
    frames: Annotated[int, Field(ge=1)]
    """How many frames it rests on."""
    kind: SuspicionKind = "sustained"
    """How the suspicion shows over its time."""


class Artifact(Part):
    """What one artifact analysis found."""

    kind: Name
    """`frequency`, `blending_boundary`, `lighting`, …"""
    score: Score
    """0 nothing to 1 strong."""
    weight: Annotated[float, Field(ge=0)]
    """Its weight in the decision; 0 where it does not separate."""
    region: Box | None = None
    """Where it is strongest."""


class TemporalSign(Part):
    """What one analysis over time found in one face."""

    kind: Name
    """`landmark_jitter`, `lighting_drift`, `change_points`, …"""
    track: Annotated[int, Field(ge=0)]
    """The face."""
    score: Score
    """0 nothing to 1 strong."""
    weight: Annotated[float, Field(ge=0)]
    """Its weight in the decision; 0 where it does not separate."""
    samples: Annotated[int, Field(ge=1)]
    """Frames, or pairs of them, that it rests on."""


class QualityMetrics(Part):
    """How much evidence the media gave."""

    frames_analyzed: Annotated[int, Field(ge=0)]
    """Frames looked at."""
    frames_with_face: Annotated[int, Field(ge=0)]
    """Frames with a face."""
    faces: Annotated[int, Field(ge=0)]
    """Faces found, over all frames."""
    usable_faces: Annotated[int, Field(ge=0)]
    """Faces that passed the quality gate."""
    tracks: Annotated[int, Field(ge=0)]
    """Faces followed over time."""
    median_face_px: Annotated[float, Field(ge=0)]
    """Median of the faces' shorter side, pixels."""
    median_sharpness: Score
    """Median over the faces."""
    median_exposure: Score
    """Median over the faces."""
    median_contrast: Score | None = None
    """Median over the faces; null without a face."""
    median_noise: Score | None = None
    """Median over the faces; null without a face."""
    median_occlusion: Score | None = None
    """Median over the faces; null without a face."""
    coverage: Score
    """Share of the planned time ranges that could be read."""


class RecommendedAction(StrEnum):
    """What the fleet advises; the platform's policy decides."""

    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"


class Recommendation(Part):
    """The advice, and why."""

    action: RecommendedAction
    """What to do."""
    reason: str
    """Why, in a sentence."""
    checks: tuple[str, ...] = ()
    """What a moderator should look at."""


class ModelVersion(Part):
    """A model that took part."""

    name: Name
    """Its name in the manifest."""
    role: Name
    """`faces`, `screen`, `primary`, `synthetic`, `liveness`."""
    version: Name
    """Its version in the manifest."""
    sha256: str
    """The checksum of its weights."""
    provider: Name
    """The ONNX Runtime execution provider that ran it."""
    provider_reason: str = ""
    """Why this one, and why not a faster one."""


class Reproduction(Part):
    """What it takes to get the same verdict again."""

    model_set: Name
    """Fingerprint of models, preprocessing and thresholds."""
    plan_fingerprint: Name
    """Fingerprint of what was planned."""
    policy: Name
    """Name and version of the policy."""
    preprocessing: dict[str, str]
    """Hash of the preprocessing, by model."""
    thresholds: dict[str, float]
    """The thresholds in force."""
    libraries: dict[str, str]
    """Versions of the libraries that touch pixels and scores."""


class Timings(Part):
    """Where the time went, milliseconds, summed over segments."""

    queued_ms: Annotated[float, Field(ge=0)] = 0.0
    """From the upload's arrival at the fleet until its first segment was started, less planning."""
    plan_ms: Annotated[float, Field(ge=0)] = 0.0
    """Fetching, hashing and probing for the plan."""
    fetch_ms: Annotated[float, Field(ge=0)] = 0.0
    """Waiting for bytes."""
    decode_ms: Annotated[float, Field(ge=0)] = 0.0
    """Waiting for decoded frames."""
    faces_ms: Annotated[float, Field(ge=0)] = 0.0
    """Finding faces."""
    score_ms: Annotated[float, Field(ge=0)] = 0.0
    """Waiting for the detectors."""
    fuse_ms: Annotated[float, Field(ge=0)] = 0.0
    """Joining segments and deciding."""


class Verdict(Event):
    """The answer to an upload, or the rolling judgement of a stream."""

    schema_name: ClassVar[str] = "verdict"

    verdict_id: UUID
    """Derived from media, window, plan, model set and policy."""
    revision: Annotated[int, Field(ge=0)] = 0
    """Raised when history is scored anew; the newest revision counts."""
    media_id: UUID
    """The media that it speaks of."""
    content_id: Name
    """The platform's id of the content."""
    uploader_id: Name
    """Who uploaded it."""
    tenant: Name
    """Whose policy applied."""
    content_type: ContentType | None
    """By content; none where the bytes could not be told."""
    detection_level: DetectionLevel
    """How thoroughly it was looked at."""
    window: Name = "whole"
    """`whole` for an upload; a time range for a stream."""
    outcome: Outcome
    """How the analysis ended."""
    reason: str | None = None
    """Why it ended without a score, or is inconclusive."""
    label: Label
    """The decision."""
    manipulation_score: Score | None
    """The highest axis score; none without a judged face."""
    confidence_score: Score
    """How far the label can be relied on: the label's probability times the share of evidence."""
    risk_level: RiskLevel | None
    """The band of the manipulation score."""
    axes: tuple[AxisScore, ...] = ()
    """The axes that were judged."""
    manipulation_types: tuple[ManipulationType, ...] = ()
    """What kind of manipulation the evidence supports."""
    frames: tuple[FrameAnalysis, ...] = ()
    """Every frame with `detailed_timeline`, else the most suspicious."""
    segments: tuple[SegmentAnalysis, ...] = ()
    """The planned time ranges."""
    suspicious_segments: tuple[SuspiciousSegment, ...] = ()
    """Stretches of time above the threshold."""
    artifacts: tuple[Artifact, ...] = ()
    """What the artifact analyses found in the face in which they found most."""
    temporal_signs: tuple[TemporalSign, ...] = ()
    """What the analyses over time found, at level `advanced`."""
    quality: QualityMetrics | None = None
    """How much evidence there was."""
    recommendation: Recommendation
    """The advice."""
    media: MediaInfo | None = None
    """What the bytes are; none where they could not be told."""
    models: tuple[ModelVersion, ...] = ()
    """The models that took part."""
    reproduction: Reproduction | None = None
    """How to get it again; none where nothing was scored."""
    timings: Timings = Timings()
    """Where the time went."""
    processing_time_ms: Annotated[float, Field(ge=0)]
    """From the upload's arrival at the fleet to the verdict."""
    reused_from: UUID | None = None
    """The verdict on the same bytes that this one repeats."""
    created_at: Timestamp
    """Event time: when the media was uploaded."""

    @property
    def is_deepfake(self) -> bool | None:
        """Manipulated or not; none where inconclusive."""
        return None if self.label is Label.INCONCLUSIVE else self.label is Label.MANIPULATED

    @property
    def event_id(self) -> str:
        """The verdict id and its revision."""
        return f"{self.verdict_id}/{self.revision}"

    @property
    def key(self) -> str:
        """The content id."""
        return self.content_id


ProgressStage = Literal["planned", "segment_done", "verdict"]


class Progress(Event):
    """How far an upload is."""

    schema_name: ClassVar[str] = "progress"

    media_id: UUID
    """Which media."""
    content_id: Name
    """The platform's id of the content."""
    tenant: Name
    """Whose it is."""
    stage: ProgressStage
    """What just happened."""
    segments_done: Annotated[int, Field(ge=0)]
    """Segments scored so far."""
    segments: Annotated[int, Field(ge=0)]
    """Segments of the plan."""
    frames: Annotated[int, Field(ge=0)] = 0
    """Frames looked at in this step."""
    faces: Annotated[int, Field(ge=0)] = 0
    """Faces found in this step."""
    at: Timestamp
    """When."""

    @property
    def event_id(self) -> str:
        """The media and how far it is."""
        return f"{self.media_id}/{self.stage}/{self.segments_done}"

    @property
    def key(self) -> str:
        """The content id."""
        return self.content_id
