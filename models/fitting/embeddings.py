"""Embeddings of crops, kept by content so that fitting again is quick."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.fitting.faces import OnStep
from models.fitting.speed import median_seconds
from models.graph import fold_encoder
from models.inference.providers import open_session
from models.manifest import Entry
from models.sources import replacing, resolve

Embeddings = NDArray[np.float32]
SAVED_EVERY = 1000


class Encoder:
    """An entry's encoder without its head, and the embeddings that it gave before.

    Args:
        entry: with output layout `embedding`.
        weights: cache of the models.
        cache: folder for the encoder's graph and the embeddings.
    """

    def __init__(self, entry: Entry, weights: Path, cache: Path) -> None:
        graph = fold_encoder(entry, resolve(entry, weights)).SerializeToString(deterministic=True)
        name = hashlib.sha256(graph).hexdigest()[:16]
        cache.mkdir(parents=True, exist_ok=True)
        self._graph = cache / f"encoder-{name}.onnx"
        with replacing(self._graph) as file:
            file.write(graph)
        self._entry = entry
        self._session = open_session(entry, self._graph).session
        self._input = self._session.get_inputs()[0].name
        self._kept = cache / f"embeddings-{name}.npz"
        self._known: dict[bytes, Embeddings] = {}
        if self._kept.exists():
            with np.load(self._kept) as arrays:
                self._known = dict(zip(map(bytes, arrays["digests"]), arrays["embeddings"], strict=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.save()

    def embed(self, crops: Sequence[NDArray[np.uint8]], step: str, on_step: OnStep) -> Embeddings:
        """Unit embeddings float32 [len(crops), D] of crops uint8 [S, S, 3]."""
        embedded = []
        for done, crop in enumerate(crops, 1):
            digest = hashlib.sha256(crop.tobytes()).digest()
            if digest not in self._known:
                self._known[digest] = self._session.run(None, {self._input: crop[None]})[0][0]
                if len(self._known) % SAVED_EVERY == 0:
                    self.save()
            embedded.append(self._known[digest])
            on_step(f"embeddings {step}", done, len(crops))
        return np.stack(embedded)

    def seconds(self, threads: int) -> float:
        """Median time of one crop on so many threads."""
        session = open_session(self._entry, self._graph, threads=threads).session
        side = self._entry.input.size or 0
        crop = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        return median_seconds(lambda: session.run(None, {self._input: crop}))

    def save(self) -> None:
        """Write all embeddings known."""
        digests = np.frombuffer(b"".join(self._known), np.uint8).reshape(len(self._known), -1)
        with replacing(self._kept) as file:
            np.savez(file, digests=digests, embeddings=np.stack(list(self._known.values())))
