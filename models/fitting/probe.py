"""A linear probe: fitted on embeddings, calibrated, and applied."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.fitting.embeddings import Embeddings
from models.fitting.faces import LabelledFace
from models.heads import Head

# AUC across generators is flat from 1 to 100; stronger is safer on what was never seen.
REGULARISATION = 10.0


@dataclass(frozen=True, slots=True)
class Part:
    """Faces and their embeddings [faces, views, D]."""

    faces: tuple[LabelledFace, ...]
    embeddings: Embeddings

    @property
    def fake(self) -> NDArray[np.bool_]:
        """The labels [faces]."""
        return np.array([face.fake for face in self.faces])

    def at(self, places: Sequence[int]) -> "Part":
        """The faces at some places."""
        return Part(tuple(self.faces[place] for place in places), self.embeddings[list(places)])

    def of_generator(self, generator: str | None) -> "Part":
        """The reals, and the fakes of one generator or none."""
        return self.at([at for at, face in enumerate(self.faces) if not face.fake or face.group == generator])


def fit_logistic(part: Part) -> Head:
    """Logistic regression on all views of all faces, both classes counting alike."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - only the extra `fit` has it

    _, views, width = part.embeddings.shape
    model = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=3000)
    model.fit(part.embeddings.reshape(-1, width), part.fake.repeat(views))
    return Head(model.coef_[0].astype(np.float32), float(model.intercept_[0]))


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
