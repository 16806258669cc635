"""What there is to know of a face detector's answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Answers = Mapping[str, NDArray[np.float32]]
"""By output: of several frames as the network gives them, or of one frame, without the first axis."""
Found = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Boxes float32 [K, 4] (x0, y0, x1, y1), scores [K] in [0, 1], landmarks [K, 5, 2] (x, y), in pixels of the network's
input, in no order; a face may be found several times."""


@dataclass(frozen=True, slots=True)
class FaceMaps:
    """One kind of face detector.

    Attributes:
        name: of the kind.
        outputs: of the graph, with their shapes for frames of any number and size.
        scores: from answers to [N, cells] in [0, 1]: how sure it is of a face, everywhere.
        find: from the answers to one frame, the width of the network's input in pixels, and the least score, to what
            was found.
    """

    name: str
    outputs: Mapping[str, Sequence[int | str]]
    scores: Callable[[Answers], NDArray[np.float32]]
    find: Callable[[Answers, int, float], Found]
