"""Where in a face alteration lies: heat maps compared with the parts of the face that they cover."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from models.crops import TEMPLATE
from models.evidence import FaceEvidence
from models.heat import Heat, unpack

HEAT_MARGIN = 0.3
"""Margin of the square crop that a map covers, see `models.crops.square_crop`."""
_FINER = 8
"""Pixels along a side of a map's cell, in which parts are drawn."""
_EDGE = 0.04
"""Blur of the parts' edges, in shares of the crop: blends have soft ones."""
_LEAST_HEAT = 0.25
"""A map that is nowhere above it shows nothing, as in `models.heat.regions`."""
_LEAST_ALIKE = 0.5
"""Correlation with a part below which heat lies nowhere in particular."""
_LEAST_MORE = 0.05
"""By how much more a part must be alike than the whole face: what is strongest in the middle is alike the nose."""


class Location(StrEnum):
    """Where in a face heat lies."""

    WHOLE = "whole"
    """Over the inner face up to its outline."""
    LOWER = "lower"
    """From the nose to the chin."""
    MOUTH = "mouth"
    EYES = "eyes"
    NOSE = "nose"
    UNCLEAR = "unclear"
    """There is no map, it shows nothing, or nothing in particular."""


Points = Sequence[tuple[float, float]]
# Outlines of parts, drawn by hand around the points of `models.crops.TEMPLATE`: upright eyes, nose and mouth corners.
_JAW: Points = ((0.10, 0.40), (0.11, 0.62), (0.16, 0.80), (0.27, 0.95), (0.40, 1.05), (0.50, 1.08), (0.60, 1.05),
                (0.73, 0.95), (0.84, 0.80), (0.89, 0.62), (0.90, 0.40))  # fmt: skip
_FACE: Points = (*_JAW, (0.70, 0.26), (0.30, 0.26))
_HEAD: Points = (*_JAW, (0.75, 0.05), (0.50, -0.02), (0.25, 0.05))
_INNER: Points = ((0.18, 0.40), (0.20, 0.62), (0.28, 0.84), (0.40, 0.95), (0.60, 0.95), (0.72, 0.84), (0.80, 0.62),
                  (0.82, 0.40), (0.68, 0.31), (0.32, 0.31))  # fmt: skip
_LOWER: Points = ((0.14, 0.66), (0.18, 0.82), (0.28, 0.96), (0.50, 1.07), (0.72, 0.96), (0.82, 0.82), (0.86, 0.66),
                  (0.50, 0.56))  # fmt: skip
_MOUTH: Points = ((0.30, 0.78), (0.36, 0.92), (0.50, 0.98), (0.64, 0.92), (0.70, 0.78), (0.58, 0.70), (0.42, 0.70))
_EYES: Points = ((0.16, 0.40), (0.22, 0.55), (0.42, 0.55), (0.58, 0.55), (0.78, 0.55), (0.84, 0.40), (0.70, 0.32),
                 (0.30, 0.32))  # fmt: skip
_NOSE: Points = ((0.44, 0.44), (0.36, 0.66), (0.42, 0.72), (0.50, 0.74), (0.58, 0.72), (0.64, 0.66), (0.56, 0.44))

_PARTS: tuple[tuple[Location, Points], ...] = (
    (Location.WHOLE, _FACE),
    (Location.WHOLE, _HEAD),
    (Location.WHOLE, _INNER),
    (Location.LOWER, _LOWER),
    (Location.MOUTH, _MOUTH),
    (Location.EYES, _EYES),
    (Location.NOSE, _NOSE),
)
_DISJOINT: Mapping[str, Points] = {"mouth": _MOUTH, "eyes": _EYES, "nose": _NOSE, "cheeks": _FACE}
"""Of each part counts what lies in no part before it."""


@dataclass(frozen=True, slots=True)
class Located:
    """Where the heat of a track lies.

    Attributes:
        location: the part that it is most alike.
        alike: correlation with that part, -1 to 1; 0 without heat.
        shares: of the heat in `mouth`, `eyes`, `nose`, `cheeks` (the rest of the face) and `outside`; empty without.
    """

    location: Location
    alike: float = 0.0
    shares: Mapping[str, float] | None = None


NOWHERE = Located(Location.UNCLEAR)


def locate(faces: Sequence[FaceEvidence], aspect: float) -> Located:
    """Return where the heat of some faces lies: the part with which their maps correlate best in the mean.

    Parts are drawn onto each face by its landmarks, and averaged over the cells of its map. Normalised correlation
    (Lewis 1995, Fast Normalized Cross-Correlation) knows neither strength nor background.

    Args:
        faces: of one person; those without a map or landmarks tell nothing.
        aspect: width of the upright frame over its height.
    """
    seen = [(heat, fit) for face in faces if (heat := _heat(face)) is not None for fit in [_fit(face, aspect)]]
    if not seen:
        return NOWHERE
    alike: dict[Location, float] = {}
    for location, outline in _PARTS:
        mean = float(np.mean([_correlation(heat, _drawn(outline, fit, len(heat))) for heat, fit in seen]))
        alike[location] = max(mean, alike.get(location, -1.0))
    best = max(alike, key=lambda location: alike[location])
    if alike[best] < alike[Location.WHOLE] + _LEAST_MORE:
        best = Location.WHOLE
    shares = [_shares(heat, fit) for heat, fit in seen]
    return Located(
        best if alike[best] >= _LEAST_ALIKE else Location.UNCLEAR,
        alike[best],
        {name: float(np.mean([each[name] for each in shares])) for name in shares[0]},
    )


def _heat(face: FaceEvidence) -> Heat | None:
    """The map of a face; none where there is nothing to show."""
    if not face.heat or len(face.landmarks) != len(TEMPLATE):
        return None
    heat = unpack(face.heat)
    return heat if float(heat.max()) >= _LEAST_HEAT else None


def _fit(face: FaceEvidence, aspect: float) -> NDArray[np.float64]:
    """What takes the template's x, y, 1 into the crop, in shares of its side: float64 [3, 2].

    Least squares and affine, so that the parts of a turned face are as narrow as they are seen.
    """
    # One unit is the frame's height.
    points = np.array(face.landmarks, np.float64) * (aspect, 1.0)
    width, height = face.box.width * aspect, face.box.height
    side = max(width, height) * (1 + HEAT_MARGIN)
    corner = np.array([face.box.x * aspect + (width - side) / 2, face.box.y + (height - side) / 2])
    design = np.concatenate([TEMPLATE, np.ones((len(TEMPLATE), 1))], axis=1)
    solution, *_ = np.linalg.lstsq(design, (points - corner) / side, rcond=None)
    return np.asarray(solution, np.float64)


def _inside(outline: Points, fit: NDArray[np.float64], pixels: int) -> NDArray[np.float32]:
    """A part of a face, 1 inside its outline and 0 outside, float32 [pixels, pixels] over the crop."""
    points = np.concatenate([np.array(outline), np.ones((len(outline), 1))], axis=1) @ fit * pixels
    # A face whose landmarks are all in one place would be drawn far outside.
    corners = np.clip(np.rint(points), -4 * pixels, 5 * pixels).astype(np.int32)
    mask = np.zeros((pixels, pixels), np.float32)
    cv2.fillPoly(mask, [corners], 1.0)
    return mask


def _drawn(outline: Points, fit: NDArray[np.float64], cells: int) -> NDArray[np.float32]:
    """A part as a map of so many cells would show it, float32 [cells, cells]."""
    pixels = cells * _FINER
    soft = cv2.GaussianBlur(_inside(outline, fit, pixels), (0, 0), _EDGE * pixels)
    return np.asarray(cv2.resize(soft, (cells, cells), interpolation=cv2.INTER_AREA), np.float32)


def _correlation(heat: NDArray[np.floating], part: NDArray[np.floating]) -> float:
    one, other = heat - heat.mean(), part - part.mean()
    spread = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / spread if spread > 0.0 else 0.0


def _shares(heat: Heat, fit: NDArray[np.float64]) -> Mapping[str, float]:
    """Shares of what lies above the map's background, its tenth percentile."""
    pixels = len(heat) * _FINER
    finer = np.asarray(cv2.resize(heat, (pixels, pixels), interpolation=cv2.INTER_LINEAR), np.float64)
    above = np.clip(finer - np.quantile(finer, 0.1), 0, None)
    total = float(above.sum()) or 1.0
    left = np.ones((pixels, pixels), bool)
    shares = {}
    for name, outline in _DISJOINT.items():
        part = left & (_inside(outline, fit, pixels) > 0)
        shares[name] = float(above[part].sum()) / total
        left &= ~part
    return {**shares, "outside": float(above[left].sum()) / total}


OUTLINES_OF: Mapping[str, Location] = {
    "face": Location.WHOLE,
    "head": Location.WHOLE,
    "inner": Location.WHOLE,
    "lower": Location.LOWER,
    "mouth": Location.MOUTH,
    "eyes": Location.EYES,
    "nose": Location.NOSE,
}
"""Where heat should lie, by outline of `models.training.blending`."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often blends of known outlines were located where they are."""

    counts: Mapping[tuple[Location, Location], int]
    """By where it is and where it was found."""

    @property
    def accuracy(self) -> float:
        """Share that was found where it is."""
        return sum(count for (is_at, found), count in self.counts.items() if is_at is found) / self.total

    @property
    def total(self) -> int:
        """How many there were."""
        return sum(self.counts.values())

    def recall(self, location: Location) -> float | None:
        """Return the share of those at a location that was found there; none where there were none."""
        there = sum(count for (is_at, _), count in self.counts.items() if is_at is location)
        return self.counts.get((location, location), 0) / there if there else None
