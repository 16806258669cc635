"""PyTorch's files of tensors, read without PyTorch: the zip archives since 1.6 and the streams before.

Source of both layouts: `torch/serialization.py`.
"""

import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from math import prod

import numpy as np
from numpy.typing import NDArray

from models.checkpoints.pickles import Storage, TensorView, read_pickle
from models.exceptions import CheckpointError

ZIP_MAGIC = b"PK\x03\x04"
STREAM_MAGIC = 0x1950A86A20F9469CFC6C
STREAM_PROTOCOL = 1001
MOST_DIMENSIONS = 8
# Of a tensor that has a side of 0 and so no elements, its other sides multiplied: NumPy refuses some more.
MOST_OF_NONE = 2**40
MOST_SHOWN = 5
SHOWN = 200

Numbers = NDArray[np.generic]
Tensors = dict[str, Numbers]
Fetch = Callable[[Storage], Numbers]


def read_torch(content: bytes, name: str, wrappers: Sequence[str] = ()) -> Tensors:
    """The tensors of a checkpoint by name: views of its storages, which together are not larger than the file.

    Of bfloat16 they are twice as large, because they become float32.

    Args:
        content: of the file.
        name: of the checkpoint, for errors.
        wrappers: keys under which the file may hold the state dict, the first that is there.

    Raises:
        CheckpointError: broken, not a state dict, or with anything in it that is no tensor's.
    """
    read = _read_zip if content.startswith(ZIP_MAGIC) else _read_stream
    payload, fetch = read(content, name)
    state = _unwrapped(payload, wrappers)
    views = {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, TensorView)}
    others = [f"{key}" for key in state if key not in views]
    if others or not state:
        more = ", …" if len(others) > MOST_SHOWN else ""
        problem = f"holds what is no tensor: {', '.join(others[:MOST_SHOWN])}{more}" if others else "holds no tensors"
        raise CheckpointError(name, "state dict", problem)
    return {key: _tensor(name, key, view, fetch) for key, view in views.items()}


def _unwrapped(payload: object, wrappers: Sequence[str]) -> Mapping[object, object]:
    if not isinstance(payload, dict):
        return {}
    for wrapper in wrappers:
        if isinstance(payload.get(wrapper), dict):
            return dict(payload[wrapper])
    return payload


def _read_zip(content: bytes, name: str) -> tuple[object, Fetch]:
    """The archive: `*/data.pkl` describes, `*/data/KEY` holds the numbers of each storage."""
    try:
        archive = zipfile.ZipFile(BytesIO(content))
        members = archive.infolist()
        # PyTorch never compresses; what is stored once cannot unpack to more than the file.
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise CheckpointError(name, "zip", "has compressed files, which no checkpoint has")
        if sum(member.file_size for member in members) > len(content):
            raise CheckpointError(name, "zip", "says to hold more bytes than it has")
        described = [member.filename for member in members if member.filename.endswith("/data.pkl")]
        if len(described) != 1:
            raise CheckpointError(name, "zip", f"has {len(described)} files data.pkl in a folder, instead of one")
        folder = described[0].removesuffix("data.pkl")
        order = f"{folder}byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise CheckpointError(name, "zip", "was written on a big-endian machine")
        payload = read_pickle(BytesIO(archive.read(described[0])), name)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(name, "zip", f"is a broken archive: {error}") from error
    fetched: dict[str, Numbers] = {}

    def fetch(storage: Storage) -> Numbers:
        if storage.key not in fetched:
            try:
                part = archive.read(f"{folder}data/{storage.key}")
            except (KeyError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
                raise CheckpointError(name, f"storage {storage.key}", f"cannot be read: {error}") from error
            fetched[storage.key] = _numbers(name, storage, part)
        return _of_kind(name, storage, fetched[storage.key])

    return payload, fetch


def _read_stream(content: bytes, name: str) -> tuple[object, Fetch]:
    """The stream: four pickles, the keys of the storages, then for each its count in 8 bytes and its numbers."""
    file = BytesIO(content)
    if read_pickle(file, name) != STREAM_MAGIC or read_pickle(file, name) != STREAM_PROTOCOL:
        raise CheckpointError(name, "file", "is no checkpoint of PyTorch")
    system = read_pickle(file, name)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise CheckpointError(name, "file", "was written on a big-endian machine")
    payload, keys = read_pickle(file, name), read_pickle(file, name)
    if not isinstance(keys, list):
        raise CheckpointError(name, "file", "does not list its storages")
    start, rest = file.tell(), memoryview(content)
    fetched: dict[str, Numbers] = {}
    # Only the storages themselves say of what type they are, so they are found one after the other.
    kinds = {storage.key: storage for storage in _storages(payload)}
    for key in keys:
        storage = kinds.get(key) if isinstance(key, str) else None
        if storage is None:
            raise CheckpointError(name, f"storage {key}", "belongs to no tensor: its type is not known")
        try:
            (count,) = struct.unpack_from("<q", content, start)
        except struct.error as error:
            raise CheckpointError(name, f"storage {key}", "is cut off") from error
        end = start + 8 + storage.count * _element(storage).itemsize
        if count != storage.count or not start + 8 <= end <= len(content):
            problem = f"has {count} elements and {len(content) - start - 8} bytes left, for {storage.count} elements"
            raise CheckpointError(name, f"storage {key}", problem)
        fetched[storage.key] = _numbers(name, storage, rest[start + 8 : end])
        start = end

    def fetch(storage: Storage) -> Numbers:
        if storage.key not in fetched:
            raise CheckpointError(name, f"storage {storage.key}", "is not in the file")
        return _of_kind(name, storage, fetched[storage.key])

    return payload, fetch


def _storages(payload: object) -> list[Storage]:
    """The storages of all tensors of a payload, each container looked into once."""
    found: list[Storage] = []
    seen: set[int] = set()
    open_ones = [payload]
    while open_ones:
        value = open_ones.pop()
        if isinstance(value, TensorView):
            found.append(value.storage)
        elif isinstance(value, Storage):
            found.append(value)
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            open_ones.extend(value.values() if isinstance(value, dict) else value)
    return found


def _element(storage: Storage) -> np.dtype[np.generic]:
    """The little-endian type that the numbers have in the file; a bfloat16 is the upper half of a float32."""
    return np.dtype("<u2" if storage.kind == "bfloat16" else storage.kind).newbyteorder("<")


def _numbers(name: str, storage: Storage, part: bytes | memoryview) -> Numbers:
    element = _element(storage)
    if len(part) != storage.count * element.itemsize:
        problem = f"has {len(part)} bytes, for {storage.count} elements of {storage.kind}"
        raise CheckpointError(name, f"storage {storage.key}", problem)
    numbers = np.frombuffer(part, element)
    if storage.kind == "bfloat16":
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers


def _of_kind(name: str, storage: Storage, numbers: Numbers) -> Numbers:
    """The numbers of a storage, which every tensor of it must describe alike."""
    kind = "float32" if storage.kind == "bfloat16" else storage.kind
    if numbers.dtype != np.dtype(kind) or len(numbers) != storage.count:
        raise CheckpointError(name, f"storage {storage.key}", "is described in two ways")
    return numbers


def _tensor(name: str, key: str, view: TensorView, fetch: Fetch) -> Numbers:
    """The tensor as a view of its storage, once all its elements are known to lie in it."""
    size, stride, offset = view.size, view.stride, view.offset
    numbers = fetch(view.storage)
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=False))
    impossible = (
        len(size) != len(stride)
        or len(size) > MOST_DIMENSIONS
        or min((offset, *size, *stride)) < 0
        or prod(size) > len(numbers)
        or prod(side or 1 for side in size) > MOST_OF_NONE
        or (0 not in size and last >= len(numbers))
    )
    said = f"of size {size}, stride {stride} and offset {offset}"[:SHOWN]
    if impossible:
        raise CheckpointError(name, key, f"{said} does not fit {len(numbers)} elements")
    if 0 in size:
        return np.empty(size, numbers.dtype)
    if _overlaps(size, stride):
        raise CheckpointError(name, key, f"{said} has elements that overlap: save it again as contiguous")
    # The step of a side of 1 is never taken, and may be any.
    steps = [step * numbers.itemsize if side > 1 else 0 for side, step in zip(size, stride, strict=True)]
    return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)


def _overlaps(size: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether a step does not lead past all that the smaller ones reach, so that two elements may lie at one place."""
    reached = 0
    for step, side in sorted((step, side) for side, step in zip(size, stride, strict=True) if side > 1):
        if step <= reached:
            return True
        reached += (side - 1) * step
    return False
