"""A model whose device is out of memory works on in smaller batches, and answers the same."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from models.exceptions import InferenceError, OutOfMemory
from models.graph import prepare
from models.inference.largest_batch import PATIENCE, LargestBatch, is_out_of_memory
from models.inference.session import Session
from tests.support.cramped import FULL, Cramped, cramp
from tests.support.tiny_models import SIZE, entry, write_brightness


def cramped(folder: Path, room: int) -> tuple[Session, Cramped]:
    digest = write_brightness(folder / "tiny.onnx")
    model = entry(path=folder / "tiny.onnx", sha256=digest, buckets=[1, 4, 16])
    session = Session(model, prepare(model, folder / "tiny.onnx", folder / "cache"), threads=1)
    return session, cramp(session, room)


CROPS = np.random.default_rng(1).integers(0, 256, (21, SIZE, SIZE, 3), np.uint8)
EXPECTED = 20 * (CROPS.astype(np.float64).mean((1, 2, 3)) / 255 - 0.5)


def test_what_does_not_fit_is_answered_in_smaller_batches(tmp_path: Path) -> None:
    session, device = cramped(tmp_path, room=4)
    np.testing.assert_allclose(session.run(CROPS), EXPECTED, atol=1e-4)
    assert device.batches == [16, 4, 4, 4, 4, 4, 1]
    np.testing.assert_allclose(session.run(CROPS[:8]), EXPECTED[:8], atol=1e-4)
    assert device.batches[7:] == [4, 4], "the larger one is not tried again at once"


def test_it_shrinks_as_far_as_it_must(tmp_path: Path) -> None:
    session, device = cramped(tmp_path, room=1)
    np.testing.assert_allclose(session.run(CROPS[:5]), EXPECTED[:5], atol=1e-4)
    assert device.batches == [16, 4, 1, 1, 1, 1, 1]


def test_where_not_even_one_crop_fits_it_is_said(tmp_path: Path) -> None:
    session, device = cramped(tmp_path, room=0)
    with pytest.raises(OutOfMemory, match=r"a batch of 1 failed: .*Failed to allocate memory"):
        session.run(CROPS[:3])
    device.room = 16
    np.testing.assert_allclose(session.run(CROPS[:3]), EXPECTED[:3], atol=1e-4)


def test_larger_batches_come_back_when_smaller_ones_have_long_fitted(tmp_path: Path) -> None:
    session, device = cramped(tmp_path, room=4)
    session.run(CROPS)
    device.room = 16
    while session.limit.largest < 16:
        session.run(CROPS[:4])
    assert len(device.batches) == 1 + PATIENCE
    device.batches.clear()
    session.run(CROPS[:16])
    assert device.batches == [16]


def test_each_new_failure_doubles_the_patience() -> None:
    limit = LargestBatch("tiny", [1, 4, 16])
    assert limit.failed(16)
    for _ in range(PATIENCE):
        limit.fitted()
    assert limit.largest == 16
    assert limit.failed(16)
    for _ in range(2 * PATIENCE - 1):
        limit.fitted()
    assert limit.largest == 4
    limit.fitted()
    assert limit.largest == 16
    assert limit.failures == 2


def test_the_smallest_bucket_cannot_shrink() -> None:
    limit = LargestBatch("tiny", [4, 16])
    assert not limit.failed(4)
    assert limit.largest == 16


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (RuntimeException(FULL), True),
        (Fail("CUDA failure 2: out of memory ; GPU=0"), True),
        (MemoryError(), True),
        (RuntimeError("std::bad_alloc"), True),
        (Fail("Non-zero status code returned while running Gather node: indices out of range"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error: Exception, full: bool) -> None:
    assert is_out_of_memory(error) is full


def test_another_failure_is_not_tried_again(tmp_path: Path) -> None:
    session, device = cramped(tmp_path, room=16)
    device.inner = None
    with pytest.raises(InferenceError, match="has no attribute 'run'"):
        session.run(CROPS[:4])
    assert device.batches == [4]


_ARENA = """
import json, sys
import numpy as np, onnxruntime as ort
from onnx import helper, numpy_helper
from pathlib import Path
from models.inference import providers
from models.graph import prepare
from models.inference.session import Session
from tests.support.cramped import FULL, Cramped, cramp
from tests.support.tiny_models import SIZE, constant, entry, save

folder = Path(sys.argv[1])
place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
ort.create_and_register_allocator(place, ort.OrtArenaCfg({"max_mem": 300 << 20, "arena_extend_strategy": 1}))
opening = ort.SessionOptions.__init__

def sharing(options):
    opening(options)
    options.add_session_config_entry("session.use_env_allocators", "1")

ort.SessionOptions.__init__ = sharing
nodes = [
    helper.make_node("Tile", ["image", "often"], ["large"]),
    helper.make_node("ReduceMean", ["large"], ["mean"], axes=[1, 2, 3], keepdims=0),
    helper.make_node("Sub", ["mean", "middle"], ["answer"]),
]
often = numpy_helper.from_array(np.array([1, 1, 48, 48]), "often")
digest = save(folder / "tiny.onnx", nodes, [often, constant("middle", 0.5)],
              image=["N", 3, SIZE, SIZE], answer=["N"])
model = entry(path=folder / "tiny.onnx", sha256=digest, buckets=[1, 4, 16])
session = Session(model, prepare(model, folder / "tiny.onnx", folder / "cache"), threads=1, warm_up=False)
crops = np.full((16, SIZE, SIZE, 3), 255, np.uint8)
print(json.dumps({"logits": session.run(crops).tolist(), "largest": session.limit.largest,
                  "failures": session.limit.failures}))
"""


def test_a_real_arena_that_is_full_is_got_along_with(tmp_path: Path) -> None:
    """28 MB a crop in an arena of 300 MiB: sixteen do not fit, four do."""
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", _ARENA, str(tmp_path)], cwd=root, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["logits"] == pytest.approx([0.5] * 16, abs=1e-3)
    assert (found["largest"], found["failures"]) == (4, 1)
