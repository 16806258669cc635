"""A track as the analyses look at it: its measures as arrays, each with times of its own."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Self

import numpy as np

from models.evidence import FaceEvidence
from models.temporal.series import Series

Seen = tuple[int, FaceEvidence]
"""Presentation time in milliseconds, and the face."""
_LANDMARKS = 5
_QUALITY = ("sharpness", "exposure", "contrast", "noise", "blockiness")
"""Measures of quality in [0, 1] whose consistency is looked at; pose and size change as a head moves."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackView:
    """The measures of one track. What a frame lacks, or has no number for, is left out of that series only."""

    score: Series
    """Logits, [T]: of the deciding detector that judged most of its faces, so that no step comes from another's."""
    measures: tuple[Series, ...]
    """In [0, 1], [T] each: probabilities of deciding detectors, scores of artifacts by kind, quality."""
    landmarks: Series
    """[T, 5, 2], in heights of the frame."""
    light: Series
    """`Light.mean`, `across`, `along`, `Pose.yaw`, `pitch`, [T, 5]."""
    motion: Series
    """`Motion.face`, `around`, `unlike`, `disorder`, [T, 4]."""

    @classmethod
    def of(cls, faces: Sequence[Seen], deciding: Sequence[str], *, aspect: float) -> Self:
        """Take the arrays out of a track.

        Args:
            faces: of one track, in order of time; of several at one time the first counts.
            deciding: names of the detectors whose logits decide; of two that judged as many faces the first counts.
            aspect: width of the upright frame over its height.

        Raises:
            ValueError: the faces are not in order of time.
        """
        faces = tuple(_once(faces))
        by_detector = [
            _series(((at, face.logits[name]) for at, face in faces if name in face.logits)) for name in deciding
        ]
        kinds = sorted({artifact.kind for _, face in faces for artifact in face.artifacts})
        scores = [
            _series((at, each.score) for at, face in faces for each in face.artifacts if each.kind == kind)
            for kind in kinds
        ]
        quality = [_series((at, getattr(face.quality, name)) for at, face in faces) for name in _QUALITY]
        likely = [Series(each.times_ms, 0.5 + 0.5 * np.tanh(0.5 * each.values)) for each in by_detector]
        return cls(
            score=max(by_detector, key=len, default=_series(())),
            measures=tuple(each for each in (*likely, *scores, *quality) if len(each)),
            landmarks=_series(
                (
                    (at, [(x * aspect, y) for x, y in face.landmarks])
                    for at, face in faces
                    if len(face.landmarks) == _LANDMARKS
                ),
                (_LANDMARKS, 2),
            ),
            light=_series(
                (
                    (at, (*astuple(face.light), face.quality.pose.yaw, face.quality.pose.pitch))
                    for at, face in faces
                    if face.light is not None
                ),
                (5,),
            ),
            motion=_series(
                (
                    (at, (face.motion.face, face.motion.around, face.motion.unlike, face.motion.disorder))
                    for at, face in faces
                    if face.motion is not None
                ),
                (4,),
            ),
        )


def _once(faces: Sequence[Seen]) -> Iterator[Seen]:
    last: int | None = None
    for at, face in faces:
        if last is not None and at < last:
            raise ValueError(f"the faces of a track come in order of time, got {at} ms after {last} ms")
        if at != last:
            yield at, face
        last = at


def _series(samples: Iterable[tuple[int, object]], shape: tuple[int, ...] = ()) -> Series:
    """Return the series of samples whose values are finite."""
    listed = list(samples)
    times = np.array([at for at, _ in listed], np.int64)
    values = np.array([value for _, value in listed], np.float64).reshape(len(listed), *shape)
    finite = np.isfinite(values).reshape(len(listed), -1).all(axis=1) if listed else np.zeros(0, np.bool_)
    return Series(times[finite], values[finite])
