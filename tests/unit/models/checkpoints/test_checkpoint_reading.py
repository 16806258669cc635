import os
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.checkpoints import reading
from models.checkpoints.reading import read_checkpoint, without_prefixes
from models.exceptions import CheckpointError, ExtraMissing
from tests.unit.models.checkpoints.torch_bytes import streamed, zipped

FOUR = np.arange(4, dtype=np.float32)
KERAS = {
    "conv2d_5.kernel": np.ones((3, 3, 3, 8), np.float32),
    "conv2d_10.kernel": np.full((5, 5, 8, 8), 2, np.float32),
    "batch_normalization_5.gamma": np.full(8, 3, np.float32),
    "dense.bias": np.full(1, 4, np.float32),
    "dense_1.bias": np.full(1, 5, np.float32),
}


@pytest.fixture
def h5py_file(tmp_path: Path) -> Path:
    h5py = pytest.importorskip("h5py", reason="the extra `convert` is not installed")
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        for key, array in KERAS.items():
            layer, part = key.split(".")
            file[f"{layer}/{layer}/{part}:0"] = array
        file.create_group("flatten_1")
    return path


def refusal(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(path)
    return raised.value


@pytest.mark.parametrize("content", [zipped({"w": FOUR}), streamed({"w": FOUR})], ids=["zip", "stream"])
def test_a_file_is_read_by_what_is_in_it_not_by_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_checkpoint(path)["w"], FOUR)


@pytest.mark.parametrize("content", [b"", b"PK", b"hello", b"\x93NUMPY\x01\x00", bytes(100)])
def test_a_file_of_no_known_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert "no checkpoint of PyTorch, safetensors or Keras" in refusal(path).problem


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.pth").problem
    assert "Is a directory" in refusal(tmp_path).problem


def test_a_file_larger_than_any_checkpoint_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.pth"
    path.touch()
    os.truncate(path, reading.LARGEST_BYTES + 1)
    assert "more than" in refusal(path).problem


def test_prefixes_are_taken_off_from_the_outside() -> None:
    tensors: dict[str, NDArray[np.generic]] = {"module.backbone.conv.weight": FOUR, "backbone.module.bias": FOUR}
    assert without_prefixes("c", tensors, ("module.", "backbone.")).keys() == {"conv.weight", "module.bias"}


def test_two_tensors_that_would_have_one_name_are_refused() -> None:
    tensors: dict[str, NDArray[np.generic]] = {"module.w": FOUR, "w": FOUR}
    with pytest.raises(CheckpointError, match="with and without its prefix"):
        without_prefixes("c", tensors, ("module.",))


def test_safetensors_are_read(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="the extra `convert` is not installed")
    path = tmp_path / "model.safetensors"
    safetensors.save_file({"w": FOUR, "half": FOUR.astype(np.float16)}, path)
    read = read_checkpoint(path)
    np.testing.assert_array_equal(read["w"], FOUR)
    assert read["half"].dtype == np.float16
    content = path.read_bytes()
    for broken in (content[:-4], content[:20], b"\xff" * 8 + content[8:]):
        path.write_bytes(broken)
        assert "no safetensors file" in refusal(path).problem


def test_keras_layers_are_numbered_from_one_within_their_kind(h5py_file: Path) -> None:
    read = read_checkpoint(h5py_file)
    places = {"conv2d_1.kernel": 1, "conv2d_2.kernel": 2, "batch_normalization_1.gamma": 3, "dense_1.bias": 4}
    assert read.keys() == places.keys() | {"dense_2.bias"}
    assert all((read[key] == value).all() for key, value in places.items())


def test_a_whole_keras_model_is_read_too(h5py_file: Path) -> None:
    import h5py  # noqa: PLC0415 - the fixture skips without it

    whole = h5py_file.with_name("model.h5")
    with h5py.File(h5py_file) as weights, h5py.File(whole, "w") as model:
        weights.copy(weights, model, "model_weights")
        model["optimizer_weights/Adam/iterations:0"] = np.array(7)
    assert read_checkpoint(whole).keys() == read_checkpoint(h5py_file).keys()


def test_a_keras_file_reads_no_other_file(h5py_file: Path) -> None:
    import h5py  # noqa: PLC0415 - the fixture skips without it

    secret = h5py_file.with_name("secret")
    secret.write_bytes(FOUR.tobytes())
    with h5py.File(h5py_file, "a") as file:
        file.create_group("linked_1")["kernel:0"] = h5py.ExternalLink("other.h5", "/")
        file["model_weights"] = h5py.ExternalLink("other.h5", "/")
    assert "linked_1.kernel" not in read_checkpoint(h5py_file)
    with h5py.File(h5py_file, "a") as file:
        file.create_dataset("dense_9/kernel:0", (4,), "f4", external=[(str(secret), 0, 16)])
    assert "lies in another file" in refusal(h5py_file).problem


def test_a_keras_file_that_unpacks_to_more_than_itself_is_refused(h5py_file: Path) -> None:
    import h5py  # noqa: PLC0415 - the fixture skips without it

    with h5py.File(h5py_file, "a") as file:
        file.create_dataset("dense_9/kernel:0", (10**9,), "f4", chunks=(10**6,), compression="gzip")
    assert h5py_file.stat().st_size < 10**6
    assert "more bytes than this one" in refusal(h5py_file).problem


def test_text_in_a_keras_file_is_refused(h5py_file: Path) -> None:
    import h5py  # noqa: PLC0415 - the fixture skips without it

    with h5py.File(h5py_file, "a") as file:
        file["dense_9/kernel:0"] = "text"
    assert "instead of numbers" in refusal(h5py_file).problem


def test_a_broken_keras_file_is_refused(h5py_file: Path) -> None:
    content = h5py_file.read_bytes()
    h5py_file.write_bytes(content[: len(content) // 2])
    assert "broken HDF5" in refusal(h5py_file).problem


@pytest.mark.parametrize(
    ("package", "reader", "file", "content"),
    [
        ("h5py", "keras_files", "w.h5", b"\x89HDF\r\n\x1a\n"),
        ("safetensors", "safetensors_files", "w.safetensors", bytes(8)),
    ],
)
def test_a_missing_package_is_told_with_the_extra_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, reader: str, file: str, content: bytes
) -> None:
    # What an import finds where a package is not installed.
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"models.checkpoints.{reader}", raising=False)
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(ExtraMissing, match=r"deepfake-fleet\[convert\]") as raised:
        read_checkpoint(path)
    assert raised.value.extra == "convert"


@pytest.mark.data
@pytest.mark.parametrize(("file", "tensors"), [("2.7_80x80_MiniFASNetV2", 334), ("4_0_0_80x80_MiniFASNetV1SE", 370)])
def test_the_published_minifasnets_are_read(data: Path, file: str, tensors: int) -> None:
    path = data / "weights" / f"{file}.pth"
    if not path.is_file():
        pytest.skip(f"no {path}")
    read = read_checkpoint(path)
    assert len(read) == tensors
    assert all(key.startswith("module.") and np.isfinite(tensor).all() for key, tensor in read.items())
    assert read["module.linear.weight"].shape == (128, 512)
    assert read["module.linear.weight"].dtype == np.float32
