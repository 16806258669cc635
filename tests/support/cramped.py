"""A device with little memory: runs of more than a few crops fail as ONNX Runtime's do on a full one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

from models.inference.session import Session

FULL = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. Name:'' "
    "Status Message: bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, "
    "onnxruntime::Stream*) Failed to allocate memory for requested buffer of size 8388608000"
)


class Cramped:
    """A session with room for so many crops."""

    def __init__(self, inner: InferenceSession, room: int) -> None:
        self.inner = inner
        self.room = room
        self.batches: list[int] = []

    def run(self, outputs: Sequence[str], feeds: dict[str, NDArray[np.uint8]], options: object) -> object:
        """Run it, or raise what ONNX Runtime raises."""
        (images,) = feeds.values()
        self.batches.append(len(images))
        if len(images) > self.room:
            raise RuntimeException(FULL)
        return self.inner.run(outputs, feeds, options)


def cramp(session: Session, room: int) -> Cramped:
    """Take memory from a session that is open."""
    device = Cramped(session._session, room)
    session._session = device
    return device
