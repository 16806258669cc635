"""What scoring is compared with, stage by stage."""

import pytest

from bench.bare_stages import at_best, calls_of
from tests.support.evidence import face, frame


def test_calls_are_the_faces_that_each_detector_judged() -> None:
    seen, suspected = face({"screen": 0.1}), face({"screen": 2.0, "primary": 1.0})
    assert calls_of([frame(0, seen, suspected), frame(1, face()), frame(2, seen)]) == {"screen": 3, "primary": 1}


@pytest.mark.parametrize(("decode", "inference", "together"), [(30.0, 30.0, 15.0), (100.0, 25.0, 20.0)])
def test_stages_that_share_the_cores_add_up_their_times(decode: float, inference: float, together: float) -> None:
    assert at_best(decode, inference) == pytest.approx(together)
