"""Policies: the numbers that turn scores into a decision. Named and versioned; a verdict says which."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.verdict import Axis, RiskLevel

AXIS_OF_ROLE: Mapping[str, Axis] = {
    "screen": Axis.MANIPULATION,
    "primary": Axis.MANIPULATION,
    "synthetic": Axis.SYNTHETIC,
    "liveness": Axis.LIVENESS,
}
"""What a detector of a role asks."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How scores become a label, a risk level and advice. Scores are calibrated probabilities."""

    name: str
    version: int
    thresholds: Mapping[Axis, float] = field(default_factory=dict)
    """From where an axis says manipulated; an axis without one takes its detectors' own threshold."""
    role_weights: Mapping[str, float] = field(
        default_factory=lambda: {"screen": 0.3, "primary": 0.7, "synthetic": 1.0, "liveness": 1.0}
    )
    """Weights of logits within an axis."""
    authentic_below: float = 0.3
    """From here to the threshold the verdict abstains."""
    top_share: float = 0.3
    """The share of a track's highest logits that counts half; the mean of all counts the other half."""
    min_faces: int = 1
    """Usable faces that a track needs to be evidence."""
    full_evidence_faces: int = 4
    """Usable faces from which more do not raise the confidence; a still has all its evidence in one."""
    risk_bands: tuple[tuple[float, RiskLevel], ...] = (
        (0.95, RiskLevel.CRITICAL),
        (0.8, RiskLevel.HIGH),
        (0.5, RiskLevel.MEDIUM),
        (0.0, RiskLevel.LOW),
    )

    @property
    def reference(self) -> str:
        """`name/version`, as verdicts cite it."""
        return f"{self.name}/{self.version}"

    def risk(self, score: float) -> RiskLevel:
        """Return the band of a score."""
        return next(level for least, level in self.risk_bands if score >= least)


DEFAULT_POLICY = Policy("default", 1)
