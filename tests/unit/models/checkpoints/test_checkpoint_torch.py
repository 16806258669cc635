import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.checkpoints.torch_files import read_torch
from models.exceptions import CheckpointError
from tests.unit.models.checkpoints.torch_bytes import (
    ORDERED_DICT,
    START,
    Tensor,
    as_stream,
    as_zip,
    described,
    dictionary,
    number,
    of,
    storages,
    streamed,
    text,
    zipped,
)

RANDOM = np.random.default_rng(2)
TENSORS: dict[str, NDArray[np.generic]] = {
    "conv.weight": RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32),
    "conv.bias": RANDOM.normal(size=4).astype(np.float64),
    "half": RANDOM.normal(size=(2, 5)).astype(np.float16),
    "transposed": RANDOM.normal(size=(3, 4)).astype(np.float32).T,
    "bn.num_batches_tracked": np.array(12, np.int64),
    "empty": np.zeros((0, 3), np.float32),
    "mask": np.array([True, False]),
}
FOUR = np.arange(4, dtype=np.float32)
LAYOUTS = pytest.mark.parametrize("write", [zipped, streamed], ids=["zip", "stream"])


def holding(tensor: Tensor) -> bytes:
    """A file with one tensor that is described so, and whose storage has four elements."""
    return as_zip(dictionary({"w": tensor.to_bytes()}), {"0": FOUR.tobytes()})


def refusal(content: bytes) -> CheckpointError:
    with pytest.raises(CheckpointError) as raised:
        read_torch(content, "c.pth")
    assert raised.value.entry == "c.pth"
    return raised.value


@LAYOUTS
def test_tensors_are_read_as_they_were_written(write: Callable[..., bytes]) -> None:
    # A transposed array is written as PyTorch does: its numbers in their own order, and its strides.
    stored = TENSORS | {"transposed": np.ascontiguousarray(TENSORS["transposed"].T)}
    content = write(stored)
    read = read_torch(content, "c.pth")
    assert read.keys() == TENSORS.keys()
    for key, array in stored.items():
        np.testing.assert_array_equal(read[key], array)
        assert read[key].dtype == array.dtype


def test_a_tensor_may_be_a_part_of_its_storage_in_any_order() -> None:
    array = np.arange(24, dtype=np.float32)
    part = Tensor("0", "FloatStorage", 24, (3, 2), (1, 6), offset=2)
    read = read_torch(as_zip(dictionary({"w": part.to_bytes()}), {"0": array.tobytes()}), "c.pth")["w"]
    np.testing.assert_array_equal(read, array.reshape(4, 6)[:2, 2:5].T)


def test_bfloat16_becomes_float32() -> None:
    wanted = np.array([1.0, -2.5, 0.15625], np.float32)
    upper = (wanted.view(np.uint32) >> 16).astype(np.uint16)
    tensor = Tensor("0", "BFloat16Storage", 3, (3,), (1,))
    read = read_torch(as_zip(dictionary({"w": tensor.to_bytes()}), {"0": upper.tobytes()}), "c.pth")
    np.testing.assert_array_equal(read["w"], wanted)


def test_a_parameter_is_its_tensor_and_two_tensors_may_share_numbers() -> None:
    parameter = b"ctorch._utils\n_rebuild_parameter\n(" + of("0", FOUR).to_bytes() + b"\x88" + ORDERED_DICT + b"tR"
    content = as_zip(dictionary({"a": parameter, "b": of("0", FOUR).to_bytes()}), {"0": FOUR.tobytes()})
    for tensor in read_torch(content, "c.pth").values():
        np.testing.assert_array_equal(tensor, FOUR)


def test_the_versions_that_pytorch_gives_a_state_dict_are_dropped() -> None:
    versions = b"}" + text("_metadata") + ORDERED_DICT + b"sb"
    content = as_zip(dictionary({"w": of("0", FOUR).to_bytes()}) + versions, {"0": FOUR.tobytes()})
    assert read_torch(content, "c.pth").keys() == {"w"}


def test_a_training_checkpoint_holds_its_state_dict_under_a_key() -> None:
    state = dictionary({"w": of("0", FOUR).to_bytes()})
    optimizer = b"}" + text("lr") + b"G" + b"\x3f\xf0" + bytes(6) + b"s"
    payload = dictionary({"epoch": number(3), "optimizer": optimizer, "state_dict": state})
    content = as_zip(payload, {"0": FOUR.tobytes()})
    assert read_torch(content, "c.pth", ("state_dict", "model")).keys() == {"w"}
    assert "no tensor: epoch, optimizer, state_dict" in refusal(content).problem


class Run:
    """Pickles as a call that leaves a file behind."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("layout", ["zip", "stream"])
@pytest.mark.parametrize(("function", "name"), [(os.system, "posix.system"), (eval, "builtins.eval")])
def test_a_file_that_would_run_code_is_refused_naming_it_and_runs_nothing(
    tmp_path: Path, protocol: int, layout: str, function: Callable[..., object], name: str
) -> None:
    left = tmp_path / "left-behind"
    code = f"touch {left}" if function is os.system else f"open({str(left)!r}, 'w')"
    pickled = pickle.dumps({"w": Run(function, code)}, protocol=protocol)
    payload = pickled.removeprefix(pickled[:2]).removesuffix(b".")
    if protocol == 2:
        name = name.replace("builtins", "__builtin__")
    problem = refusal(as_zip(payload, {}) if layout == "zip" else as_stream(payload, {})).problem
    assert f"names {name}," in problem
    assert not left.exists()


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"ctorch.nn.modules.linear\nLinear\n)R", "names torch.nn.modules.linear.Linear"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R", "calls torch._utils._rebuild_tensor_v2"),
        (b"ctorch\nFloatStorage\n)R", "calls torch.FloatStorage"),
        (ORDERED_DICT + b"(" + text("a") + b"t" + b"R", "calls dict"),
        (b"ccollections\nOrderedDict\n)\x81", "instruction NEWOBJ"),
        (b"cos\nsystem\n", "names os.system"),
        (b"\x8c\x02os\x8c\x06system\x93", "names os.system"),
        (b"c__builtin__\ngetattr\n(" + ORDERED_DICT + text("update") + b"tR", "names __builtin__.getattr"),
        (b"cbuiltins\ngetattr\n", "names builtins.getattr"),
        (b"\x82\x01", "instruction EXT1"),
        (b"(ios\nsystem\n", "instruction INST"),
        (b"Pstorage\n", "instruction PERSID"),
        (b"(" + text("module") + b"NNNNtQ", "something else than a storage"),
        (b"NQ", "broken"),
        (b"h\x07", "broken"),
        (b"u", "broken"),
        (b"}(Nu", "broken"),
        (b"]" + text("a") + b"Ns", "broken"),
        (b"})Ns", "neither text nor numbers"),
        (b"}]Ns", "neither text nor numbers"),
        (b"\x87", "broken"),
        (b"X\xff\xff\xff\x7fshort", "broken"),
        (b"X\x02\x00\x00\x00\xff\xff", "broken"),
        (b"\xff", "broken"),
    ],
)
def test_a_pickle_that_no_checkpoint_needs_is_refused(payload: bytes, said: str) -> None:
    assert said in refusal(as_zip(payload, {})).problem


def test_a_pickle_without_an_end_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", START + b"N")
    assert "broken" in refusal(file.getvalue()).problem


def test_a_memo_of_billions_takes_no_memory() -> None:
    payload = dictionary({"w": of("0", FOUR).to_bytes()}) + b"r\xff\xff\xff\x7f"
    assert read_torch(as_zip(payload, {"0": FOUR.tobytes()}), "c.pth").keys() == {"w"}


def test_containers_within_containers_are_no_trouble() -> None:
    assert "no tensors" in refusal(as_zip(b"]" * 100_000 + b"a" * 99_999, {})).problem


def test_a_pickle_of_millions_of_instructions_is_refused() -> None:
    assert "more than 2000000 instructions" in refusal(as_zip(b"N" * 2_000_001, {})).problem


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("0", "FloatStorage", 4, (5,), (1,)),
        Tensor("0", "FloatStorage", 4, (2,), (1,), offset=3),
        Tensor("0", "FloatStorage", 4, (2, 2), (3, 1)),
        Tensor("0", "FloatStorage", 4, (1,), (1,), offset=-1),
        Tensor("0", "FloatStorage", 4, (2,), (-1,), offset=3),
        Tensor("0", "FloatStorage", 4, (-2,), (1,)),
        Tensor("0", "FloatStorage", 4, (2,), (1, 1)),
        Tensor("0", "FloatStorage", 4, (10**9, 10**9), (0, 0)),
        Tensor("0", "FloatStorage", 4, (1,) * 9, (1,) * 9),
        Tensor("0", "FloatStorage", 4, (2**200,), (0,)),
        Tensor("0", "FloatStorage", 4, (0, 2**62, 2**62), (1, 1, 1)),
        Tensor("0", "FloatStorage", 4, (0, 2**200), (1, 1)),
    ],
)
def test_a_tensor_that_does_not_lie_in_its_storage_is_refused(tensor: Tensor) -> None:
    error = refusal(holding(tensor))
    assert error.field == "w"
    assert "does not fit 4 elements" in error.problem


@pytest.mark.parametrize(("size", "stride"), [((2, 2), (1, 1)), ((4,), (0,)), ((2, 1, 2), (1, 9, 1)), ((2, 2), (0, 1))])
def test_a_tensor_whose_elements_overlap_is_refused(size: tuple[int, ...], stride: tuple[int, ...]) -> None:
    error = refusal(holding(Tensor("0", "FloatStorage", 4, size, stride)))
    assert error.field == "w"
    assert "overlap" in error.problem


@pytest.mark.parametrize("stride", [0, 7, 2**62, 2**200])
def test_the_stride_of_a_side_of_one_does_not_matter(stride: int) -> None:
    read = read_torch(holding(Tensor("0", "FloatStorage", 4, (1, 4), (stride, 1))), "c.pth")
    np.testing.assert_array_equal(read["w"], FOUR[None])


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (Tensor("0", "FloatStorage", 10**12, (4,), (1,)), "has 16 bytes, for 1000000000000 elements"),
        (Tensor("0", "FloatStorage", -4, (4,), (1,)), "has 16 bytes, for -4 elements"),
        (Tensor("0", "DoubleStorage", 4, (4,), (1,)), "has 16 bytes, for 4 elements of float64"),
        (Tensor("../../version", "ByteStorage", 2, (2,), (1,)), "cannot be read"),
        (Tensor("7", "FloatStorage", 4, (4,), (1,)), "cannot be read"),
        (Tensor("0", "ComplexFloatStorage", 2, (2,), (1,)), "names torch.ComplexFloatStorage"),
        (Tensor("0", "FloatStorage", 4, (4,), (1,), rebuilt_by="torch._utils\n_rebuild_qtensor"), "_rebuild_qtensor"),
        (Tensor("0", "FloatStorage", 4, (4,), (1,), view=b"(" + text("1") + b"K\x00K\x04t"), "part of another"),
    ],
)
def test_a_storage_that_is_not_as_described_is_refused(tensor: Tensor, said: str) -> None:
    assert said in refusal(holding(tensor)).problem


def test_a_storage_described_in_two_ways_is_refused() -> None:
    other = Tensor("0", "IntStorage", 4, (4,), (1,))
    payload = dictionary({"a": of("0", FOUR).to_bytes(), "b": other.to_bytes()})
    assert "two ways" in refusal(as_zip(payload, {"0": FOUR.tobytes()})).problem


def test_a_stream_whose_storage_says_to_be_larger_than_the_file_is_refused() -> None:
    tensor = Tensor("0", "FloatStorage", 2**60, (4,), (1,))
    payload = dictionary({"w": tensor.to_bytes()})
    assert "bytes left" in refusal(as_stream(payload, {"0": (2**60, FOUR.tobytes())})).problem
    fitting = dictionary({"w": of("0", FOUR).to_bytes()})
    assert "has 5 elements" in refusal(as_stream(fitting, {"0": (5, FOUR.tobytes())})).problem


def test_a_stream_whose_storages_and_tensors_differ_is_refused() -> None:
    payload = dictionary({"w": of("0", FOUR).to_bytes()})
    assert "belongs to no tensor" in refusal(as_stream(payload, {"1": (4, FOUR.tobytes())})).problem
    assert "is not in the file" in refusal(as_stream(payload, {})).problem


@LAYOUTS
def test_a_file_cut_off_anywhere_is_refused(write: Callable[..., bytes]) -> None:
    content = write({"w": FOUR})
    for end in range(4, len(content), 7):
        refusal(content[:end])


@LAYOUTS
def test_a_file_changed_anywhere_is_read_or_refused(write: Callable[..., bytes]) -> None:
    content = write({"w": FOUR, "v": FOUR[:2]})
    for at in range(len(content)):
        changed = content[:at] + bytes([content[at] ^ 0xA5]) + content[at + 1 :]
        try:
            read = read_torch(changed, "c.pth")
        except CheckpointError:
            continue
        assert sum(tensor.nbytes for tensor in read.values()) <= 2 * len(content)


def test_a_compressed_archive_is_refused_however_small_it_is() -> None:
    zeros = np.zeros(10**7, np.float32)
    content = as_zip(described({"w": zeros}), storages({"w": zeros}), compression=zipfile.ZIP_DEFLATED)
    assert len(content) < 10**5
    assert "compressed" in refusal(content).problem


def test_an_archive_that_says_to_hold_more_than_it_has_is_refused() -> None:
    content = bytearray(zipped({"w": FOUR}))
    entry = content.index(b"PK\x01\x02")
    # Both sizes of the first member, in the directory at the end.
    content[entry + 20 : entry + 28] = b"\xff\xff\xff\x7f" * 2
    assert "more bytes than it has" in refusal(bytes(content)).problem


@pytest.mark.parametrize("names", [(), ("data.pkl",), ("a/data.pkl", "b/data.pkl")])
def test_an_archive_without_exactly_one_description_is_refused(names: tuple[str, ...]) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme", b"")
        for name in names:
            archive.writestr(name, START + b"}.")
    assert "instead of one" in refusal(file.getvalue()).problem


def test_an_archive_within_an_archive_is_not_looked_into() -> None:
    inner = zipped({"w": FOUR})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/inner.pth", inner)
    assert "instead of one" in refusal(file.getvalue()).problem
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", inner)
    assert refusal(file.getvalue()).field == "pickle"
    assert "bytes, for 4 elements" in refusal(as_zip(described({"w": FOUR}), {"0": inner})).problem


def test_numbers_the_other_way_round_are_refused() -> None:
    payload = dictionary({"w": of("0", FOUR).to_bytes()})
    for content in (
        as_zip(payload, {"0": FOUR.tobytes()}, order=b"big"),
        as_stream(payload, {"0": (4, FOUR.tobytes())}, little=False),
    ):
        assert "big-endian" in refusal(content).problem


@pytest.mark.parametrize("payload", [b"]", b"N", b"K\x07", b"}", b"}" + text("w") + b"K\x01s", b"}K\x01K\x01s"])
def test_what_is_no_state_dict_is_refused(payload: bytes) -> None:
    assert refusal(as_zip(payload, {})).field == "state dict"


def test_another_pickle_is_no_checkpoint() -> None:
    assert "no checkpoint of PyTorch" in refusal(pickle.dumps({"w": 1}, protocol=2)).problem
