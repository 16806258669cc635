"""The parts of the benchmark that measure inference: what they measure, draw and write. Never how fast it was."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image

from bench.devices import NOT_MEASURED, NoDevice, gpu_providers
from bench.families_plot import Point, draw_pace
from bench.machine import Machine
from bench.networks import drawn
from bench.pace import FACES, PRODUCERS, ahead, race
from bench.report import Picture, Section, Table, write_document
from bench.samples import Samples
from models.graph import prepare
from models.inference.session import Session
from models.manifest import Family
from tests.support.tiny_models import SIZE, entry, write_brightness

no_gpu = pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="there may be a GPU here")


def test_drawn_networks_are_the_same_each_time_and_answer_with_numbers(tmp_path: Path) -> None:
    first, again = ({each.label: each for each in drawn(tmp_path / name)} for name in ("first", "again"))
    assert {each.entry.family for each in first.values()} == set(Family) - {
        Family.CENTERFACE,
        Family.YUNET,
        Family.CLIP_PROBE,
        Family.EFFICIENTNET_LITE0,
    }
    for label, network in first.items():
        assert network.drawn
        assert network.entry.source.sha256 == again[label].entry.source.sha256
        session = Session(
            network.entry, prepare(network.entry, network.weights, tmp_path / "cache"), threads=1, warm_up=False
        )
        assert np.isfinite(session.run(network.images(1))).all()


def test_both_ways_of_a_race_are_measured_in_every_repetition(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = entry(path=path, sha256=write_brightness(path))
    session = Session(model, prepare(model, path, tmp_path / "cache"), threads=1)
    seen = race(session, np.zeros((4, SIZE, SIZE, 3), np.uint8), repetitions=2, seconds=0.02)
    assert len(seen.bare) == len(seen.batched) == 2
    assert min(*seen.bare, *seen.batched) > 0
    assert 0 < seen.fill <= 1


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_what_is_under_way_fills_a_batch_while_one_runs(batch: int) -> None:
    assert PRODUCERS * ahead(batch) * np.mean(FACES) >= 2 * batch


def test_a_family_that_lacks_a_batch_size_is_drawn_all_the_same() -> None:
    rates = Samples((90.0, 100.0, 110.0))
    points = [Point("one", batch, rates, rates, drawn=False) for batch in (1, 4)]
    content = draw_pace([*points, Point("two", 1, rates, rates, drawn=True)], "here")
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 10


def test_pictures_lie_beside_the_document_that_shows_them(tmp_path: Path) -> None:
    table = Table("Speeds", ("", "a second"), (("ours", "12"),), "More is better.")
    section = Section("Families", (table,), (Picture("pace.png", "Images a second", b"PNG"),))
    write_document(tmp_path / "measured.md", [section], Machine.here("none"), "a command", "a day")
    text = (tmp_path / "measured.md").read_text()
    assert "![Images a second](measured/pace.png)" in text
    assert "| ours | 12 |" in text
    assert (tmp_path / "measured" / "pace.png").read_bytes() == b"PNG"


@no_gpu
def test_where_there_is_no_gpu_it_says_so_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NoDevice, match="no CUDA device"):
        gpu_providers()
    command = [sys.executable, "-m", "bench", "--gpu", "--write", "--document", str(tmp_path / "gpu.md")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1
    assert "no CUDA device" in done.stderr
    assert list(tmp_path.iterdir()) == []


@no_gpu
def test_of_a_gpu_that_is_not_there_nothing_is_said_but_that(tmp_path: Path) -> None:
    document = tmp_path / "measured.md"
    command = [sys.executable, "-m", "bench", "precision", "--quick", "--write", "--document", str(document)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in document.read_text().splitlines() if line.startswith("| blend_")]
    speeds = [[cell.strip(" |") for cell in row] for row in rows if len(row) == 7]
    assert len(speeds) == 6
    assert all(set(row[5:]) == {NOT_MEASURED} for row in speeds)
    aucs = [row for row in rows if len(row) == 5]
    assert len(aucs) == 6
    assert not any(NOT_MEASURED in cell for row in aucs for cell in row)
