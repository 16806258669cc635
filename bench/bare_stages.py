"""The two stages of scoring by themselves: decoding alone, and inference alone on frames that lie ready."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from bench.straight import sampled
from models.asking import Asking
from models.detectors import Detector, DetectorSet
from models.evidence import FrameEvidence
from models.faces import Face
from models.looking import look
from models.scoring import ScoringLimits

Image = NDArray[np.uint8]


def calls_of(frames: Sequence[FrameEvidence]) -> Mapping[str, int]:
    """Return how many faces each detector judged."""
    return Counter(name for frame in frames for face in frame.faces for name in face.logits)


@dataclass(slots=True)
class BareStages:
    """Decoding and inference of some copies of a clip, side by side on all cores.

    Attributes:
        clips: how many copies.
        threads: how many at a time.
        asked: which detectors see which faces.
        calls: faces of a clip that each detector judges, as `calls_of` counts them on the path.
    """

    clip: Path
    rate_fps: float
    clips: int
    threads: int
    limits: ScoringLimits
    asked: Asking
    calls: Mapping[str, int]
    _frames: list[Image] = field(default_factory=list)
    _locks: dict[str, Lock] = field(default_factory=dict)

    def decode(self) -> int:
        """Decode and convert the sampled frames; return how many."""
        with ThreadPoolExecutor(self.threads) as pool:
            return sum(pool.map(lambda _: sum(1 for _ in sampled(self.clip, self.rate_fps)), range(self.clips)))

    def make_ready(self) -> None:
        """Decode the frames that `inference` is given."""
        self._frames = list(sampled(self.clip, self.rate_fps))
        self._locks = {name: Lock() for name in self.calls}

    def inference(self, detectors: DetectorSet) -> int:
        """Find faces in frames that lie ready, measure and cut them, and run the detectors; return how many frames."""
        with ThreadPoolExecutor(self.threads) as pool:
            return sum(pool.map(lambda _: self._infer(detectors), range(self.clips)))

    def _infer(self, detectors: DetectorSet) -> int:
        crops: dict[str, list[Image]] = {name: [] for name in (*self.asked.every, *self.asked.later)}
        for image in self._frames:
            (faces,) = detectors.faces.detect([image], self.limits.detection_side)
            judged = list(self._usable(image, faces))
            if judged:
                for name, cut in crops.items():
                    cut.append(detectors.detectors[name].cut(image, judged))
        for name, wanted in self.calls.items():
            with self._alone(name):
                _run(detectors.detectors[name], np.concatenate(crops[name])[:wanted])
        return len(self._frames)

    def _usable(self, image: Image, faces: Sequence[Face]) -> Iterator[Face]:
        for face in faces[: self.limits.max_faces]:
            if look(image, face, self.limits.gate, artifacts=self.asked.artifacts).quality.usable:
                yield face

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """A session is for one thread at a time; another clip's faces go through another detector meanwhile."""
        with self._locks[name]:
            yield


def at_best(decode: float, inference: float) -> float:
    """Return frames a second of both stages where they share the cores that each had for itself."""
    return 1 / (1 / decode + 1 / inference)


def _run(detector: Detector, crops: Image) -> None:
    """Run a session on batches as full as they can be."""
    largest = detector.entry.buckets[-1]
    for start in range(0, len(crops), largest):
        detector.session.answer(crops[start : start + largest])
