"""What looking at faces over time costs: of a face as it is scored, and of a track as its verdict is made."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import cos, pi, sin
from time import process_time

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from bench.artifacts import BOX
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from models.evidence import ArtifactEvidence, FaceEvidence, Light, Motion, Pose, Quality, RelativeBox
from models.temporal.analysis import ANALYSES, analyse_track
from models.temporal.lighting import face_light
from models.temporal.motion import SIDE, face_motion, glimpse
from models.temporal.segments import suspicious_stretches
from models.temporal.spectrum import explained_shares
from models.temporal.track import Seen, TrackView

_FPS, _SECONDS = 5, 60
"""Of the track that is timed."""
_DETECTOR = "timed"


def track(frames: int, *, interval_ms: int = 1000 // _FPS, seed: int = 1) -> tuple[Seen, ...]:
    """Return a made track whose faces have all that the analyses look at."""
    random = np.random.default_rng(seed)
    rest = np.array([[0.40, 0.40], [0.50, 0.40], [0.45, 0.45], [0.41, 0.52], [0.49, 0.52]])
    faces = []
    for number in range(frames):
        points = rest + 0.05 * sin(number / 9) + random.normal(0, 0.001, rest.shape)
        quality = Quality(
            150.0,
            sharpness=float(random.uniform(0.5, 0.7)),
            exposure=0.95,
            frontality=0.9,
            usable=True,
            pose=Pose(10 * sin(number / 20), 5 * cos(number / 20)),
        )
        face = FaceEvidence(
            RelativeBox(0.35, 0.3, 0.2, 0.3),
            0.99,
            quality,
            {_DETECTOR: float(random.normal(sin(number / 12)))},
            landmarks=tuple((float(x), float(y)) for x, y in points),
            artifacts=tuple(ArtifactEvidence(f"kind-{kind}", float(random.uniform())) for kind in range(8)),
            light=Light(float(random.uniform(110, 130)), 10.0, -5.0),
            motion=Motion(0.3, 0.2, float(random.uniform(0, 0.3)), float(random.uniform(0, 0.1)), interval_ms),
        )
        faces.append((number * interval_ms, face))
    return tuple(faces)


def plain_shares(seconds: list[float], values: list[float], frequencies: list[float]) -> list[float]:
    """Return the shares of the sum of squares that the best sine of each frequency explains, sum by sum."""
    total = sum(value * value for value in values)
    shares = []
    for frequency in frequencies:
        waves = [(cos(2 * pi * frequency * at), sin(2 * pi * frequency * at)) for at in seconds]
        by_cosine = sum(c * value for (c, _), value in zip(waves, values, strict=True))
        by_sine = sum(s * value for (_, s), value in zip(waves, values, strict=True))
        of_cosine, of_sine, both = (
            sum(c * c for c, _ in waves),
            sum(s * s for _, s in waves),
            sum(c * s for c, s in waves),
        )
        explained = of_sine * by_cosine**2 + of_cosine * by_sine**2 - 2 * both * by_cosine * by_sine
        shares.append(explained / (of_cosine * of_sine - both * both) / total)
    return shares


def measure(run: Run) -> Section:
    """Measure glimpse, motion and light of a face, then the analyses of a track."""
    repetitions, runs = run.amount(15, 3), run.amount(60, 5)
    with _one_thread():
        run.tell("temporal: a face")
        face = _timed(_of_face(), repetitions, runs)
        run.tell("temporal: a track")
        of_track = _timed(_of_track(), repetitions, max(1, runs // 10))
        run.tell("temporal: plain Python")
        against = _against_plain(run.amount(5, 1), max(1, runs // 10))
    return Section(
        "Faces over time",
        (
            _table(
                "Of each face as it is scored, ms on one core",
                face,
                f"Processor time. Flow is dense between pictures of {SIDE} x {SIDE}; most of a motion is its "
                "search by OpenCV, which stands alone in the last row. A glimpse and a light cost more in a "
                "larger frame, because more pixels are read.",
            ),
            _table(
                f"Of a track of {_SECONDS} s at {_FPS} frames a second as its verdict is made, ms on one core",
                of_track,
                "Processor time. All of them once a track; one by one they are given its arrays.",
            ),
            Table(
                "Vectorised against plain Python",
                ("", "vectorised, ms", "plain, ms", "ratio"),
                (against,),
                "The same shares to 1e-9, checked in this run.",
            ),
        ),
    )


def _of_face() -> list[tuple[str, Callable[[], object]]]:
    photograph = np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]
    moved = np.roll(photograph, (2, 3), axis=(0, 1))
    large = np.asarray(cv2.resize(photograph, None, fx=3, fy=3), np.uint8)
    before, after = glimpse(photograph, BOX), glimpse(moved, BOX)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(0)
    threefold = tuple(3 * edge for edge in BOX)
    small_face, large_face = _inside(photograph, BOX), _inside(large, threefold)
    return [
        ("glimpse of a face of 135 pixels", lambda: glimpse(photograph, BOX)),
        ("glimpse of a face of 405 pixels", lambda: glimpse(large, threefold)),
        ("motion between two glimpses", lambda: face_motion(before, after, 100)),
        ("light of a face of 135 pixels", lambda: face_light(small_face)),
        ("light of a face of 405 pixels", lambda: face_light(large_face)),
        ("the search within a motion", lambda: search.calc(before.picture, after.picture, None)),  # type: ignore[call-overload]
    ]


def _of_track() -> list[tuple[str, Callable[[], object]]]:
    faces = track(_FPS * _SECONDS)
    view = TrackView.of(faces, (_DETECTOR,), aspect=16 / 9)
    scored = [(at, quality.quality.sharpness) for at, quality in faces]
    return [
        ("all", lambda: analyse_track(faces, (_DETECTOR,), aspect=16 / 9)),
        ("its arrays", lambda: TrackView.of(faces, (_DETECTOR,), aspect=16 / 9)),
        *((name, lambda find=find: find(view)) for name, find in ANALYSES.items()),
        ("suspicious segments", lambda: suspicious_stretches(scored, 0.6, 1000 // _FPS)),
    ]


def _against_plain(repetitions: int, runs: int) -> tuple[str, ...]:
    series = TrackView.of(track(_FPS * _SECONDS), (_DETECTOR,), aspect=16 / 9).score
    seconds, values = series.times_ms / 1000, series.values - series.values.mean()
    frequencies = np.linspace(3 / _SECONDS, 0.45 * _FPS, 400)
    lists = seconds.tolist(), values.tolist(), frequencies.tolist()
    np.testing.assert_allclose(explained_shares(seconds, values, frequencies), plain_shares(*lists), atol=1e-9)
    pairs = [
        (
            _milliseconds(lambda: explained_shares(seconds, values, frequencies), runs),
            _milliseconds(lambda: plain_shares(*lists), 1),
        )
        for _ in range(repetitions)
    ]
    ours, theirs = (Samples(tuple(taken)) for taken in zip(*pairs, strict=True))
    return ("periodogram of 300 samples at 400 frequencies", ours.text(2), theirs.text(1), theirs.over(ours).text())


def _inside(image: NDArray[np.uint8], box: tuple[float, ...]) -> NDArray[np.uint8]:
    x0, y0, x1, y1 = (int(edge) for edge in box)
    return image[y0:y1, x0:x1]


def _timed(
    parts: list[tuple[str, Callable[[], object]]], repetitions: int, runs: int
) -> tuple[tuple[str, Samples], ...]:
    taken: dict[str, list[float]] = {name: [] for name, _ in parts}
    for _ in range(repetitions):
        for name, part in parts:
            taken[name].append(_milliseconds(part, runs))
    return tuple((name, Samples(tuple(values))) for name, values in taken.items())


def _table(title: str, timed: tuple[tuple[str, Samples], ...], meaning: str) -> Table:
    return Table(title, ("", "ms"), tuple((name, samples.text(3)) for name, samples in timed), meaning)


def _milliseconds(part: Callable[[], object], runs: int) -> float:
    began = process_time()
    for _ in range(runs):
        part()
    return (process_time() - began) / runs * 1000


@contextmanager
def _one_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
