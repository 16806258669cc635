"""The bare loop: what scoring a clip costs in straight lines, with nothing around it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from models.crops import cut_faces
from models.detectors import DetectorSet
from models.scoring import ScoringLimits


@dataclass(slots=True)
class Stages:
    """Seconds by stage."""

    decode: float = 0.0
    detect: float = 0.0
    crop: float = 0.0
    score: float = 0.0

    def add(self, other: "Stages") -> None:
        """Add another's."""
        self.decode += other.decode
        self.detect += other.detect
        self.crop += other.crop
        self.score += other.score


def sampled(clip: Path, rate_fps: float) -> Iterator[NDArray[np.uint8]]:
    """Decode a clip with one thread, and convert the frames that are looked at, uint8 [H, W, 3] RGB."""
    looked_at = 0
    reformatter = VideoReformatter()
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            if frame.time is None or frame.time < looked_at / rate_fps - 1e-6:
                continue
            looked_at += 1
            image = reformatter.reformat(frame, format="rgb24", dst_color_range=2, threads=1).to_ndarray()
            yield np.asarray(image, np.uint8)


@dataclass(slots=True)
class Straight:
    """Decode, find faces, cut crops, run the detectors, frame by frame, in one thread of this process.

    The same sessions as the agent's, the same sampling, the same conversion to RGB, one decoding thread. No sandbox,
    no quality gate, no scene cuts, no batches, no Redis.
    """

    detectors: DetectorSet
    limits: ScoringLimits
    stages: Stages = field(default_factory=Stages)
    clock: Callable[[], float] = perf_counter

    def score(self, clip: Path, rate_fps: float) -> int:
        """Score a clip; return how many frames were looked at."""
        looked_at = 0
        began = self.clock()
        for image in sampled(clip, rate_fps):
            looked_at += 1
            decoded = self.clock()
            self.stages.decode += decoded - began
            self._judge(image, decoded)
            began = self.clock()
        self.stages.decode += self.clock() - began
        return looked_at

    def _judge(self, image: NDArray[np.uint8], began: float) -> None:
        (faces,) = self.detectors.faces.detect([image], self.limits.detection_side)
        found = self.clock()
        self.stages.detect += found - began
        for detector in self.detectors.detectors.values():
            crops = cut_faces(image, faces, detector.entry.input.crop, detector.size)
            cut = self.clock()
            self.stages.crop += cut - found
            if faces:
                detector.session.run(crops)
            found = self.clock()
            self.stages.score += found - cut
