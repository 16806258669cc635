from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, strategies as st

from models.evidence import FrameEvidence, RelativeBox
from models.tracks import link
from tests.support.evidence import LEFT, RIGHT, face, frame


def tracks(frames: tuple[FrameEvidence, ...]) -> list[list[int]]:
    return [[found.track for found in linked.faces] for linked in frames]


def moved(box: RelativeBox, by: float) -> RelativeBox:
    return replace(box, x=box.x + by)


def test_a_face_that_hardly_moves_is_one_track() -> None:
    frames = [frame(number, face(box=moved(LEFT, 0.02 * number))) for number in range(10)]
    assert tracks(link(frames)) == [[0]] * 10


def test_two_faces_are_two_tracks_in_whatever_order_they_are_found() -> None:
    frames = [frame(0, face(box=LEFT), face(box=RIGHT)), frame(1, face(box=RIGHT), face(box=LEFT))]
    assert tracks(link(frames)) == [[0, 1], [1, 0]]


def test_a_face_elsewhere_is_a_new_track() -> None:
    assert tracks(link([frame(0, face(box=LEFT)), frame(1, face(box=RIGHT))])) == [[0], [1]]


def test_a_scene_cut_ends_every_track_even_where_a_face_is_in_the_same_place() -> None:
    frames = [frame(0, face()), frame(1, face()), frame(2, face(), cut=True), frame(3, face())]
    assert tracks(link(frames)) == [[0], [0], [1], [1]]


def test_a_cut_to_a_scene_without_faces_ends_them_too() -> None:
    frames = [frame(0, face()), frame(1, cut=True), frame(2, face())]
    assert tracks(link(frames)) == [[0], [], [1]]


@pytest.mark.parametrize(("gap_ms", "expected"), [(3000, [[0], [0]]), (3001, [[0], [1]])])
def test_a_face_that_was_away_too_long_is_a_new_track(gap_ms: int, expected: list[list[int]]) -> None:
    assert tracks(link([frame(0, face(), pts_ms=500), frame(1, face(), pts_ms=500 + gap_ms)])) == expected


def test_a_face_that_is_missed_in_one_frame_goes_on() -> None:
    assert tracks(link([frame(0, face()), frame(1), frame(2, face())])) == [[0], [], [0]]


def test_of_two_candidates_the_one_that_overlaps_more_goes_on() -> None:
    near, far = moved(LEFT, 0.01), moved(LEFT, 0.08)
    assert tracks(link([frame(0, face(box=LEFT)), frame(1, face(box=far), face(box=near))])) == [[0], [1, 0]]


def test_frames_are_brought_into_the_order_of_time() -> None:
    frames = [frame(2, face()), frame(0, face()), frame(1, face())]
    assert [linked.frame_number for linked in link(frames)] == [0, 1, 2]


def test_what_was_found_of_a_face_is_kept() -> None:
    (linked,) = link([frame(0, face({"screen-a": 1.5}, track=9))])
    assert linked.faces[0] == face({"screen-a": 1.5}, track=0)


def test_no_frames_are_no_tracks() -> None:
    assert link([]) == ()


boxes = st.builds(RelativeBox, st.floats(0, 0.7), st.floats(0, 0.7), st.floats(0.05, 0.3), st.floats(0.05, 0.3))


@given(
    layout=st.lists(st.tuples(st.lists(boxes, max_size=4), st.booleans()), max_size=12),
    order=st.randoms(use_true_random=False),
)
def test_tracks_are_numbered_from_0_never_twice_in_a_frame_and_the_same_whatever_the_order(
    layout: list[tuple[list[RelativeBox], bool]], order: Random
) -> None:
    frames = [frame(number, *(face(box=box) for box in found), cut=cut) for number, (found, cut) in enumerate(layout)]
    linked = link(frames)
    numbers = [found.track for one in linked for found in one.faces]
    assert set(numbers) == set(range(len(set(numbers))))
    assert all(len({found.track for found in one.faces}) == len(one.faces) for one in linked)
    cuts = [number for number, one in enumerate(linked) if one.cut]
    for cut in cuts:
        before = {found.track for one in linked[:cut] for found in one.faces}
        after = {found.track for one in linked[cut:] for found in one.faces}
        assert not before & after
    shuffled = list(frames)
    order.shuffle(shuffled)
    assert link(shuffled) == linked


@given(one=boxes, other=boxes)
def test_an_overlap_is_a_share_and_the_same_from_both_sides(one: RelativeBox, other: RelativeBox) -> None:
    assert 0.0 <= one.overlap(other) <= 1.0 + 1e-9
    assert one.overlap(other) == pytest.approx(other.overlap(one))
    assert one.overlap(one) == pytest.approx(1.0)


def test_boxes_that_only_touch_do_not_overlap() -> None:
    assert RelativeBox(0.0, 0.0, 0.5, 0.5).overlap(RelativeBox(0.5, 0.0, 0.5, 0.5)) == 0.0
    assert RelativeBox(0.0, 0.0, 0.4, 1.0).overlap(RelativeBox(0.2, 0.0, 0.4, 1.0)) == pytest.approx(1 / 3)
