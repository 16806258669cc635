"""The tensors of a checkpoint, and a record of which of them an architecture took."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.exceptions import CheckpointError

Tensor = NDArray[np.float32]


class StateDict:
    """Tensors by name. A builder takes each once by `take`, and ends with `finish`.

    A misfit is noted, not raised at once, so that the complaint lists all of them.

    Attributes:
        name: of the checkpoint, for errors.
    """

    def __init__(self, name: str, tensors: Mapping[str, NDArray[np.generic]]) -> None:
        self.name = name
        self._tensors = tensors
        self._taken: set[str] = set()
        self._missing: list[str] = []
        self._misfits: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._tensors

    def shape(self, key: str) -> tuple[int, ...] | None:
        """Shape of a tensor, for an architecture that comes in several sizes; none where there is no such one."""
        tensor = self._tensors.get(key)
        return None if tensor is None else tensor.shape

    def take(self, key: str, *shape: int) -> Tensor:
        """The tensor of that name, float32 of that shape; zeros where the checkpoint has no such one."""
        self._taken.add(key)
        tensor = self._tensors.get(key)
        if tensor is None:
            self._missing.append(key)
        elif tensor.shape != shape:
            self._misfits.append(f"{key} {list(tensor.shape)} instead of {list(shape)}")
        elif not np.issubdtype(tensor.dtype, np.floating):
            self._misfits.append(f"{key} of {tensor.dtype} instead of floats")
        else:
            taken = np.asarray(tensor, np.float32)
            if np.isfinite(taken).all():
                return taken
            self._misfits.append(f"{key} with NaN or infinity")
        return np.zeros(shape, np.float32)

    def take_variance(self, key: str, width: int) -> Tensor:
        """A tensor [width] of which none may be below 0."""
        taken = self.take(key, width)
        if (taken < 0).any():
            self._misfits.append(f"{key} with variances below 0")
            return np.zeros(width, np.float32)
        return taken

    def skip(self, prefix: str) -> None:
        """Let the tensors whose names begin so be there unused."""
        self._taken.update(key for key in self._tensors if key.startswith(prefix))

    def finish(self) -> None:
        """Make sure that the checkpoint was this architecture's.

        Raises:
            CheckpointError: listing the tensors that are missing, unexpected and misshapen.
        """
        unexpected = sorted(self._tensors.keys() - self._taken)
        lists = {"missing": self._missing, "unexpected": unexpected, "misshapen": self._misfits}
        problems = [f"{what}: {', '.join(dict.fromkeys(keys))}" for what, keys in lists.items() if keys]
        if problems:
            raise CheckpointError(self.name, "tensors", "; ".join(problems))
