"""Where a detector's map lies on blends of known outlines."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from agents.settings import ModelSettings
from models.evaluation.exceptions import LayoutInvalid
from models.evaluation.locating import locate_blends
from models.faces import FaceDetector
from models.graph import prepare
from models.inference.session import Session
from models.locations import Location
from models.manifest import Manifest
from models.sources import resolve
from models.training.blending import Image
from tests.support.media import photograph
from tests.support.tiny_models import write_manifest


def opened(manifest: Path | None, name: str) -> tuple[FaceDetector, Session]:
    known, cache = Manifest.load(manifest) if manifest else Manifest.load(), ModelSettings().cache
    finder, judge = known.entry("centerface"), known.entry(name)
    return (
        FaceDetector(finder, prepare(finder, resolve(finder, cache), cache)),
        Session(judge, prepare(judge, resolve(judge, cache), cache)),
    )


def smoothed_over(image: Image) -> Image:
    """The astronaut with her whole face drawn coarsely."""
    mask = np.zeros(image.shape[:2], np.float32)
    cv2.ellipse(mask, (218, 135), (45, 62), 0, 0, 360, (1.0,), thickness=-1)
    share = cv2.GaussianBlur(mask, (0, 0), 6)[..., None]
    small = cv2.resize(image, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.asarray(np.rint(image * (1 - share) + coarse * share), np.uint8)


def write(folder: Path, name: str, image: Image) -> None:
    cv2.imwrite(str(folder / name), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def test_a_plain_blend_of_the_whole_face_is_found_where_it_is(tmp_path: Path) -> None:
    write(tmp_path, "0000-astronaut-face.png", smoothed_over(photograph()))
    finder, session = opened(None, "blend_primary")
    told: list[tuple[str, int, int]] = []
    found = locate_blends(tmp_path, finder, session, lambda *step: told.append(step))
    assert found.counts == {(Location.WHOLE, Location.WHOLE): 1}
    assert told == [("judging by blend_primary", 1, 1)]


def test_a_picture_without_a_face_is_not_counted(tmp_path: Path) -> None:
    write(tmp_path, "0000-grey-face.png", np.full((64, 64, 3), 128, np.uint8))
    finder, session = opened(None, "blend_primary")
    with pytest.raises(LayoutInvalid, match="no face was found"):
        locate_blends(tmp_path, finder, session, lambda *_: None)
    write(tmp_path, "0001-astronaut-face.png", photograph())
    assert locate_blends(tmp_path, finder, session, lambda *_: None).total == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [(None, "no .png files"), ("0000-astronaut-ear.png", "end in no outline, such as -ear.png")],
)
def test_a_folder_of_other_things_is_refused(tmp_path: Path, name: str | None, problem: str) -> None:
    if name is not None:
        write(tmp_path, name, photograph())
    finder, session = opened(None, "blend_primary")
    with pytest.raises(LayoutInvalid, match=problem):
        locate_blends(tmp_path, finder, session, lambda *_: None)


def test_a_detector_without_a_map_is_refused(tmp_path: Path) -> None:
    finder, session = opened(write_manifest(tmp_path), "tiny")
    with pytest.raises(LayoutInvalid, match="tiny answers no map"):
        locate_blends(tmp_path, finder, session, lambda *_: None)
