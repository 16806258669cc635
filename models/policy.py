"""What a policy is: the numbers that turn scores into a decision. Named and versioned; a verdict says which."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.verdict import Axis, RecommendedAction, RiskLevel

AXIS_OF_ROLE: Mapping[str, Axis] = {
    "screen": Axis.MANIPULATION,
    "primary": Axis.MANIPULATION,
    "synthetic": Axis.SYNTHETIC,
    "liveness": Axis.LIVENESS,
}
"""What a detector of a role asks."""


class Combination(StrEnum):
    """How what is known of a track becomes one score."""

    CALIBRATED = "calibrated"
    """Calibrated logits, by learnt weights where there are some for these detectors, else by the weights of roles."""
    WEIGHTED = "weighted"
    """A weighted mean of probabilities: of the detectors, of artifacts and of temporal signs."""


class Part(StrEnum):
    """What `Combination.WEIGHTED` combines."""

    DETECTORS = "detectors"
    ARTIFACTS = "artifacts"
    TEMPORAL = "temporal"


def _severe_blocks() -> Mapping[RiskLevel, RecommendedAction]:
    return {
        RiskLevel.LOW: RecommendedAction.REVIEW,
        RiskLevel.MEDIUM: RecommendedAction.REVIEW,
        RiskLevel.HIGH: RecommendedAction.BLOCK,
        RiskLevel.CRITICAL: RecommendedAction.BLOCK,
    }


@dataclass(frozen=True, slots=True)
class Advice:
    """What is recommended. By risk for an axis at or above its threshold: the severest of such axes counts."""

    manipulation: Mapping[RiskLevel, RecommendedAction] = field(default_factory=_severe_blocks)
    synthetic: Mapping[RiskLevel, RecommendedAction] = field(default_factory=_severe_blocks)
    liveness: RecommendedAction = RecommendedAction.ALLOW
    """For an authentic face that seems to be a recording held before the camera."""
    inconclusive: RecommendedAction = RecommendedAction.REVIEW

    def against(self, axis: Axis, risk: RiskLevel) -> RecommendedAction:
        """Return what is recommended where a deciding axis says manipulated."""
        return (self.synthetic if axis is Axis.SYNTHETIC else self.manipulation)[risk]


class LiveAction(StrEnum):
    """What is done about a live stream that alerts."""

    OBSERVE = "observe"
    """Nothing: the alert is there for those who read the topic."""
    ALERT = "alert"
    """Webhooks, e-mail and notifications."""
    BLOCK = "block"
    """The same, and the publisher is denied and kicked."""


@dataclass(frozen=True, slots=True)
class Live:
    """When a live stream alerts, and what follows. Times are seconds of the stream's own clock."""

    action: LiveAction = LiveAction.ALERT
    enter: float = 0.8
    """Score from which a stream is suspicious."""
    exit: float = 0.5
    """Score below which it is not any more; at most `enter`, or the alert would flicker."""
    hold_s: float = 1.0
    """How long it must be suspicious without a break before it alerts."""
    cooldown_s: float = 10.0
    """How long the score must stay below `exit` before the alert is cleared."""
    min_faces: int = 3
    """Judged faces that a track needs to count."""
    block_from: RiskLevel = RiskLevel.HIGH
    """The least risk that is blocked, with `LiveAction.BLOCK`."""
    block_s: float = 3600.0
    """How long a block lasts."""
    fail_closed: bool = False
    """Whether nobody may publish while it cannot be known who is blocked."""
    blur_faces: bool = False
    """Whether pictures in alerts are blurred beyond recognition."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How scores become a label, a risk level and advice. Scores are calibrated probabilities.

    The defaults never change: they belong to every version that leaves something out, and versions stay what they are.
    """

    name: str
    version: int
    description: str = ""
    thresholds: Mapping[Axis, float] = field(default_factory=dict)
    """From where an axis says manipulated; goes before `target_false_positives` and the detectors' own."""
    target_false_positives: float | None = None
    """Share of real faces that may reach an axis' threshold: thresholds are then those of the detectors, or of their
    learnt fusion, for this rate. Where there is none for it, the default one counts."""
    combination: Combination = Combination.CALIBRATED
    learnt: bool = True
    """Whether learnt weights are used; only with `Combination.CALIBRATED`."""
    role_weights: Mapping[str, float] = field(
        default_factory=lambda: {"screen": 0.3, "primary": 0.7, "synthetic": 1.0, "liveness": 1.0}
    )
    """Weights of logits within an axis, where none were learnt."""
    parts: Mapping[Part, float] = field(default_factory=lambda: {Part.DETECTORS: 1.0})
    """Weights of probabilities with `Combination.WEIGHTED`, in the axis of altered faces."""
    authentic_below: float = 0.3
    """From here to the threshold the verdict abstains."""
    top_share: float = 0.3
    """The share of a track's highest logits that counts half; the mean of all counts the other half."""
    min_faces: int = 1
    """Usable faces that a track of a video needs to be evidence; a still has one face of each person."""
    min_usable_share: float = 0.0
    """Share of all faces that must have been judged for a verdict to be authentic."""
    full_evidence_faces: int = 4
    """Usable faces from which more do not raise the confidence; a still has all its evidence in one."""
    risk_bands: tuple[tuple[float, RiskLevel], ...] = (
        (0.95, RiskLevel.CRITICAL),
        (0.8, RiskLevel.HIGH),
        (0.5, RiskLevel.MEDIUM),
        (0.0, RiskLevel.LOW),
    )
    advice: Advice = field(default_factory=Advice)
    live: Live = field(default_factory=Live)

    @property
    def reference(self) -> str:
        """`name/version`, as plans and verdicts cite it."""
        return f"{self.name}/{self.version}"

    def risk(self, score: float) -> RiskLevel:
        """Return the band of a score."""
        return next(level for least, level in self.risk_bands if score >= least)


DEFAULT_POLICY = Policy(
    "default",
    2,
    "Block what is highly likely manipulated, have people look at what is likely or undecided.",
    authentic_below=0.4,
)
"""The newest `default` of `policies.yaml`."""


def rate_key(rate: float) -> str:
    """Return a false-positive rate as tables of thresholds name it: 0.01 is `0.01`."""
    return f"{rate:g}"
