"""A linear head: the few kilobytes that turn an encoder's embedding into a logit of "fake"."""

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.exceptions import GraphInvalid, HashMismatch, WeightsMissing
from models.manifest import HeadSpec


@dataclass(frozen=True, slots=True)
class Head:
    """`logit = weight · embedding / |embedding| + bias`; weight float32 [D]. Grows with "fake"."""

    weight: NDArray[np.float32]
    bias: float

    def to_bytes(self) -> bytes:
        """The head as an `.npz` file; the same head always gives the same bytes."""
        file = io.BytesIO()
        np.savez(file, weight=self.weight.astype(np.float32), bias=np.float32(self.bias))
        return file.getvalue()


def load_head(entry: str, spec: HeadSpec) -> Head:
    """Read and check a head file.

    Raises:
        WeightsMissing, HashMismatch, GraphInvalid: naming `entry` and the field.
    """
    try:
        content = spec.path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsMissing(entry, "head.path", f"{spec.path} does not exist") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != spec.sha256:
        problem = f"{spec.path} has {digest}, the manifest says {spec.sha256}"
        raise HashMismatch(entry, "head.sha256", problem)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            weight, bias = arrays["weight"], arrays["bias"]
    except (ValueError, KeyError, OSError, TypeError) as error:
        raise GraphInvalid(entry, "head.path", f"{spec.path} holds no `weight` and `bias`: {error}") from error
    if weight.ndim != 1 or weight.dtype != np.float32 or bias.shape != ():
        problem = f"wants weight float32 [D] and bias [], has {weight.dtype} {weight.shape} and {bias.shape}"
        raise GraphInvalid(entry, "head.path", problem)
    if not (np.isfinite(weight).all() and np.isfinite(bias) and weight.any()):
        raise GraphInvalid(entry, "head.path", "weight and bias must be finite, and weight not all zero")
    return Head(weight, float(bias))
