"""When a stream that broke off is connected to again."""

import pytest

from agents.pulling.exceptions import Trouble
from agents.pulling.retries import Retries

BROKE = Trouble("unreachable", "it broke")


def retries(chance: float = 1.0) -> Retries:
    return Retries(first_s=1, most_s=30, steady_s=10, chance=lambda: chance)


def test_pauses_double_up_to_the_highest() -> None:
    tried = retries()
    assert [tried.pause(BROKE, 0) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_a_pause_is_anywhere_below_its_bound_and_never_none() -> None:
    assert [retries(chance).pause(BROKE, 0) for chance in (0.0, 0.5)] == [0.05, 0.5]


def test_they_begin_anew_after_a_while_of_being_live() -> None:
    tried = retries()
    for _ in range(5):
        tried.pause(BROKE, 9)
    assert [tried.pause(BROKE, 10), tried.pause(BROKE, 0)] == [1, 2]


@pytest.mark.parametrize("kind", ["not_a_stream", "no_video", "undecodable", "forbidden"])
def test_what_is_lasting_is_tried_again_seldom(kind: str) -> None:
    trouble = Trouble(kind, "")  # type: ignore[arg-type]  # of the four
    assert [retries(chance).pause(trouble, 0) for chance in (0.0, 1.0)] == [15, 30]


def test_other_pictures_in_place_of_live_ones_are_looked_at_at_once() -> None:
    assert retries().pause(Trouble("changed", ""), 5) == 0
    assert retries().pause(Trouble("changed", ""), 0) == 1
