"""Blends of held-out faces, as files."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from models.training.blending import OUTLINES, TRAINING
from models.training.held_out import write_blends
from models.training.published import PUBLISHED
from tests.unit.models.training.test_blending import ASTRONAUT

PORTRAITS = tuple(replace(ASTRONAUT, name=f"folder/{number}.jpg") for number in range(3))


def pictures(folder: Path) -> list[np.ndarray]:
    return [np.asarray(cv2.imread(str(path)), np.int16) for path in sorted(folder.glob("*.png"))]


def test_every_face_is_written_with_its_blend_and_the_outline_in_its_name(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    assert (
        write_blends(PORTRAITS, tmp_path, draw=TRAINING, crf=None, seed=7, on_step=lambda *step: told.append(step)) == 3
    )
    assert told[-1] == ("blending", 3, 3)
    outlines = [path.stem.rpartition("-")[2] for path in (tmp_path / "fake").glob("*.png")]
    assert len(outlines) == 3
    assert set(outlines) <= set(OUTLINES)
    for real, fake in zip(pictures(tmp_path / "real"), pictures(tmp_path / "fake"), strict=True):
        assert real.shape == fake.shape
        assert (real != fake).any()


def test_the_same_seed_writes_the_same_blends(tmp_path: Path) -> None:
    for folder, seed in (("one", 7), ("again", 7), ("other", 8)):
        write_blends(PORTRAITS[:1], tmp_path / folder, draw=TRAINING, crf=30, seed=seed, on_step=lambda *_: None)
    one, again, other = (pictures(tmp_path / folder / "fake")[0] for folder in ("one", "again", "other"))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_stronger_compression_leaves_less_of_the_picture(tmp_path: Path) -> None:
    for crf in (None, 18, 40):
        write_blends(PORTRAITS[:1], tmp_path / str(crf), draw=TRAINING, crf=crf, seed=7, on_step=lambda *_: None)
    plain, light, strong = (pictures(tmp_path / str(crf) / "real")[0] for crf in (None, 18, 40))
    assert 0 < np.abs(plain - light).mean() < np.abs(plain - strong).mean()


def test_blends_as_published_are_of_whole_faces(tmp_path: Path) -> None:
    many = tuple(replace(ASTRONAUT, name=f"folder/{number}.jpg") for number in range(30))
    write_blends(many, tmp_path, draw=PUBLISHED, crf=None, seed=7, on_step=lambda *_: None)
    outlines = {path.stem.rpartition("-")[2] for path in (tmp_path / "fake").glob("*.png")}
    assert outlines == {"face", "head", "inner"}
