"""What kind of manipulation the evidence supports, with probabilities; `unknown` gets what it does not say.

The shares in `_BY_LOCATION` are judgement, not measurement: no labelled data of kinds is at hand. What can be measured
is whether heat is located right, see `models.locations.measure`. They follow how each kind is made: a swap replaces the
face up to its outline (DeepFaceLab, https://arxiv.org/abs/2005.05535); speech-driven methods paint the lower half anew
(Wav2Lip, https://arxiv.org/abs/2008.10010); reenactment moves a whole face by another's expression (Face2Face,
https://doi.org/10.1109/CVPR.2016.262); an edited part keeps the rest. Detectors do not know what moved, so none gets
all.
"""

from collections.abc import Mapping, Sequence
from math import fsum
from types import MappingProxyType

from models.evidence import FaceEvidence
from models.locations import Located, Location
from schemas.verdict import Axis, AxisScore, ManipulationKind, ManipulationType

FACE_SWAP, REENACTMENT, SPEECH_DRIVEN, PARTIAL, ATTRIBUTE = (
    ManipulationKind.FACE_SWAP,
    ManipulationKind.REENACTMENT,
    ManipulationKind.SPEECH_DRIVEN,
    ManipulationKind.PARTIAL,
    ManipulationKind.ATTRIBUTE_MANIPULATION,
)
Shares = Mapping[ManipulationKind, float]
"""Of an altered face's probability, by kind; what is missing to 1 is unknown."""

_BY_LOCATION: Mapping[tuple[Location, bool], Shares] = MappingProxyType(
    {
        (Location.WHOLE, True): {FACE_SWAP: 0.60, REENACTMENT: 0.20, ATTRIBUTE: 0.05},
        (Location.LOWER, True): {SPEECH_DRIVEN: 0.40, REENACTMENT: 0.25, PARTIAL: 0.05, FACE_SWAP: 0.05},
        (Location.MOUTH, True): {SPEECH_DRIVEN: 0.50, REENACTMENT: 0.20, PARTIAL: 0.05},
        (Location.EYES, True): {PARTIAL: 0.40, REENACTMENT: 0.15},
        (Location.NOSE, True): {PARTIAL: 0.40},
        (Location.UNCLEAR, True): {},
        # In a still nothing moves: what moves a face in video is an edit of a part here.
        (Location.WHOLE, False): {FACE_SWAP: 0.60, ATTRIBUTE: 0.10, PARTIAL: 0.05},
        (Location.LOWER, False): {PARTIAL: 0.50, FACE_SWAP: 0.10, ATTRIBUTE: 0.05},
        (Location.MOUTH, False): {PARTIAL: 0.65, ATTRIBUTE: 0.05},
        (Location.EYES, False): {PARTIAL: 0.65, ATTRIBUTE: 0.05},
        (Location.NOSE, False): {PARTIAL: 0.65},
        (Location.UNCLEAR, False): {},
    }
)
"""By where the heat lies, and whether it is video."""

_BY_SIGN: Mapping[str, Mapping[ManipulationKind, float]] = MappingProxyType(
    {
        # A pasted face follows the head late, and is lit as where it was recorded.
        "face_motion": {FACE_SWAP: 1.5},
        "lighting_drift": {FACE_SWAP: 1.3},
        # Parts that move against the rest of the face.
        "motion_disorder": {SPEECH_DRIVEN: 1.5, REENACTMENT: 1.5},
        "landmark_jitter": {REENACTMENT: 1.3},
    }
)
"""Odds of a kind at full strength of a temporal sign of `models.temporal.analysis`. Small: no sign is measured to tell
altered faces from others (`models.temporal.weights`). A sign moves shares between kinds, and never adds any."""

_MOST_FACES = 64
"""Of the most suspicious faces of a track: more do not tell more of where heat lies."""


def kinds(
    above: Sequence[AxisScore], located: Located, *, moving: bool, signs: Mapping[str, float]
) -> tuple[ManipulationType, ...]:
    """Return the kinds of manipulation, most likely first. Their probabilities sum to the highest score.

    Args:
        above: the deciding axes that say manipulated.
        located: where in the face of the worst track alteration was seen.
        moving: whether it is video.
        signs: temporal signs of that track, 0 nothing to 1 strong; names that are not known tell nothing.
    """
    if not above:
        return ()
    total = fsum(axis.score for axis in above)
    highest = max(axis.score for axis in above)
    shares: dict[ManipulationKind, float] = {}
    for axis in above:
        of_axis = highest * axis.score / total
        if axis.axis is Axis.SYNTHETIC:
            shares[ManipulationKind.FULL_SYNTHESIS] = of_axis
        else:
            told = altered(located.location, moving=moving, signs=signs if moving else {})
            shares |= {kind: of_axis * share for kind, share in told.items()}
            shares[ManipulationKind.UNKNOWN] = of_axis * max(0.0, 1.0 - fsum(told.values()))
    ranked = sorted(shares.items(), key=lambda item: (-item[1], list(ManipulationKind).index(item[0])))
    return tuple(ManipulationType(kind=kind, probability=share) for kind, share in ranked if share > 0.0)


def altered(location: Location, *, moving: bool, signs: Mapping[str, float]) -> Shares:
    """Return what is known of how a face was altered; the shares sum to at most 1, the rest is unknown."""
    prior = _BY_LOCATION[location, moving]
    weighed = dict(prior)
    for sign, strength in signs.items():
        for kind, odds in _BY_SIGN.get(sign, {}).items():
            if kind in weighed:
                weighed[kind] *= 1.0 + (odds - 1.0) * min(1.0, max(0.0, strength))
    scale = fsum(prior.values()) / (fsum(weighed.values()) or 1.0)
    return {kind: scale * share for kind, share in weighed.items()}


def telling(faces: Sequence[FaceEvidence], detectors: Sequence[str]) -> Sequence[FaceEvidence]:
    """Return the most suspicious faces of a track that have a map, those with the highest logit of these detectors."""

    def suspicion(face: FaceEvidence) -> float:
        return max((face.logits[name] for name in detectors if name in face.logits), default=float("-inf"))

    return sorted((face for face in faces if face.heat), key=suspicion, reverse=True)[:_MOST_FACES]
