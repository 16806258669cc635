import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.crops import TEMPLATE, aligned_crop, cut_faces, inside_crop, similarity, square_crop
from models.faces import Face
from models.manifest import CropSpec


def ramp(height: int, width: int) -> NDArray[np.uint8]:
    """An image whose first channel is its column, and whose second is its row."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, rows * 0], 2).astype(np.uint8)


def test_a_crop_of_its_own_size_is_the_image() -> None:
    image = ramp(100, 120)
    np.testing.assert_array_equal(square_crop(image, (10, 20, 42, 52), 0.0, 32), image[20:52, 10:42])


def test_the_margin_is_a_share_of_the_longer_side() -> None:
    image = ramp(200, 200)
    np.testing.assert_array_equal(square_crop(image, (80, 80, 100, 120), 0.5, 60), image[70:130, 60:120])


def test_outside_the_image_its_edge_is_repeated() -> None:
    crop = square_crop(ramp(100, 100), (-16, 84, 16, 116), 0.0, 32)
    assert (crop[:, :16, 0] == 0).all()
    assert (crop[16:, :, 1] == 99).all()
    assert crop[0, 20, 0] == 4


@pytest.mark.parametrize("box", [(-500, -500, -400, -400), (400, 20, 420, 40), (50, 50, 50, 50), (0, 0, 1e4, 1e4)])
def test_a_box_anywhere_has_a_crop(box: tuple[float, float, float, float]) -> None:
    crop = square_crop(ramp(100, 100), box, 0.3, 32)
    assert crop.shape == (32, 32, 3)
    assert crop.dtype == np.uint8


def test_an_image_of_one_pixel_has_a_crop() -> None:
    assert (square_crop(np.full((1, 1, 3), 7, np.uint8), (0, 0, 1, 1), 0.3, 16) == 7).all()


def test_shrinking_averages() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert (square_crop(stripes, (0, 0, 64, 64), 0.0, 16) == 100).all()


def test_a_similarity_is_recovered() -> None:
    points = np.random.default_rng(4).uniform(0, 100, (5, 2)).astype(np.float32)
    turn = np.array([[1.5, -0.5], [0.5, 1.5]], np.float32)
    matrix = similarity(points, np.asarray(points @ turn.T + [7, -3], np.float32))
    np.testing.assert_allclose(matrix, np.c_[turn, [7, -3]], atol=1e-3)


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_a_turned_face_is_put_upright(scale: float) -> None:
    side, margin = 64, 0.25
    angle = np.deg2rad(25)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = ((TEMPLATE - 0.5) * side @ turn.T + 200).astype(np.float32)
    image = np.zeros((400, 400, 3), np.uint8)
    for channel, at in ((0, 0), (1, 1), (2, 2)):
        spot = np.zeros((400, 400), np.uint8)
        cv2.circle(spot, tuple(int(v) for v in landmarks[at].round()), max(2, round(3 * scale)), 255, -1)
        image[:, :, channel] = spot
    crop = aligned_crop(image, landmarks, margin, side)
    for channel in range(3):
        rows, columns = np.nonzero(crop[:, :, channel] > 100)
        wanted = ((TEMPLATE[channel] - 0.5) / (1 + margin) + 0.5) * side
        np.testing.assert_allclose([columns.mean(), rows.mean()], wanted, atol=1.5)


def spot(crop: NDArray[np.uint8], row: int, column: int) -> tuple[int, int]:
    """Column and row of the ramp that a pixel of a crop shows."""
    return int(crop[row, column, 0]), int(crop[row, column, 1])


def test_an_inside_crop_has_the_boxs_own_shape_stretched() -> None:
    crop = inside_crop(ramp(200, 200), (90, 80, 110, 120), 1.0, 80)
    # 40 x 80 pixels around the middle: twice as wide in the crop as in the image.
    assert spot(crop, 40, 40) == (100, 100)
    assert spot(crop, 0, 0) == (80, 60)
    assert spot(crop, 79, 79) == (119, 139)


@pytest.mark.parametrize(
    ("box", "corners"),
    [
        ((0, 0, 20, 20), ((0, 0), (39, 39))),
        ((180, 180, 200, 200), ((160, 160), (199, 199))),
        ((-10, 90, 10, 110), ((0, 80), (39, 119))),
    ],
)
def test_an_inside_crop_is_moved_into_the_image(
    box: tuple[float, float, float, float], corners: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    crop = inside_crop(ramp(200, 200), box, 1.0, 40)
    assert (spot(crop, 0, 0), spot(crop, 39, 39)) == corners


def test_an_inside_crop_larger_than_the_image_gets_smaller_on_both_sides() -> None:
    crop = inside_crop(ramp(100, 200), (90, 40, 130, 60), 3.0, 99)
    # Four times 40 x 20 fits into 200 x 100.
    assert (spot(crop, 0, 0), spot(crop, 98, 98)) == ((30, 10), (189, 89))
    # Four times 40 x 50 does not, and is made 79 x 99.
    crop = inside_crop(ramp(100, 200), (90, 25, 130, 75), 3.0, 99)
    left, right = spot(crop, 0, 0), spot(crop, 98, 98)
    assert (left[1], right[1]) == (0, 98)
    assert right[0] - left[0] == 78


@pytest.mark.parametrize("box", [(-500, -500, -400, -400), (400, 20, 420, 40), (50, 50, 50, 50), (0, 0, 1e4, 1e4)])
@pytest.mark.parametrize("shape", [(100, 100), (1, 1), (2, 300)])
def test_a_box_anywhere_has_an_inside_crop(box: tuple[float, float, float, float], shape: tuple[int, int]) -> None:
    assert inside_crop(ramp(*shape), box, 1.7, 32).shape == (32, 32, 3)


def test_all_faces_are_cut_as_the_manifest_says() -> None:
    image = ramp(200, 200)
    faces = [
        Face((20, 20, 60, 60), 0.9, (TEMPLATE * 40 + 20).astype(np.float32)),
        Face((100, 100, 150, 150), 0.8, (TEMPLATE * 50 + 100).astype(np.float32)),
    ]
    square = cut_faces(image, faces, CropSpec(kind="square", margin=0.2), 32)
    aligned = cut_faces(image, faces, CropSpec(kind="aligned", margin=0.2), 32)
    inside = cut_faces(image, faces, CropSpec(kind="inside", margin=1.7), 32)
    np.testing.assert_array_equal(inside[1], inside_crop(image, faces[1].box, 1.7, 32))
    np.testing.assert_array_equal(square[1], square_crop(image, faces[1].box, 0.2, 32))
    np.testing.assert_array_equal(aligned[0], aligned_crop(image, faces[0].landmarks, 0.2, 32))
    assert cut_faces(image, [], CropSpec(), 32).shape == (0, 32, 32, 3)
