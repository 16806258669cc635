"""Runs over buffers that were made once answer as plain runs do."""

from pathlib import Path

import numpy as np
import pytest

from models.exceptions import InferenceTimeout
from models.graph import prepare
from models.inference.session import Session
from models.manifest import Manifest
from models.sources import default_cache, resolve
from tests.support.tiny_models import SIZE, entry, write_mapping
from tests.unit.models.inference.test_watchdog import CROPS, opened, write_endless

IMAGES = np.random.default_rng(3).integers(0, 256, (21, SIZE, SIZE, 3), np.uint8)


def bound(session: Session) -> Session:
    """The same session, over buffers on the CPU in place of a GPU's."""
    session._bound = session._binding("cpu")
    return session


@pytest.fixture
def mapping(tmp_path: Path) -> Session:
    sha256 = write_mapping(tmp_path / "tiny.onnx")
    model = entry(
        path=tmp_path / "tiny.onnx",
        sha256=sha256,
        output={"layout": "logit", "name": "logit", "heat": "map"},
        buckets=[1, 4, 16],
    )
    return Session(model, prepare(model, tmp_path / "tiny.onnx", tmp_path / "cache"), threads=1)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 16, 21])
def test_answers_are_the_same_for_any_number_of_crops(mapping: Session, count: int) -> None:
    plain = mapping.answer(IMAGES[:count])
    np.testing.assert_array_equal(bound(mapping).answer(IMAGES[:count]), plain)


def test_what_was_left_in_a_buffer_does_not_show(mapping: Session) -> None:
    alone = mapping.answer(IMAGES[:2])
    session = bound(mapping)
    session.answer(np.full((4, SIZE, SIZE, 3), 255, np.uint8))
    np.testing.assert_array_equal(session.answer(IMAGES[:2]), alone)


def test_answers_stay_when_the_buffers_are_used_again(mapping: Session) -> None:
    session = bound(mapping)
    first = session.answer(IMAGES[:4])
    kept = first.copy()
    session.answer(IMAGES[4:8])
    np.testing.assert_array_equal(first, kept)


def test_a_run_over_buffers_is_ended_as_well(tmp_path: Path) -> None:
    session = bound(opened(entry(path=tmp_path / "tiny.onnx", sha256=write_endless(tmp_path / "tiny.onnx")), tmp_path))
    with pytest.raises(InferenceTimeout, match="was ended after"):
        session.run(CROPS)


@pytest.mark.parametrize("name", ["blend_primary", "blend_screen_fp32"])
def test_the_fleets_detectors_answer_the_same(name: str) -> None:
    model = Manifest.load().entry(name)
    session = Session(model, prepare(model, resolve(model, default_cache()), default_cache()), threads=1)
    size = session.size
    crops = np.random.default_rng(5).integers(0, 256, (5, size, size, 3), np.uint8)
    plain = session.answer(crops)
    np.testing.assert_allclose(bound(session).answer(crops), plain, atol=1e-5)
