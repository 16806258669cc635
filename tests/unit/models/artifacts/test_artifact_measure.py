from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from bench.artifacts import BOX, LANDMARKS
from models.artifacts.analysis import ANALYSES
from models.artifacts.blends import self_blend
from models.artifacts.measure import SHORTCUTS, measure
from models.artifacts.subsets import subsets
from models.faces import Face, FaceDetector
from models.fitting.faces import LabelledFace


def real_faces(count: int, group: str = "reals") -> list[LabelledFace]:
    """The astronaut with noise of its own in each."""
    photograph = skimage.data.astronaut()[:300]  # type: ignore[no-untyped-call]
    random = np.random.default_rng(len(group))
    return [
        LabelledFace(
            group,
            f"{number}.png",
            fake=False,
            image=np.clip(photograph + random.normal(0, 3, photograph.shape), 0, 255).astype(np.uint8),
            face=Face(BOX, 0.9, LANDMARKS),
        )
        for number in range(count)
    ]


def test_a_colour_cast_of_the_face_is_separated_by_colour_and_not_by_its_size() -> None:
    real = real_faces(6)
    fake = []
    for face in real_faces(6, "cast"):
        image = face.image.copy()
        cast = np.array([-60, 40, 40], np.int16)
        image[80:180, 185:260] = np.clip(image[80:180, 185:260].astype(np.int16) + cast, 0, 255)
        fake.append(LabelledFace(face.group, face.name, True, image, face.face))
    found = {each.analysis: each for each in measure(real, fake, rounds=50)}
    assert list(found) == [*ANALYSES, *SHORTCUTS]
    assert found["colour"].auc == 1.0
    assert found["colour"].separates
    assert found["face_size"].auc == 0.5
    assert not found["face_size"].separates
    assert all(each.low <= each.auc <= each.high for each in found.values())


def test_frames_of_a_clip_count_once() -> None:
    real = [*real_faces(2, "one.mp4"), *real_faces(2, "another.mp4")]
    for each in measure(real, real_faces(3, "fake.mp4"), by_clip=True, rounds=10):
        assert (each.real, each.fake) == (2, 1)


def test_a_measurement_without_fakes_is_refused() -> None:
    with pytest.raises(ValueError, match="got 1 and 0"):
        measure(real_faces(1), [])


def test_a_self_blend_changes_the_face_and_nothing_else() -> None:
    (face,) = real_faces(1)
    blend, again, other = (self_blend(face, seed=seed) for seed in (5, 5, 6))
    changed = np.abs(blend.image.astype(np.int16) - face.image).max(2)
    assert blend.fake
    assert not face.fake
    assert changed[110:150, 200:240].mean() > 3
    assert changed[:, 350:].max() == 0
    np.testing.assert_array_equal(blend.image, again.image)
    assert (blend.image != other.image).any()


def test_subsets_are_reals_and_fakes_of_the_shared_data(data: Path, detector: FaceDetector) -> None:
    read = list(islice(subsets(data, detector, lambda *_: None, limit=2), 4))
    assert [subset.name for subset in read] == ["photoshop", "stylegan2", "diffusion", "self-blended"]
    for subset in read:
        assert 1 <= len(subset.real) <= 2
        assert 1 <= len(subset.fake) <= 2
        assert all(face.fake for face in subset.fake)
        assert not any(face.fake for face in subset.real)
