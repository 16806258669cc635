"""Measure the face detector: recall on labelled pictures, and speed on this machine."""

from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from models.cpus import available_cpus
from models.detectors import chosen_entries
from models.faces import MAX_OVERLAP, FaceDetector
from models.fitting.cards import face_card
from models.fitting.faces import OnStep, read_group
from models.fitting.report import FaceReport, Recall, Speed
from models.graph import prepare
from models.manifest import Manifest
from models.sources import resolve

GROUPS = (
    "train/real_portrait",
    "train/real_mixed",
    "val/real",
    "val/fake_stylegan2",
    "val/fake_diffusion",
    "val/photoshop_real",
)
WIDTH, HEIGHT = 640, 360
RUNS = 15


def measure_faces(data: Path, weights: Path, *, manifest: Manifest | None = None, on_step: OnStep) -> FaceReport:
    """Measure the manifest's first face detector.

    Args:
        data: folder with `faces/`, laid out as `GROUPS` says.
        weights: cache of the models; what is missing is pulled.
        manifest: the fleet's by default.
        on_step: told how far it is.

    Raises:
        ModelError: the model cannot be had or does not load.
        FileNotFoundError: the data is not there.
    """
    entry = chosen_entries(manifest or Manifest.load(), [])[0]
    graph = prepare(entry, resolve(entry, weights), weights)
    detector = FaceDetector(entry, graph)
    groups = [read_group(data, name, detector, None, on_step) for name in GROUPS]
    frame = groups[0].faces[0].image
    frames = np.zeros((4, HEIGHT, WIDTH, 3), np.uint8)
    frames[:, : frame.shape[0], : frame.shape[1]] = frame[:HEIGHT, :WIDTH]
    speed = []
    for threads in sorted({1, available_cpus()}):
        timed = FaceDetector(entry, graph, threads=threads)
        speed += [_speed(timed, frames[:count], threads) for count in (1, len(frames))]
    return FaceReport(
        entry=entry.name,
        min_score=detector.min_score,
        max_overlap=MAX_OVERLAP,
        recall=tuple(
            Recall(
                name=group.name,
                files=group.files,
                found=len(group.faces),
                median_side_px=median(face.side for face in group.faces),
            )
            for group in groups
        ),
        width=WIDTH,
        height=HEIGHT,
        machine=_machine(),
        speed=tuple(speed),
    )


def write_face_card(report: FaceReport, cards: Path, *, manifest: Manifest | None = None) -> None:
    """Write `<entry>.json` and `<entry>.md` into the folder of cards."""
    entry = (manifest or Manifest.load()).entry(report.entry)
    (cards / f"{entry.name}.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (cards / f"{entry.name}.md").write_text(face_card(report, entry), encoding="utf-8")


def _speed(detector: FaceDetector, frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], threads: int) -> Speed:
    taken = []
    for _ in range(RUNS):
        started = perf_counter()
        detector.detect(frames)
        taken.append(perf_counter() - started)
    return Speed(threads=threads, frames=len(frames), ms_a_frame=median(taken) * 1000 / len(frames))


def _machine() -> str:
    """The processor's name as Linux says it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return f"{name}, {available_cpus()} CPUs"
