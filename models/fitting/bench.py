"""Faces in, figures out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.faces import FaceDetector
from models.fitting.embeddings import Encoder
from models.fitting.faces import Group, LabelledFace, OnStep, largest
from models.fitting.probe import Part, fit_logistic, scores_of, sigmoid
from models.fitting.report import Rate, Robustness, Separation
from models.fitting.views import AS_SERVED, DEGRADATIONS, EQUALISED, Degradation, disturbed_view, sharpness, view
from models.heads import Head
from models.manifest import Entry
from models.statistics import auc, balanced, calibration_error, interval, matched, share_above

# Distance in octaves of variance at which two crops are equally sharp.
SAME_SHARPNESS = 0.15
DISTURBED_VIEWS = 3
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

    def part(self, faces: Sequence[LabelledFace], name: str) -> Part:
        """The faces as served and disturbed."""
        spec = self.entry.input
        crops = [
            crop
            for face in faces
            for crop in (
                view(face, spec, AS_SERVED),
                *(disturbed_view(face, spec, seed=self.seed, number=at) for at in range(DISTURBED_VIEWS)),
            )
        ]
        embeddings = self.encoder.embed(crops, name, self.on_step)
        shape = (len(faces), 1 + DISTURBED_VIEWS)
        sharp = np.array([sharpness(crop) for crop in crops])
        return Part(tuple(faces), embeddings.reshape(*shape, -1), sharp.reshape(shape))

    def seen(self, faces: Iterable[LabelledFace], degradation: Degradation) -> Part:
        """The faces in one view."""
        faces = tuple(faces)
        crops = [view(face, self.entry.input, degradation) for face in faces]
        embeddings = self.encoder.embed(crops, "to test", self.on_step)
        return Part(faces, embeddings[:, None], np.array([[sharpness(crop)] for crop in crops]))

    def separation(self, name: str, head: Head, faces: Iterable[LabelledFace], degradation: Degradation) -> Separation:
        """How well a head tells these faces apart, in one view."""
        part = self.seen(faces, degradation)
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

    def across(self, fit: Part, groups: Iterable[Group], test: Sequence[LabelledFace]) -> Iterable[Separation]:
        """Fit on one generator, test on all of the other; the reals of fit and test are different files."""
        reals = [face for face in test if not face.fake]
        faces = {group.name: group.faces for group in groups}
        for known, unknown in (self.generators, self.generators[::-1]):
            head = fit_logistic(fit.of_generator(known))
            for name, degradation in (("as served", AS_SERVED), ("JPEG 80", EQUALISED)):
                title = f"{known} → {unknown}, {name}"
                yield self.separation(title, head, [*reals, *faces[unknown]], degradation)
            portraits = [face for face in reals if face.group == PORTRAITS]
            title = f"{known} → {unknown}, portraits only"
            yield self.separation(title, head, [*portraits, *faces[unknown]], AS_SERVED)

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
        for name, degradation in DEGRADATIONS.items():
            part = self.seen(test, degradation)
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
        scores = sigmoid(scores_of(head, self.seen(faces, AS_SERVED).embeddings)[:, 0])
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
            from skimage.data import astronaut  # noqa: PLC0415 - only the extra `demo` has it
        except ImportError:
            return None
        photograph = np.asarray(astronaut(), np.uint8)  # type: ignore[no-untyped-call]
        face = largest("skimage", "astronaut", photograph, detector, fake=False)
        if face is None:
            return None
        return float(sigmoid(scores_of(head, self.seen([face], AS_SERVED).embeddings))[0, 0])


def _either_way(area: float) -> float:
    return max(area, 1 - area)


def calibration_error_of(head: Head, part: Part) -> float:
    """Expected calibration error on the first view of faces, both classes counting alike."""
    return calibration_error(sigmoid(scores_of(head, part.embeddings)[:, 0]), part.fake, balanced(part.fake))
