"""Files of the safetensors format (https://huggingface.co/docs/safetensors), by its own package."""

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from models.checkpoints.torch_files import Tensors
from models.exceptions import CheckpointError


def read_safetensors(content: bytes, name: str) -> Tensors:
    """The tensors of a file by name.

    Raises:
        CheckpointError: broken, or with numbers of a type that NumPy has not.
    """
    try:
        return {key: np.asarray(tensor) for key, tensor in load(content).items()}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(name, "file", f"is no safetensors file that can be read: {error}") from error
