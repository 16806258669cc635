"""How pulling a stream goes, as its state tells."""

import pytest

from agents.pulling.course import Course
from agents.pulling.exceptions import Trouble
from agents.pulling.wire import Opened, Pulse, Still

BROKE = Trouble("unreachable", "it broke")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def course(clock: Clock) -> Course:
    return Course(clock)


def still(width: int = 320, height: int = 240) -> Still:
    return Still(1_790_000_000_000, 0, width, height, b"jpeg")


def phase(course: Course) -> tuple[str, str]:
    view = course.view(0)
    return view.phase, view.reason


def test_a_stream_connects_until_its_first_frame_and_is_then_live(course: Course) -> None:
    course.connect()
    assert phase(course) == ("connecting", "")
    assert course.hear(Opened("h264", 320, 240))
    course.hear(Pulse(12, 0.5))
    assert phase(course) == ("connecting", "")
    assert course.hear(still())
    assert phase(course) == ("live", "")
    assert not course.hear(still())


def test_one_that_never_came_is_still_connecting_and_says_why(course: Course) -> None:
    for _ in range(3):
        course.connect()
        assert course.break_off(BROKE) == 0
    assert phase(course) == ("connecting", "unreachable: it broke")
    assert course.view(0).connections == 3


def test_a_live_one_stalls_when_no_video_comes_and_lives_while_it_does(course: Course, clock: Clock) -> None:
    course.hear(Opened("h264", 320, 240))
    course.hear(still())
    for _ in range(10):  # a frame a minute may be asked for: the pulse says that video comes
        clock.now_s += 2
        course.hear(Pulse(50, 2))
        assert phase(course) == ("live", "")
    clock.now_s += 4
    assert phase(course) == ("stalled", "no video comes")


def test_one_that_broke_off_is_stalled_until_its_next_frame(course: Course, clock: Clock) -> None:
    course.hear(Opened("h264", 320, 240))
    course.hear(still())
    clock.now_s += 7
    assert course.break_off(BROKE) == 7
    assert phase(course) == ("stalled", "unreachable: it broke")
    course.hear(Opened("h264", 320, 240))
    course.hear(Pulse(12, 0.5))
    assert phase(course)[0] == "stalled"
    assert course.hear(still())
    assert phase(course) == ("live", "")


def test_another_resolution_is_another_stream(course: Course) -> None:
    course.hear(Opened("h264", 320, 240))
    course.hear(still())
    assert course.hear(still(640, 480))
    view = course.view(7)
    assert (view.codec, view.width, view.height, view.next_seq) == ("h264", 640, 480, 7)


def test_what_came_and_went_is_counted(course: Course, clock: Clock) -> None:
    for _ in range(10):
        clock.now_s += 1
        course.hear(Pulse(25, 1))
        course.publish()
        course.drop(2)
    view = course.view(0)
    assert (view.received_fps, view.published_fps, view.dropped) == (27.78, 1.11, 20)


def test_one_that_ended_has_ended(course: Course) -> None:
    course.hear(still())
    course.end()
    assert phase(course)[0] == "ended"
