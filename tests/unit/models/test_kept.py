"""Crops that wait for later detectors, within a budget."""

import numpy as np
import pytest

from models.kept import KeptCrops


def crops(value: int, faces: int = 1) -> dict[str, np.ndarray]:
    return {"fine": np.full((faces, 4, 4, 3), value, np.uint8)}


ONE = crops(0)["fine"].nbytes


def test_within_the_budget_every_crop_is_there() -> None:
    kept = KeptCrops(8 * ONE)
    for number in range(8):
        kept.add(number, crops(number))
    assert list(kept.frames) == list(range(8))
    assert kept.crop(5, "fine", 0)[0, 0, 0] == 5


def test_beyond_the_budget_evenly_spread_frames_stay() -> None:
    kept = KeptCrops(4 * ONE)
    for number in range(16):
        kept.add(number, crops(number))
    assert list(kept.frames) == [0, 4, 8, 12]


def test_what_was_let_go_is_not_given() -> None:
    kept = KeptCrops(2 * ONE)
    for number in range(4):
        kept.add(number, crops(number))
    with pytest.raises(KeyError):
        kept.crop(1, "fine", 0)


def test_one_frame_stays_however_large() -> None:
    kept = KeptCrops(1)
    kept.add(7, crops(3, faces=16))
    assert list(kept.frames) == [7]
