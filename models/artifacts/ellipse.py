"""Where a face lies in its crop: the ellipse that its landmarks say."""

from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

_ACROSS, _ALONG = 1.05, 1.15
"""Half axes of a frontal face, in distances of the eyes and of eyes and mouth: from cheek to cheek and from hairline
to chin around the five points of ArcFace's template (https://arxiv.org/abs/1801.07698)."""
_LEAST_ACROSS = 0.75
"""Of a profile the eyes nearly coincide: half its width is at least this, in distances of eyes and mouth."""
_LEAST, _MOST = 0.1, 0.6
"""Half axes that a face in a crop with margin can have, as shares of the crop; else the landmarks are wrong."""


@dataclass(frozen=True, slots=True)
class FaceEllipse:
    """A face's outline in shares of its crop: centre, and the half axes as vectors (x, y)."""

    centre: tuple[float, float]
    across: tuple[float, float]
    along: tuple[float, float]

    @classmethod
    def of(cls, landmarks: NDArray[np.float32]) -> Self:
        """Return the ellipse of a face.

        Args:
            landmarks: float32 [5, 2], shares of the crop: eyes, nose, mouth corners. Where they are no upright or
                tilted face in the crop (not finite, in one point, outside), an upright face in its middle is
                returned: that is how crops are cut.
        """
        if not np.isfinite(landmarks).all() or float(np.abs(landmarks).max()) > 2.0:
            return cls((0.5, 0.5), (0.29, 0.0), (0.0, 0.37))
        eyes, mouth = (landmarks[0] + landmarks[1]) / 2, (landmarks[3] + landmarks[4]) / 2
        down = mouth - eyes
        height = float(np.hypot(*down))
        width = float(np.hypot(*(landmarks[1] - landmarks[0])))
        along = _ALONG * height
        across = max(_ACROSS * width, _LEAST_ACROSS * height)
        centre = (eyes + mouth) / 2
        fits = _LEAST <= along <= _MOST and _LEAST <= across <= _MOST and bool(((centre > 0) & (centre < 1)).all())
        if not fits:
            return cls((0.5, 0.5), (0.29, 0.0), (0.0, 0.37))
        x, y = (float(part) / height for part in down)
        return cls((float(centre[0]), float(centre[1])), (y * across, -x * across), (x * along, y * along))

    def coordinates(self, side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the middles of side x side cells in the ellipse's coordinates: float32 [side, side] each.

        The outline has length 1; the first grows towards the picture's right of an upright face, the second towards
        its chin.
        """
        (cx, cy), (ax, ay), (bx, by) = self.centre, self.across, self.along
        x, y = _middles(side)
        determinant = ax * by - ay * bx
        dx, dy = x - np.float32(cx), y - np.float32(cy)
        u = (dx * np.float32(by) - dy * np.float32(bx)) / np.float32(determinant)
        v = (dy * np.float32(ax) - dx * np.float32(ay)) / np.float32(determinant)
        return np.asarray(u, np.float32), np.asarray(v, np.float32)

    def points(
        self, across: NDArray[np.float32], along: NDArray[np.float32], side: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return where points given in the ellipse's coordinates lie in a picture of side x side pixels: x and y."""
        (cx, cy), (ax, ay), (bx, by) = self.centre, self.across, self.along
        x = (cx + across * ax + along * bx) * side - 0.5
        y = (cy + across * ay + along * by) * side - 0.5
        return np.asarray(x, np.float32), np.asarray(y, np.float32)


@cache
def _middles(side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    middles = ((np.arange(side) + 0.5) / side).astype(np.float32)
    return middles[None, :], middles[:, None]
