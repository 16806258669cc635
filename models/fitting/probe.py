"""A linear probe: fitted on embeddings, calibrated, and applied."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.fitting.embeddings import Embeddings
from models.fitting.faces import LabelledFace
from models.heads import Head

# Strong: what is weaker tells known sources of reals better and others worse, on the files that layers are chosen by.
REGULARISATION = 0.00003
# What a dimension of unit embeddings varies by at least: one that never varies must not count for everything.
SMALLEST_SPREAD = 1e-6
# Bands of sharpness within which both classes weigh the same, and the least of each class that a band must have.
BANDS, LEAST_IN_BAND = 8, 5


@dataclass(frozen=True, slots=True)
class Part:
    """Faces, their embeddings [faces, views, D], and how sharp each view is [faces, views]."""

    faces: tuple[LabelledFace, ...]
    embeddings: Embeddings
    sharpness: NDArray[np.float64]

    @property
    def fake(self) -> NDArray[np.bool_]:
        """The labels [faces]."""
        return np.array([face.fake for face in self.faces])

    def at(self, places: Sequence[int]) -> "Part":
        """The faces at some places."""
        where = list(places)
        return Part(tuple(self.faces[place] for place in where), self.embeddings[where], self.sharpness[where])

    def of_generator(self, generator: str | None) -> "Part":
        """The reals, and the fakes of one generator or none."""
        return self.at([at for at, face in enumerate(self.faces) if not face.fake or face.group == generator])


def fit_logistic(part: Part) -> Head:
    """Logistic regression on all views of all faces, both classes counting alike at every sharpness.

    It sees standardised embeddings; the head has that folded in, and takes them as they are.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - only the extra `fit` has it

    _, views, width = part.embeddings.shape
    fake = part.fake.repeat(views)
    weights = weights_by_sharpness(part.sharpness.ravel(), fake)
    embeddings = part.embeddings.reshape(-1, width)
    mean = np.average(embeddings, axis=0, weights=weights)
    spread = np.sqrt(np.average((embeddings - mean) ** 2, axis=0, weights=weights)) + SMALLEST_SPREAD
    model = LogisticRegression(C=REGULARISATION, max_iter=3000)
    model.fit((embeddings - mean) / spread, fake, sample_weight=weights)
    weight = model.coef_[0] / spread
    return Head(weight.astype(np.float32), float(model.intercept_[0] - weight @ mean))


def weights_by_sharpness(sharpness: NDArray[np.float64], fake: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights [N], of mean 1, with which sharpness tells nothing of the label.

    Within each of `BANDS` quantiles of sharpness both classes weigh the same; a band that one class hardly
    reaches weighs nothing; where every band is so, both classes weigh the same as a whole. This is exact
    matching on a coarsened covariate (Iacus, King & Porro 2012, https://doi.org/10.1093/pan/mpr013).

    Args:
        sharpness: > 0, [N].
        fake: the labels [N].
    """
    edges = np.quantile(sharpness, np.linspace(0, 1, BANDS + 1)[1:-1])
    cells = np.searchsorted(edges, sharpness) * 2 + fake
    counts = np.bincount(cells, minlength=2 * BANDS)
    least = np.minimum(counts[::2], counts[1::2]).repeat(2)
    shares = np.where(least >= LEAST_IN_BAND, least / np.maximum(counts, 1), 0)
    weights = shares[cells]
    if not weights.any():
        # Too few faces to match: both classes weigh alike as a whole.
        weights = np.where(fake, 1 / max(1, fake.sum()), 1 / max(1, (~fake).sum()))
    return np.asarray(weights / weights.mean())


def calibrated(head: Head, part: Part) -> Head:
    """The head scaled and shifted so that its sigmoid is a probability, at as many fakes as reals.

    Source: Platt 1999, Probabilistic Outputs for Support Vector Machines.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - only the extra `fit` has it

    model = LogisticRegression(C=np.inf, class_weight="balanced")
    model.fit(scores_of(head, part.embeddings).reshape(-1, 1), part.fake.repeat(part.embeddings.shape[1]))
    slope, shift = float(model.coef_[0, 0]), float(model.intercept_[0])
    return Head((head.weight * slope).astype(np.float32), head.bias * slope + shift)


def scores_of(head: Head, embeddings: Embeddings) -> NDArray[np.float32]:
    """Logits of embeddings [..., D]."""
    return np.asarray(embeddings @ head.weight + np.float32(head.bias), np.float32)


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of logits."""
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))))
