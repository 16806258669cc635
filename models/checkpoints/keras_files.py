"""Weights that Keras saved as HDF5 (`save_weights`, or a whole model), by h5py."""

import re
from collections import defaultdict
from io import BytesIO

import h5py
import numpy as np

from models.checkpoints.torch_files import Tensors
from models.exceptions import CheckpointError

WHOLE_MODEL = "model_weights"


def read_keras(content: bytes, name: str) -> Tensors:
    """The tensors of a file as `LAYER.PART`, such as `conv2d_1.kernel`.

    Keras numbers the layers of a kind through a whole session; here the first of each kind in the file is 1.

    Raises:
        CheckpointError: broken, or with numbers that lie in another file or unpack to more than this one.
    """
    try:
        with h5py.File(BytesIO(content), "r") as file:
            # A link of another kind could lead to another file.
            whole = isinstance(file.get(WHOLE_MODEL, getlink=True), h5py.HardLink)
            root = file[WHOLE_MODEL] if whole else file
            tensors: Tensors = {}
            room = len(content)
            # Neither soft nor external links are followed.
            for path, dataset in _datasets(root):
                room -= dataset.size * dataset.dtype.itemsize
                if dataset.external or dataset.is_virtual or room < 0:
                    raise CheckpointError(name, path, "lies in another file, or says to have more bytes than this one")
                if dataset.dtype.kind not in "fiu":
                    raise CheckpointError(name, path, f"holds {dataset.dtype} instead of numbers")
                layer, part = path.split("/")[0], path.split("/")[-1].removesuffix(":0")
                if f"{layer}.{part}" in tensors:
                    raise CheckpointError(name, path, f"is a second {part} of {layer}")
                tensors[f"{layer}.{part}"] = np.asarray(dataset[()])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(name, "file", f"is a broken HDF5 file: {error}") from error
    return _renumbered(tensors)


def _datasets(root: h5py.Group) -> list[tuple[str, h5py.Dataset]]:
    found: list[tuple[str, h5py.Dataset]] = []

    def visit(path: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found.append((path, item))

    root.visititems(visit)
    return found


def _renumbered(tensors: Tensors) -> Tensors:
    """Layers of each kind numbered from 1, in the order of the numbers that they have; none is 0."""
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    split = {key: _kind_and_number(key.split(".")[0]) for key in tensors}
    for kind, number in split.values():
        numbers[kind].add(number)
    places = {kind: {number: at for at, number in enumerate(sorted(found), 1)} for kind, found in numbers.items()}
    return {
        f"{kind}_{places[kind][number]}.{key.split('.', 1)[1]}": tensors[key] for key, (kind, number) in split.items()
    }


def _kind_and_number(layer: str) -> tuple[str, int]:
    numbered = re.fullmatch(r"(.+)_(\d{1,9})", layer)
    return (numbered[1], int(numbered[2])) if numbered else (layer, 0)
