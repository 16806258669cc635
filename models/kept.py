"""Crops that wait until it is known which detectors are to see them, within a budget of bytes."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Crops = NDArray[np.uint8]


class KeptCrops:
    """Crops by frame. When they outgrow the budget, those of every second frame are let go.

    What is kept depends on the order of the frames alone, so that the same media gives the same scores.

    Args:
        budget: bytes.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._stride = 1
        self._seen = 0
        self._bytes = 0
        self._frames: dict[int, tuple[int, Mapping[str, Crops]]] = {}

    def add(self, frame: int, crops: Mapping[str, Crops]) -> None:
        """Keep a frame's crops, by detector: uint8 [K, S, S, 3] each, of the same faces."""
        number, self._seen = self._seen, self._seen + 1
        if number % self._stride:
            return
        self._frames[frame] = (number, crops)
        self._bytes += _size(crops)
        while self._bytes > self._budget and len(self._frames) > 1:
            self._stride *= 2
            for key, (place, dropped) in list(self._frames.items()):
                if place % self._stride:
                    del self._frames[key]
                    self._bytes -= _size(dropped)

    @property
    def frames(self) -> Sequence[int]:
        """Frames whose crops are there, in the order in which they came."""
        return tuple(self._frames)

    def crop(self, frame: int, detector: str, face: int) -> Crops:
        """The crop of one face for one detector, uint8 [S, S, 3].

        Raises:
            KeyError: it was not kept.
        """
        return np.asarray(self._frames[frame][1][detector][face], np.uint8)


def _size(crops: Mapping[str, Crops]) -> int:
    return sum(each.nbytes for each in crops.values())
