"""Read a checkpoint by what is in the file, whatever it is called."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.checkpoints.torch_files import ZIP_MAGIC, Tensors, read_torch
from models.exceptions import CheckpointError, ExtraMissing

# The largest public checkpoint of a family here, with the state of its optimizer, has a quarter of it.
LARGEST_BYTES = 2**30
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
PICKLE_MAGIC = b"\x80"
SAFETENSORS_SUFFIX = ".safetensors"


def read_checkpoint(path: Path, wrappers: Sequence[str] = ()) -> Tensors:
    """The tensors of a checkpoint by name: PyTorch's, safetensors or Keras's.

    Args:
        path: of the file.
        wrappers: keys under which a PyTorch file may hold the state dict.

    Raises:
        CheckpointError: there is none, it is broken, or has in it what no tensor needs.
        ExtraMissing: the package that reads such a file is not installed.
    """
    content = read_bytes(path)
    if content.startswith(HDF5_MAGIC):
        try:
            from models.checkpoints.keras_files import read_keras  # noqa: PLC0415 - only the extra has h5py
        except ImportError as error:
            raise ExtraMissing("h5py", "convert", "reads Keras's files") from error
        return read_keras(content, path.name)
    if content.startswith((ZIP_MAGIC, PICKLE_MAGIC)):
        return read_torch(content, path.name, wrappers)
    if path.suffix == SAFETENSORS_SUFFIX:
        try:
            from models.checkpoints.safetensors_files import read_safetensors  # noqa: PLC0415 - as above
        except ImportError as error:
            raise ExtraMissing("safetensors", "convert", "reads such files") from error
        return read_safetensors(content, path.name)
    raise CheckpointError(path.name, "file", "is no checkpoint of PyTorch, safetensors or Keras")


def read_bytes(path: Path) -> bytes:
    """What is in a file, of at most 1 GiB.

    Raises:
        CheckpointError: it cannot be read, or has more.
    """
    try:
        with path.open("rb") as file:
            fits = os.fstat(file.fileno()).st_size <= LARGEST_BYTES
            content = file.read(LARGEST_BYTES + 1) if fits else b""
    except OSError as error:
        raise CheckpointError(str(path), "file", f"cannot be read: {error.strerror}") from error
    if not fits or len(content) > LARGEST_BYTES:
        raise CheckpointError(str(path), "file", f"has more than {LARGEST_BYTES} bytes")
    return content


def without_prefixes(name: str, tensors: Tensors, prefixes: Iterable[str]) -> Tensors:
    """The tensors by their names without these prefixes, which wrapping modules put there, outermost first.

    Raises:
        CheckpointError: two tensors would have the same name.
    """
    stripped: Tensors = {}
    for key, tensor in tensors.items():
        short = key
        for prefix in prefixes:
            short = short.removeprefix(prefix)
        if short in stripped:
            raise CheckpointError(name, key, f"is there with and without its prefix: {short}")
        stripped[short] = tensor
    return stripped
