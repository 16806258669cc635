"""All artifact analyses of a face crop."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from models.artifacts import blending, colour, compression, edges, frequency, lighting, shadow, texture
from models.artifacts.findings import ArtifactFinding
from models.artifacts.view import FaceView

ANALYSES: Mapping[str, Callable[[FaceView], ArtifactFinding]] = MappingProxyType(
    {
        frequency.NAME: frequency.analyse_frequency,
        compression.NAME: compression.analyse_compression,
        blending.NAME: blending.analyse_blending,
        lighting.NAME: lighting.analyse_lighting,
        colour.NAME: colour.analyse_colour,
        shadow.NAME: shadow.analyse_shadow,
        edges.NAME: edges.analyse_edges,
        texture.NAME: texture.analyse_texture,
    }
)
"""By name, in the order of their findings."""
CROP_MARGIN = 0.3
"""Of the square crops that the analyses are made for: they compare a face with what is around it."""


def analyse(crop: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> tuple[ArtifactFinding, ...]:
    """Run all analyses on one face, in the order of `ANALYSES`.

    Args:
        crop: uint8 [256, 256, 3] RGB, as `models.crops.square_crop` cuts it with `CROP_MARGIN`; other sizes are
            brought to this one.
        landmarks: float32 [5, 2] in the crop's pixels, in the order of `models.faces.Face`.

    Raises:
        ValueError: crop or landmarks are no such arrays.
    """
    view = FaceView.of(crop, landmarks)
    return tuple(find(view) for find in ANALYSES.values())
