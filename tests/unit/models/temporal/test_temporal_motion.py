"""Motion between two pictures whose face and background are moved by known amounts."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from models.temporal.motion import SIDE, FaceGlimpse, face_motion, glimpse

Image = NDArray[np.uint8]
BOX = (200.0, 140.0, 320.0, 290.0)
FACE_SIDE = 150.0


def scene(face: tuple[float, float] = (0.0, 0.0), around: tuple[float, float] = (0.0, 0.0), turn: float = 0.0) -> Image:
    """A photograph's face on another photograph, each moved by (x, y) pixels, the face turned by degrees."""
    background = np.asarray(cv2.resize(data.coffee(), (640, 480)), np.uint8)  # type: ignore[no-untyped-call]
    portrait = np.asarray(data.astronaut()[40:220, 145:290], np.uint8)  # type: ignore[no-untyped-call]
    moved = cv2.warpAffine(background, np.array([[1, 0, around[0]], [0, 1, around[1]]], np.float64), (640, 480))
    matrix = cv2.getRotationMatrix2D((72.5, 90.0), turn, 1.0)
    matrix[:, 2] += np.array([260.0 - 72.5 + face[0], 215.0 - 90.0 + face[1]])
    pasted = cv2.warpAffine(portrait, matrix, (640, 480), flags=cv2.INTER_CUBIC)
    y, x = np.mgrid[:480, :640].astype(np.float32)
    inside = ((x - 260 - face[0]) / 64) ** 2 + ((y - 215 - face[1]) / 80) ** 2 < 1
    return np.where(inside[:, :, None], pasted, moved).astype(np.uint8)


def shifted(by: tuple[float, float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = BOX
    return (x0 + by[0], y0 + by[1], x1 + by[0], y1 + by[1])


STILL = glimpse(scene(), BOX)


@pytest.mark.parametrize("follows", [False, True], ids=["the box stays", "the box follows"])
def test_a_face_that_moves_before_a_still_background_is_measured_in_its_sides_by_second(follows: bool) -> None:
    by = (9.0, -4.0)
    after = glimpse(scene(face=by), shifted(by) if follows else BOX)
    motion = face_motion(STILL, after, 100)
    assert motion is not None
    expected = np.hypot(*by) / FACE_SIDE * 10
    assert motion.face == pytest.approx(expected, rel=0.15)
    assert motion.around < 0.2 * expected
    assert motion.unlike == pytest.approx(expected, rel=0.2)
    assert motion.disorder < 0.2 * expected
    assert motion.interval_ms == 100


def test_a_camera_that_pans_moves_both_alike() -> None:
    motion = face_motion(STILL, glimpse(scene((8.0, 3.0), (8.0, 3.0)), shifted((8.0, 3.0))), 100)
    assert motion is not None
    assert motion.face == pytest.approx(np.hypot(8, 3) / FACE_SIDE * 10, rel=0.1)
    assert motion.around == pytest.approx(motion.face, rel=0.1)
    assert motion.unlike < 0.1 * motion.face


def test_a_face_with_a_background_that_moves_against_it_is_more_unlike_than_either_moves() -> None:
    motion = face_motion(STILL, glimpse(scene((6.0, 0.0), (-6.0, 0.0)), BOX), 100)
    assert motion is not None
    assert motion.unlike > 1.5 * motion.face


def test_a_box_found_a_little_differently_is_no_motion() -> None:
    motion = face_motion(STILL, glimpse(scene(), (197.0, 133.0, 326.0, 292.0)), 100)
    assert motion is not None
    assert motion.face < 0.06
    assert motion.unlike < 0.04


def test_nothing_moves_between_a_glimpse_and_itself() -> None:
    motion = face_motion(STILL, STILL, 40)
    assert motion is not None
    assert motion.face == pytest.approx(0.0, abs=1e-4)
    assert motion.around == pytest.approx(0.0, abs=1e-4)
    assert motion.disorder == pytest.approx(0.0, abs=1e-4)


def test_a_head_that_tilts_moves_in_one_piece_and_a_face_that_ripples_does_not() -> None:
    tilted = face_motion(STILL, glimpse(scene(turn=4.0), BOX), 100)
    y, x = np.mgrid[:480, :640].astype(np.float32)
    rippled = cv2.remap(scene(), x + 5 * np.sin(y / 14), y + 5 * np.cos(x / 14), cv2.INTER_CUBIC)
    ripples = face_motion(STILL, glimpse(np.asarray(rippled, np.uint8), BOX), 100)
    assert tilted is not None
    assert ripples is not None
    assert tilted.face > 0.1
    assert tilted.disorder < 0.4 * tilted.face
    assert ripples.disorder > 0.4 * ripples.face
    assert ripples.disorder > 2 * tilted.disorder


def test_the_same_motion_in_half_the_time_is_twice_as_fast() -> None:
    after = glimpse(scene(face=(6.0, 0.0)), BOX)
    slow, fast = face_motion(STILL, after, 200), face_motion(STILL, after, 100)
    assert slow is not None
    assert fast is not None
    assert fast.face == pytest.approx(2 * slow.face)
    assert fast.disorder == pytest.approx(2 * slow.disorder)


@pytest.mark.parametrize("scale", [0.5, 2.0, 4.0])
def test_motion_is_the_same_whatever_the_resolution(scale: float) -> None:
    def at(image: Image, box: tuple[float, ...]) -> FaceGlimpse:
        size = (round(640 * scale), round(480 * scale))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return glimpse(np.asarray(cv2.resize(image, size, interpolation=way), np.uint8), [scale * edge for edge in box])

    by = (9.0, -4.0)
    moved = scene(face=by)
    here, there = (
        face_motion(STILL, glimpse(moved, shifted(by)), 100),
        face_motion(at(scene(), BOX), at(moved, shifted(by)), 100),
    )
    assert here is not None
    assert there is not None
    assert there.face == pytest.approx(here.face, rel=0.15)
    assert there.unlike == pytest.approx(here.unlike, rel=0.15)


def test_a_face_at_the_edge_of_the_frame_is_measured_by_what_the_frame_shows() -> None:
    before, after = scene()[:, 215:], scene((6.0, 0.0), (6.0, 0.0))[:, 215:]
    box = (0.0, 140.0, 105.0, 290.0)
    motion = face_motion(glimpse(before, box), glimpse(after, box), 100)
    assert motion is not None
    assert motion.face == pytest.approx(6.0 / FACE_SIDE * 10, rel=0.2)
    assert motion.unlike < 0.15 * motion.face


@pytest.mark.parametrize("interval_ms", [0, -40, 501])
def test_frames_at_one_time_or_too_far_apart_have_no_motion(interval_ms: int) -> None:
    assert face_motion(STILL, STILL, 500) is not None
    assert face_motion(STILL, STILL, interval_ms) is None


@pytest.mark.parametrize(
    "box", [(200.0, 140.0, 390.0, 376.0), (330.0, 140.0, 450.0, 290.0)], ids=["much larger", "elsewhere"]
)
def test_boxes_too_unlike_to_be_one_face_have_no_motion(box: tuple[float, ...]) -> None:
    assert face_motion(STILL, glimpse(scene(), box), 100) is None
    assert face_motion(glimpse(scene(), box), STILL, 100) is None


def test_frames_of_two_sizes_have_no_motion() -> None:
    assert face_motion(STILL, replace(STILL, width=1280, height=960), 100) is None


def test_a_picture_without_structure_has_no_motion() -> None:
    flat = glimpse(np.full((480, 640, 3), 90, np.uint8), BOX)
    assert face_motion(flat, flat, 100) is None


@pytest.mark.parametrize("by", [0, 1, 2, 3, 5, 7, 97])
@pytest.mark.parametrize("side", [10, 200, 211, 393, 800])
def test_a_glimpse_is_one_size_wherever_the_face_lies(side: int, by: int) -> None:
    image = np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]
    for box in ((by - 4, by - 8, by + side, by + side), (500 - side - by, 505 - side, 520 - by, 530)):
        seen = glimpse(image, box)
        assert seen.picture.shape == (SIDE, SIDE)
        assert seen.picture.dtype == np.uint8
        assert (seen.width, seen.height) == (512, 512)


def test_a_glimpse_shows_the_square_that_it_names() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, :, :] = np.linspace(0, 255, 640)[None, :, None]
    seen = glimpse(image, (200.0, 100.0, 300.0, 220.0))
    assert seen.left == 130
    assert seen.top == 40
    assert seen.side == 240
    expected = 255 * (seen.left + (np.arange(SIDE) + 0.5) * seen.side / SIDE) / 639
    np.testing.assert_allclose(seen.picture[48], expected, atol=2.0)


def test_a_box_outside_the_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="no pixel of a frame of 640 x 480"):
        glimpse(scene(), (700.0, 10.0, 800.0, 90.0))


def test_motion_is_the_same_when_it_is_measured_again() -> None:
    after = glimpse(scene(face=(3.3, 1.7)), BOX)
    assert face_motion(STILL, after, 100) == face_motion(STILL, after, 100)
