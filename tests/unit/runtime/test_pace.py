import pytest

from agents.runtime.pace import Pace


def test_the_pace_is_that_of_batches_handed_out_after_each_other() -> None:
    pace = Pace()
    assert pace.by_second is None
    pace.hand_out(4, 10.0)
    assert pace.by_second is None
    pace.hand_out(4, 10.5)
    assert pace.by_second == pytest.approx(8.0)


def test_it_follows_what_changes() -> None:
    pace = Pace()
    for turn in range(3):
        pace.hand_out(1, turn * 0.1)
    for turn in range(20):
        pace.hand_out(1, 1.0 + turn)
    assert pace.by_second == pytest.approx(1.0, abs=0.1)


def test_time_without_work_does_not_slow_it() -> None:
    pace = Pace()
    pace.hand_out(1, 0.0)
    pace.hand_out(1, 0.1)
    pace.idle()
    pace.hand_out(1, 1000.0)
    assert pace.by_second == pytest.approx(10.0)
