"""Labelled pictures of one photograph: fakes are bright, reals are dark, and all faces are of one size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.detectors import DetectorSet, LoadOptions
from models.evaluation.evaluation import evaluate
from models.evaluation.layout import read_layout
from models.evaluation.lineup import Lineup, fused_as_decided, weights_in_force
from models.evaluation.report import EvaluationReport
from models.evaluation.scoring import Plan
from models.manifest import Manifest
from models.sources import default_cache
from tests.support.media import Clip, photograph, write_clip
from tests.support.tiny_models import write_manifest

COUNT = 20
PLAN = Plan(native=True, frames=3, robustness_files=3, rounds=100)


def picture(number: int, *, bright: bool) -> NDArray[np.uint8]:
    """The photograph's face, shifted by a few pixels, darker or brighter: (300, 300, 3) RGB."""
    random = np.random.default_rng((number, bright))
    top, left = random.integers(0, 20, 2)
    part = photograph()[top : top + 300, 80 + left : 380 + left].astype(float)
    level = random.uniform(1.2, 1.6) if bright else random.uniform(0.5, 0.8)
    return (part * level + random.normal(0, 2, part.shape)).clip(0, 255).astype(np.uint8)


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three subsets: one that brightness tells, one that it does not, and clips; with what cannot be judged."""
    folder = tmp_path_factory.mktemp("labelled")
    for number in range(COUNT):
        for label in ("real", "fake"):
            write_picture(folder / "bright" / label / f"{number}.jpg", picture(number, bright=label == "fake"))
            name = f"{number}.jpg"
            write_picture(folder / "alike" / label / name, picture(2 * number + (label == "fake"), bright=False))
    write_picture(folder / "bright" / "real" / "sky.jpg", np.full((200, 200, 3), (90, 120, 200), np.uint8))
    (folder / "bright" / "fake" / "torn.jpg").write_bytes(b"\xff\xd8 no picture")
    (folder / "bright" / "notes.txt").write_text("not media")
    for label in ("real", "fake"):
        clips = folder / "clips" / label
        clips.mkdir(parents=True)
        for number in range(2):
            write_clip(clips / f"{number}.mp4", Clip(width=320, height=320, frames=8 + number))
    (folder / "clips" / "fake" / "torn.mp4").write_bytes(b"no film")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """CenterFace, and a detector that calls bright faces fake."""
    return Manifest.load(write_manifest(tmp_path_factory.mktemp("tiny")))


def evaluated(folder: Path, manifest: Manifest, plan: Plan) -> EvaluationReport:
    with DetectorSet.load(manifest, LoadOptions(cache=default_cache(), threads=1)) as loaded:
        lineup = Lineup(
            faces=loaded.faces,
            detectors=loaded.detectors,
            weights=weights_in_force(loaded.detectors),
            fuse=fused_as_decided(loaded.detectors),
        )
        return evaluate(read_layout(folder), lineup, plan, lambda *_: None)


@pytest.fixture(scope="session")
def report(labelled: Path, tiny: Manifest) -> EvaluationReport:
    return evaluated(labelled, tiny, PLAN)
