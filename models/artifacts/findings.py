"""What one analysis found in one face."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evidence import RelativeBox

HEATMAP_SIDE = 32
"""Cells of a heatmap along each side."""
_STRONG = 0.5
"""Cells from this share of the strongest one make the region."""


@dataclass(frozen=True, slots=True, eq=False)
class ArtifactFinding:
    """The answer of one analysis.

    Attributes:
        name: of the analysis, such as `blending_boundary`.
        score: 0 nothing to 1 strong; rises with the raw measure.
        region: where it is strongest, as shares of the crop; None where it is nowhere in particular.
        heatmap: float32 [32, 32] in [0, 1], its greatest cell at most the score; None where there is none.
    """

    name: str
    score: float
    region: RelativeBox | None = None
    heatmap: NDArray[np.float32] | None = None


def share(measure: float, half: float) -> float:
    """Map a measure in [0, ∞) to [0, 1): m / (m + half). Monotone; `half` maps to 0.5, what is no number to 0."""
    return measure / (measure + half) if measure > 0.0 else 0.0


def either(*shares: float) -> float:
    """Join independent shares in [0, 1]: 1 - Π (1 - share), the noisy-or of Pearl 1988."""
    nothing = 1.0
    for each in shares:
        nothing *= 1.0 - each
    return 1.0 - nothing


def located(name: str, score: float, strength: NDArray[np.float32]) -> ArtifactFinding:
    """Return a finding with a heatmap and the box around its strong cells.

    Args:
        name: of the analysis.
        score: 0-1.
        strength: float32 [32, 32], ≥ 0, in any unit; scaled so that the strongest cell is the score.
    """
    strongest = float(strength.max())
    if not (strongest > 0.0 and score > 0.0):
        return ArtifactFinding(name, score)
    strong = strength >= _STRONG * strongest
    rows, columns = np.flatnonzero(strong.any(1)), np.flatnonzero(strong.any(0))
    top, bottom, left, right = (int(edge) for edge in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    region = RelativeBox(
        left / HEATMAP_SIDE, top / HEATMAP_SIDE, (right - left) / HEATMAP_SIDE, (bottom - top) / HEATMAP_SIDE
    )
    return ArtifactFinding(name, score, region, np.asarray(strength * np.float32(score / strongest), np.float32))
