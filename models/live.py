"""What one face of a live frame adds to its stream: one calibrated logit."""

from collections.abc import Sequence

from models.axes import DetectorFacts, JudgedAxis, judge_axis
from models.evidence import FaceEvidence, FrameEvidence
from models.fusion_weights import NOTHING_LEARNT, FusionTable
from models.policy import Policy
from models.pooling import logit
from schemas.verdict import Axis

_CERTAIN = 1e-9
"""Probabilities are kept this far from 0 and 1 where they become logits again."""


def face_logit(
    face: FaceEvidence, detectors: Sequence[DetectorFacts], policy: Policy, fusion: FusionTable = NOTHING_LEARNT
) -> float | None:
    """Return the calibrated logit of "altered" of one face; none where no detector of altered faces judged it.

    A face that the detectors of generated faces speak against, by their own thresholds, counts as much as they say;
    below these it says nothing, and clears nobody.

    Args:
        face: with the answers of its detectors.
        detectors: that were asked.
        policy: how detectors are fused.
        fusion: what was learnt.
    """
    altered = _judged(Axis.MANIPULATION, face, detectors, policy, fusion)
    if altered is None:
        return None
    generated = _judged(Axis.SYNTHETIC, face, detectors, policy, fusion)
    score = altered.score.score
    if generated is not None and generated.score.score >= generated.score.threshold:
        score = max(score, generated.score.score)
    return logit(min(max(score, _CERTAIN), 1 - _CERTAIN))


def _judged(
    axis: Axis, face: FaceEvidence, detectors: Sequence[DetectorFacts], policy: Policy, fusion: FusionTable
) -> JudgedAxis | None:
    alone = FrameEvidence(frame_number=0, pts_ms=0, key_frame=False, cut=False, faces=(face,))
    return judge_axis(axis, (alone,), detectors, policy, moving=False, fusion=fusion)
