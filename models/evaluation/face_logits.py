"""Logits of labelled files, to learn fusions from and to measure the cascade on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.detectors import Detector
from models.evaluation.layout import Layout
from models.evaluation.reading import look
from models.faces import FaceDetector
from models.fitting.faces import OnStep


@dataclass(frozen=True, slots=True, eq=False)
class FaceLogits:
    """What detectors said of faces.

    Attributes:
        names: of the detectors [D].
        logits: float64 [N, D], calibrated.
        fake: bool [N].
        groups: of each face the file that it is from [N].
    """

    names: tuple[str, ...]
    logits: NDArray[np.float64]
    fake: NDArray[np.bool_]
    groups: NDArray[np.str_]

    def save(self, path: Path) -> None:
        """Write an `.npz`."""
        np.savez_compressed(path, names=np.array(self.names), logits=self.logits, fake=self.fake, groups=self.groups)


def load_logits(path: Path) -> FaceLogits:
    """Read what `FaceLogits.save` wrote.

    Raises:
        KeyError: an array is missing.
    """
    with np.load(path, allow_pickle=False) as arrays:
        return FaceLogits(
            tuple(str(name) for name in arrays["names"]), arrays["logits"], arrays["fake"], arrays["groups"]
        )


def logits_of(
    layout: Layout, finder: FaceDetector, detectors: Mapping[str, Detector], frames: int, on_step: OnStep
) -> FaceLogits:
    """Judge every file of a layout: of a picture the largest face, of a video that of each of some frames.

    Faces are judged as found. Files without a face, or unreadable, are left out.

    Args:
        layout: labelled files; one that several subsets share is judged once.
        finder: finds the faces.
        detectors: by name.
        frames: of a video.
        on_step: told how far it is.

    Raises:
        InferenceError: a model failed.
    """
    samples = {sample.path: sample for subset in layout.subsets for sample in subset.samples}
    rows: list[NDArray[np.float64]] = []
    fake: list[bool] = []
    groups: list[str] = []
    for done, sample in enumerate(samples.values(), 1):
        faces = look(sample, finder, frames).faces
        if faces:
            of_detector = [
                each.session.run(np.concatenate([each.cut(face.image, (face.face,)) for face in faces]))
                for each in detectors.values()
            ]
            rows.append(np.stack(of_detector, axis=1).astype(np.float64))
            fake += [sample.fake] * len(faces)
            groups += [str(sample.path)] * len(faces)
        on_step("files", done, len(samples))
    logits = np.concatenate(rows) if rows else np.empty((0, len(detectors)))
    return FaceLogits(tuple(detectors), logits, np.array(fake, bool), np.array(groups, np.str_))
