"""Figures of repeated measurements. The machine is shared and noisy: medians with their range, never a mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median


@dataclass(frozen=True, slots=True)
class Samples:
    """What was measured, once a repetition, in their order."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    def percentile(self, share: float) -> float:
        """The smallest value that `share` (0-1) of the samples do not exceed (nearest rank)."""
        return sorted(self.values)[max(0, ceil(share * len(self.values)) - 1)]

    def over(self, base: "Samples") -> "Samples":
        """Ratios to another measurement, repetition by repetition: each pair was measured next to each other."""
        return Samples(tuple(ours / theirs for ours, theirs in zip(self.values, base.values, strict=True)))

    def text(self, digits: int = 0) -> str:
        """Return `median (min-max)`."""
        if len(self.values) == 1:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({min(self.values):,.{digits}f}–{max(self.values):,.{digits}f})"  # noqa: RUF001


def shares(parts: Sequence[tuple[str, float]], whole: float, most: int = 3) -> str:
    """Return the largest parts of a whole in words: `faces 62 %, decode 20 %`."""
    largest = sorted(parts, key=lambda part: part[1], reverse=True)[:most]
    return ", ".join(f"{name} {value / whole:.0%}" for name, value in largest)
