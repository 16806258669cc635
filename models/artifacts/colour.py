"""Colour: whether the face's skin has the colours of what is just around it."""

import cv2
import numpy as np

from models.artifacts.findings import HEATMAP_SIDE, ArtifactFinding, located, share
from models.artifacts.view import FaceView

NAME = "colour"
_FACE, _INNER, _OUTER = 0.75, 1.05, 1.5
_FEWEST = 40
_SPREAD_FLOOR = 2.0
"""Of chroma, levels: rounding and the codec's coarse chroma."""
_HALF = 3.0


def chroma_distance(view: FaceView) -> float:
    """Return how far the mean chroma of the face is from that of the ring below it.

    In standard deviations of the face's own chroma, to the nearest sixth of the ring's cells: its neck, ears or jaw,
    if any is seen. A pasted face's colour is off from all of them (after McCloskey & Albright 2018,
    https://arxiv.org/abs/1812.08247, who look at the statistics of chroma).
    """
    face, ring = view.inside(_FACE), view.ring(_INNER, _OUTER) & (view.along > 0.0)
    if np.count_nonzero(face) < _FEWEST or np.count_nonzero(ring) < _FEWEST:
        return 0.0
    mean, deviation = (np.asarray(part)[1:, 0] for part in cv2.meanStdDev(view.coarse, mask=face.view(np.uint8)))
    off = view.coarse[ring, 1:] - mean
    distances = np.hypot(off[:, 0], off[:, 1])
    place = len(distances) // 6
    return float(np.partition(distances, place)[place] / (deviation.mean() + _SPREAD_FLOOR))


def analyse_colour(view: FaceView) -> ArtifactFinding:
    """Compare chroma of the face with that of the ring below; the heatmap is the chroma that is off, in the face."""
    score = share(chroma_distance(view), _HALF)
    ring = view.ring(_INNER, _OUTER) & (view.along > 0.0)
    strength = np.zeros((HEATMAP_SIDE, HEATMAP_SIDE), np.float32)
    if ring.any():
        around = np.array(cv2.mean(view.coarse, ring.view(np.uint8))[:3], np.float32)
        off = (cv2.resize(view.coarse, (HEATMAP_SIDE,) * 2, interpolation=cv2.INTER_AREA) - around)[:, :, 1:]
        across, along = view.ellipse.coordinates(HEATMAP_SIDE)
        strength = np.hypot(off[:, :, 0], off[:, :, 1]) * (across * across + along * along < 1.0)
    return located(NAME, score, np.asarray(strength, np.float32))
