"""One face in one frame, looked at without a detector: where it is, how good it is, how it is lit, what is odd."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.artifacts.analysis import CROP_MARGIN, analyse
from models.artifacts.findings import ArtifactFinding
from models.artifacts.squares import square_of
from models.artifacts.view import SIDE
from models.crops import square_crop
from models.evidence import ArtifactEvidence, FaceEvidence, RelativeBox
from models.faces import Face
from models.quality import QualityGate, face_quality
from models.temporal.lighting import face_light

_DIGITS = 5
"""Of landmarks, as shares of the frame: a tenth of a pixel in the largest frame."""


def look(image: NDArray[np.uint8], face: Face, gate: QualityGate, *, artifacts: bool) -> FaceEvidence:
    """Return what a face shows before any detector judged it.

    Args:
        image: uint8 [H, W, 3] RGB, the frame.
        face: in its pixels.
        gate: what makes a face usable.
        artifacts: whether a usable face is searched for artifacts.
    """
    height, width = image.shape[:2]
    left, right = (min(max(float(edge), 0.0), float(width)) for edge in (face.box[0], face.box[2]))
    top, bottom = (min(max(float(edge), 0.0), float(height)) for edge in (face.box[1], face.box[3]))
    inside = image[int(top) : max(int(top) + 1, int(bottom)), int(left) : max(int(left) + 1, int(right))]
    quality = face_quality(
        inside,
        min(right - left, bottom - top),
        face.landmarks,
        gate,
        detection_score=face.score,
        origin=(int(left), int(top)),
    )
    evidence = FaceEvidence(
        RelativeBox(left / width, top / height, (right - left) / width, (bottom - top) / height),
        min(1.0, max(0.0, face.score)),
        quality,
    )
    if not quality.usable:
        return evidence
    square = _square(image, face)
    points = tuple((round(float(x) / width, _DIGITS), round(float(y) / height, _DIGITS)) for x, y in face.landmarks)
    return replace(
        evidence,
        landmarks=points,
        square=square,
        light=face_light(inside),
        artifacts=_artifacts(image, face, square) if artifacts else (),
    )


def _square(image: NDArray[np.uint8], face: Face) -> RelativeBox:
    left, top, side = square_of(face.box, CROP_MARGIN)
    height, width = image.shape[:2]
    return RelativeBox(left / width, top / height, side / width, side / height)


def _artifacts(image: NDArray[np.uint8], face: Face, square: RelativeBox) -> tuple[ArtifactEvidence, ...]:
    left, top, side = square_of(face.box, CROP_MARGIN)
    crop = square_crop(image, face.box, CROP_MARGIN, SIDE)
    landmarks = np.asarray((face.landmarks - np.array([left, top])) * (SIDE / side), np.float32)
    return tuple(_evidence(finding, square) for finding in analyse(crop, landmarks))


def _evidence(finding: ArtifactFinding, square: RelativeBox) -> ArtifactEvidence:
    region = None if finding.region is None else within(square, finding.region)
    return ArtifactEvidence(finding.name, round(finding.score, 4), region)


def within(square: RelativeBox, part: RelativeBox) -> RelativeBox:
    """Return a part of a square, given as shares of it, as shares of the frame; cut off at the frame's edges."""
    left, right = (min(max(square.x + share * square.width, 0.0), 1.0) for share in (part.x, part.x + part.width))
    top, bottom = (min(max(square.y + share * square.height, 0.0), 1.0) for share in (part.y, part.y + part.height))
    return RelativeBox(left, top, right - left, bottom - top)
