"""Faces in, figures out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.faces import FaceDetector
from models.fitting.embeddings import Encoder
from models.fitting.faces import LabelledFace, OnStep, largest
from models.fitting.probe import Part, fit_logistic, scores_of, sigmoid
from models.fitting.report import Rate, Robustness, Separation
from models.fitting.views import AS_SERVED, DEGRADATIONS, EQUALISED, Degradation, disturbed_view, sharpness, view
from models.heads import Head
from models.manifest import Entry
from models.statistics import auc, balanced, calibration_error, interval, matched, share_above

# Distance in octaves of variance at which two crops are equally sharp.
SAME_SHARPNESS = 0.15
FOLDS = 5
# Faces of either class that are degraded in every way: each way is an encoding of each.
DEGRADED_FACES = 300
PORTRAITS = "train/real_portrait"


@dataclass(frozen=True, slots=True)
class Bench:
    """Embeds faces, and measures heads on them.

    Attributes:
        generators: the two groups of fakes.
        seed: of disturbances, folds and intervals.
    """

    entry: Entry
    encoder: Encoder
    generators: tuple[str, str]
    seed: int
    on_step: OnStep

    def part(self, faces: Iterable[LabelledFace], *degradations: Degradation, disturbed: int = 0) -> Part:
        """The faces, each in every one of these views, and in some that are disturbed at random."""
        faces, spec = tuple(faces), self.entry.input
        crops = [
            crop
            for face in faces
            for crop in (
                *(view(face, spec, each) for each in degradations),
                *(disturbed_view(face, spec, seed=self.seed, number=number) for number in range(disturbed)),
            )
        ]
        shape = (len(faces), len(degradations) + disturbed)
        embeddings = self.encoder.embed(crops, f"of {len(crops)} crops", self.on_step)
        sharp = np.array([sharpness(crop) for crop in crops])
        return Part(faces, embeddings.reshape(*shape, -1), sharp.reshape(shape))

    def separation(self, name: str, head: Head, faces: Iterable[LabelledFace], degradation: Degradation) -> Separation:
        """How well a head tells these faces apart, in one view."""
        part = self.part(faces, degradation)
        return self._separation(name, part, scores_of(head, part.embeddings)[:, 0])

    def _separation(self, name: str, part: Part, scores: NDArray[np.float32]) -> Separation:
        fake = part.fake
        sides = np.array([face.side for face in part.faces])
        sharp = part.sharpness[:, 0]
        low, high = interval(auc, scores[~fake], scores[fake], seed=self.seed)
        reals, fakes = matched(np.log2(sharp[~fake]), np.log2(sharp[fake]), within=SAME_SHARPNESS, seed=self.seed)
        return Separation(
            name=name,
            reals=int((~fake).sum()),
            fakes=int(fake.sum()),
            auc=auc(scores[~fake], scores[fake]),
            low=low,
            high=high,
            size_auc=_either_way(auc(sides[~fake], sides[fake])),
            sharpness_auc=_either_way(auc(sharp[~fake], sharp[fake])),
            pairs=len(reals),
            matched_auc=auc(scores[~fake][reals], scores[fake][fakes]) if len(reals) else None,
        )

    def across(
        self, fit: Part, unseen: Sequence[LabelledFace], elsewhere: Sequence[LabelledFace]
    ) -> Iterable[Separation]:
        """Fit on one generator, test on unseen files: all reals, and the fakes of the other generator.

        Args:
            fit: reals, and fakes of both generators.
            unseen: the same of files that nothing was chosen by.
            elsewhere: reals of sources that `fit` has none of.
        """
        for known, unknown in (self.generators, self.generators[::-1]):
            head = fit_logistic(fit.of_generator(known))
            fakes = [face for face in unseen if face.group == unknown]
            reals = [face for face in unseen if not face.fake]
            portraits = [face for face in reals if face.group == PORTRAITS]
            for name, degradation, others in (
                ("as served", AS_SERVED, reals),
                ("JPEG 80", EQUALISED, reals),
                ("portraits only", AS_SERVED, portraits),
                ("reals of videos", AS_SERVED, elsewhere),
            ):
                yield self.separation(f"{known} → {unknown}, {name}", head, [*others, *fakes], degradation)

    def folds(self, fit: Part) -> Iterable[Separation]:
        """Each generator against the reals of the fitting part, each file scored by a head that never saw it."""
        for generator in self.generators:
            part = fit.of_generator(generator)
            fold = np.random.default_rng(self.seed).permutation(len(part.faces)) % FOLDS
            scores = np.empty(len(part.faces), np.float32)
            for at in range(FOLDS):
                head = fit_logistic(part.at(np.flatnonzero(fold != at).tolist()))
                scores[fold == at] = scores_of(head, part.embeddings[fold == at, 0])
            yield self._separation(f"{generator}, {FOLDS} folds", part, scores)

    def robustness(self, head: Head, threshold: float, test: Sequence[LabelledFace]) -> Iterable[Robustness]:
        """A head on faces of the test part, degraded in each way."""
        test = [face for fake in (False, True) for face in [f for f in test if f.fake is fake][:DEGRADED_FACES]]
        views = {name: self.part(test, degradation) for name, degradation in DEGRADATIONS.items()}
        for name, part in (views | {"disturbed at random": self.part(test, disturbed=1)}).items():
            scores = sigmoid(scores_of(head, part.embeddings)[:, 0])
            real, fake = scores[~part.fake], scores[part.fake]
            yield Robustness(
                name=name,
                auc=auc(real, fake),
                false_positives=share_above(real, threshold),
                true_positives=share_above(fake, threshold),
            )

    def rate(self, name: str, frames: int, faces: Sequence[LabelledFace], head: Head, threshold: float) -> Rate:
        """Scores of a group's faces as served; `frames` are those that were looked at, with a face or without."""
        scores = sigmoid(scores_of(head, self.part(faces, AS_SERVED).embeddings)[:, 0])
        return Rate(
            name=name,
            fake=faces[0].fake,
            frames=frames,
            faces=len(faces),
            above_threshold=share_above(scores, threshold),
            median=float(np.median(scores)),
        )

    def astronaut(self, head: Head, detector: FaceDetector) -> float | None:
        """Probability of the photograph that the demo uses."""
        try:
            from skimage.data import astronaut  # noqa: PLC0415 - only the extra `dev` has it
        except ImportError:
            return None
        photograph = np.asarray(astronaut(), np.uint8)  # type: ignore[no-untyped-call]
        face = largest("skimage", "astronaut", photograph, detector, fake=False)
        if face is None:
            return None
        return float(sigmoid(scores_of(head, self.part([face], AS_SERVED).embeddings))[0, 0])


def _either_way(area: float) -> float:
    return max(area, 1 - area)


def calibration_error_of(head: Head, part: Part) -> float:
    """Expected calibration error on the first view of faces, both classes counting alike."""
    return calibration_error(sigmoid(scores_of(head, part.embeddings)[:, 0]), part.fake, balanced(part.fake))
