from dataclasses import replace

import numpy as np
import pytest

from models.crops import square_crop
from models.evaluation.views import (
    NATIVE,
    ONE_RESOLUTION,
    STEPS,
    UNDISTURBED,
    Step,
    View,
    base_views,
    region,
    see,
    step_view,
)
from models.faces import Face
from models.fitting.faces import LabelledFace
from tests.support.media import photograph

BOX = (185.0, 80.0, 265.0, 180.0)


def face(box: tuple[float, float, float, float] = BOX) -> LabelledFace:
    x0, y0, x1, y1 = box
    marks = np.array([[x0, y0], [x1, y0], [(x0 + x1) / 2, (y0 + y1) / 2], [x0, y1], [x1, y1]], np.float32)
    return LabelledFace("", "astronaut", fake=False, image=photograph(), face=Face(box, 0.9, marks))


@pytest.mark.parametrize("box", [BOX, (-5.0, -5.0, 40.0, 60.0), (440.0, 470.0, 512.0, 512.0), (60.5, 51.3, 61.0, 52.0)])
@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
def test_a_region_holds_all_that_a_crop_wants(box: tuple[float, float, float, float], margin: float) -> None:
    whole = face(box)
    part = region(whole)
    assert part.image.shape[0] <= 512
    crops = [square_crop(each.image, each.face.box, margin, 64).astype(float) for each in (whole, part)]
    assert np.abs(crops[0] - crops[1]).max() <= 1
    offset = np.array(whole.face.box[:2]) - np.array(part.face.box[:2])
    np.testing.assert_allclose(part.face.landmarks + offset, whole.face.landmarks, atol=1e-3)


def test_as_found_nothing_is_changed() -> None:
    part = region(face())
    seen = see(part, View())
    np.testing.assert_array_equal(seen.image, part.image)
    assert seen.face.box == part.face.box


@pytest.mark.parametrize("side", [40, 112, 300])
def test_one_resolution_gives_every_face_the_same_side(side: int) -> None:
    for box in (BOX, (190.0, 100.0, 230.0, 150.0), (100.0, 20.0, 400.0, 320.0)):
        seen = see(region(face(box)), View(side=side))
        assert seen.side == pytest.approx(side, rel=0.03)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.kind} {step.value:g}")
def test_a_step_shows_the_same_face_and_less_of_it(step: Step) -> None:
    part = region(face())
    clean, seen = see(part, step_view(UNDISTURBED, 112)), see(part, step_view(step, 112))
    crops = [square_crop(each.image, each.face.box, 0.3, 96).astype(float) for each in (clean, seen)]
    difference = np.abs(crops[0] - crops[1]).mean()
    assert difference < 16
    assert (difference == 0) == (step == UNDISTURBED)


def test_a_later_step_of_a_curve_leaves_less() -> None:
    part = region(face())
    clean = see(part, step_view(UNDISTURBED, 112))

    def lost(step: Step) -> float:
        seen = see(part, step_view(step, 112))
        crops = [square_crop(each.image, each.face.box, 0.3, 96).astype(float) for each in (clean, seen)]
        return float(np.abs(crops[0] - crops[1]).mean())

    for kind in ("jpeg", "h264", "downscale"):
        losses = [lost(step) for step in STEPS if step.kind == kind]
        assert losses == sorted(losses)


def test_the_views_say_which_one_counts() -> None:
    assert list(base_views(112, native=False)) == [ONE_RESOLUTION]
    assert list(base_views(112, native=True)) == [ONE_RESOLUTION, NATIVE]
    assert list(base_views(None, native=False)) == [NATIVE]
    assert base_views(80, native=False)[ONE_RESOLUTION].side == 80
    assert step_view(Step("jpeg", 50), None) == replace(View(), jpeg=50)
