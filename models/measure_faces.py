"""Measure the face detector: recall on labelled pictures, and speed on this machine."""

from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from models.detectors import chosen_entries
from models.faces import MAX_OVERLAP, FaceDetector
from models.fitting.cards import face_card
from models.fitting.faces import OnStep, read_group
from models.fitting.report import FaceReport, Recall, Speed
from models.fitting.speed import machine, median_seconds, thread_counts
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
    for threads in thread_counts():
        timed = FaceDetector(entry, graph, threads=threads)
        for count in (1, len(frames)):
            seconds = median_seconds(partial(timed.detect, frames[:count]))
            speed.append(Speed(threads=threads, items=count, ms_an_item=seconds * 1000 / count))
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
        machine=machine(),
        speed=tuple(speed),
    )


def write_face_card(report: FaceReport, cards: Path, *, manifest: Manifest | None = None) -> None:
    """Write `<entry>.json` and `<entry>.md` into the folder of cards."""
    entry = (manifest or Manifest.load()).entry(report.entry)
    (cards / f"{entry.name}.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (cards / f"{entry.name}.md").write_text(face_card(report, entry), encoding="utf-8")
