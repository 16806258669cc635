"""Maps of where a detector saw alteration."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from models.heat import pack, regions, unpack


@given(arrays(np.float32, (12, 12), elements=st.floats(0, 1, width=32)))
def test_a_map_survives_packing_to_a_255th(heat: np.ndarray) -> None:
    np.testing.assert_allclose(unpack(pack(heat)), heat, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("text", ["", "AAA=", "not base64!"])
def test_what_is_no_square_map_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"square|[Bb]ase64|padding|data"):
        unpack(text)


def test_connected_hot_cells_are_one_region_and_the_hottest_is_first() -> None:
    heat = np.zeros((12, 12), np.float32)
    heat[2:4, 3:6] = 0.7
    heat[8, 8] = 0.9
    first, second = regions(heat)
    assert (first.x, first.y, first.width, first.height) == pytest.approx((8 / 12, 8 / 12, 1 / 12, 1 / 12))
    assert (second.x, second.y, second.width, second.height) == pytest.approx((3 / 12, 2 / 12, 3 / 12, 2 / 12))


def test_a_cold_map_shows_no_region() -> None:
    assert regions(np.full((12, 12), 0.2, np.float32)) == ()
