"""What one analysis found in one track."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TemporalFinding:
    """The answer of one analysis of a face over time."""

    name: str
    """Of the analysis, such as `landmark_jitter`."""
    score: float
    """0 nothing to 1 strong; rises with the raw measure."""
    raw: float
    """The measure itself, at least 0, in the unit that its analysis says."""
    samples: int
    """How many frames, pairs or triples of frames it rests on, as its analysis says."""
