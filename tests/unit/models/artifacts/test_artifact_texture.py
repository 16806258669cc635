import numpy as np
from hypothesis import given, strategies as st

from bench.artifacts import plain_local_binary_patterns
from models.artifacts.texture import PATTERNS, local_binary_patterns, uniform_patterns
from tests.unit.models.artifacts.conftest import Portrait, as_luma


def test_patterns_of_a_face_are_those_of_the_definition(portrait: Portrait) -> None:
    luma = as_luma(portrait.crop)
    np.testing.assert_array_equal(local_binary_patterns(luma), plain_local_binary_patterns(luma))


@given(seed=st.integers(0, 10_000), height=st.integers(3, 40), width=st.integers(3, 40), levels=st.integers(1, 256))
def test_patterns_of_any_picture_are_those_of_the_definition(seed: int, height: int, width: int, levels: int) -> None:
    luma = np.random.default_rng(seed).integers(0, levels, (height, width), np.uint8)
    np.testing.assert_array_equal(local_binary_patterns(luma), plain_local_binary_patterns(luma))


def test_58_patterns_change_at_most_twice_around_the_circle() -> None:
    places = uniform_patterns()
    changes = [sum(a != b for a, b in zip(f"{n:08b}", f"{n:08b}"[1:] + f"{n:08b}"[0], strict=True)) for n in range(256)]
    assert [place < PATTERNS - 1 for place in places] == [change <= 2 for change in changes]
    assert sorted(set(places.tolist())) == list(range(PATTERNS))
