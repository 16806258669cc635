"""Checkpoints as PyTorch writes them, put together byte by byte, so that they can also be wrong in one place."""

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
KINDS = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
START, ORDERED_DICT = b"\x80\x02", b"ccollections\nOrderedDict\n)R"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def numbers(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(number(value) for value in values) + b"t"


def dictionary(items: Mapping[str, bytes]) -> bytes:
    return ORDERED_DICT + b"(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


@dataclass(frozen=True)
class Tensor:
    """A tensor as a pickle describes it."""

    key: str
    kind: str
    count: int
    size: Sequence[int]
    stride: Sequence[int]
    offset: int = 0
    rebuilt_by: str = "torch._utils\n_rebuild_tensor_v2"
    view: bytes = b""

    def to_bytes(self) -> bytes:
        storage = b"(" + text("storage") + f"ctorch\n{self.kind}\n".encode() + text(self.key) + text("cpu")
        storage += number(self.count) + self.view + b"tQ"
        sides = numbers(self.size) + numbers(self.stride)
        return (
            f"c{self.rebuilt_by}\n(".encode() + storage + number(self.offset) + sides + b"\x89" + ORDERED_DICT + b"tR"
        )


def of(key: str, array: NDArray[np.generic]) -> Tensor:
    """The description of a whole array."""
    strides = [step // array.itemsize for step in array.strides]
    return Tensor(key, KINDS[str(array.dtype)], array.size, array.shape, strides)


def described(tensors: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The pickle of a state dict, its storages numbered."""
    return dictionary({name: of(str(at), array).to_bytes() for at, (name, array) in enumerate(tensors.items())})


def storages(tensors: Mapping[str, NDArray[np.generic]]) -> dict[str, bytes]:
    return {str(at): array.tobytes() for at, array in enumerate(tensors.values())}


def as_zip(
    payload: bytes, parts: Mapping[str, bytes], *, compression: int = zipfile.ZIP_STORED, order: bytes = b"little"
) -> bytes:
    """The layout since PyTorch 1.6."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("net/data.pkl", START + payload + b".")
        archive.writestr("net/byteorder", order)
        for key, content in parts.items():
            archive.writestr(f"net/data/{key}", content)
        archive.writestr("net/version", b"3\n")
    return file.getvalue()


def as_stream(payload: bytes, parts: Mapping[str, tuple[int, bytes]], *, little: bool = True) -> bytes:
    """The layout before PyTorch 1.6; of each storage how many elements it says to have, and its bytes."""
    system = {"protocol_version": PROTOCOL, "little_endian": little, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(part, protocol=2) for part in (MAGIC, PROTOCOL, system))
    body = b"".join(struct.pack("<q", count) + content for count, content in parts.values())
    return head + START + payload + b"." + pickle.dumps(list(parts), protocol=2) + body


def zipped(tensors: Mapping[str, NDArray[np.generic]]) -> bytes:
    return as_zip(described(tensors), storages(tensors))


def streamed(tensors: Mapping[str, NDArray[np.generic]]) -> bytes:
    counts = [array.size for array in tensors.values()]
    parts = zip(storages(tensors).items(), counts, strict=True)
    return as_stream(described(tensors), {key: (count, content) for (key, content), count in parts})
