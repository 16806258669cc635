"""Make golden vectors: what an entry answers, or the fp32 network that it was quantised from."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray

from models.faces import FaceDetector
from models.golden import FRAME, Golden, Pictures, pictures
from models.graph import prepare
from models.inference.provider_options import CPU
from models.inference.session import Session
from models.inference.watchdog import DEFAULT_LIMIT_S
from models.manifest import Entry, GoldenSpec
from models.manifest_text import with_golden
from models.sources import replacing

FOLDER = "golden"
"""Beside the manifest."""
LEAST, LEAST_QUANTISED = 0.01, 0.3
"""Tolerance of logits and scores at least. Sums of eight bits differ between generations of processors."""
_SPARE = 2.0
"""A tolerance is so many times what quantisation was seen to change."""


@dataclass(frozen=True, slots=True)
class Made:
    """A golden vector, and what it would notice."""

    golden: Golden
    quantisation: float
    """Largest difference to the fp32 network; 0 where it is one itself."""
    colours: float
    """Largest difference that swapped colours make."""


def make_golden(entry: Entry, weights: Path, reference: Path | None = None, limit_s: float = DEFAULT_LIMIT_S) -> Made:
    """Answer the golden pictures on the CPU.

    Args:
        entry: whose vector is made.
        weights: its network.
        reference: the same network in fp32, where `weights` is quantised.
        limit_s: how long an answer may take, seconds.

    Raises:
        GraphInvalid, InferenceError: a network does not serve.
    """
    images = pictures(entry.input.size or FRAME)
    bare = entry.model_copy(update={"golden": None})
    with TemporaryDirectory(prefix="fleet-golden-") as folder:
        answer = _answering(bare, weights, Path(folder), limit_s)
        own, swapped = answer(images), answer(np.ascontiguousarray(images[..., ::-1]))
        # The reference goes under another name: a prepared graph is found by the hash of what its entry names.
        answers = own
        if reference is not None:
            answers = _answering(_renamed(bare, reference), reference, Path(folder), limit_s)(images)
    difference = float(np.abs(answers - own).max())
    least = LEAST_QUANTISED if _quantised(weights) else LEAST
    golden = Golden(images, answers, round(max(least, _SPARE * difference), 4))
    return Made(golden, difference, golden.difference(swapped))


def with_vector(entry: Entry, golden: Golden, home: Path) -> Entry:
    """Return the entry with a golden vector beside the manifest in `home`, which is not written yet."""
    digest = hashlib.sha256(golden.to_bytes()).hexdigest()
    spec = GoldenSpec(path=home / FOLDER / f"{entry.name}.npz", sha256=digest, tolerance=golden.tolerance)
    return entry.model_copy(update={"golden": spec})


def keep_golden(entry: Entry, golden: Golden, home: Path) -> Entry:
    """Write a golden vector beside the manifest in `home`, and return the entry that names it."""
    kept = with_vector(entry, golden, home)
    path = home / FOLDER / f"{entry.name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(golden.to_bytes())
    return kept


def renew_golden(path: Path, entry: Entry, weights: Path, reference: Path | None = None) -> Made:
    """Make an entry's golden vector and put it into the manifest file at `path`.

    Raises:
        ManifestError: the file itself has no such entry.
        GraphInvalid, InferenceError: see `make_golden`.
    """
    made = make_golden(entry, weights, reference)
    kept = keep_golden(entry, made.golden, path.parent)
    path.write_text(with_golden(path.read_text(encoding="utf-8"), kept, path.parent), encoding="utf-8")
    return made


def _answering(entry: Entry, weights: Path, folder: Path, limit_s: float) -> Callable[[Pictures], NDArray[np.float32]]:
    graph = prepare(entry, weights, folder)
    if entry.input.size is None:
        return FaceDetector(entry, graph, provider=CPU, limit_s=limit_s).scores
    session = Session(entry, graph, provider=CPU, warm_up=False, limit_s=limit_s)
    return lambda images: session.run(images)[:, None]


def _renamed(entry: Entry, reference: Path) -> Entry:
    digest = hashlib.sha256(reference.read_bytes()).hexdigest()
    return entry.model_copy(update={"source": entry.source.model_copy(update={"sha256": digest})})


def _quantised(weights: Path) -> bool:
    graph = onnx.load(weights, load_external_data=False).graph
    return any(node.op_type in {"QuantizeLinear", "DynamicQuantizeLinear"} for node in graph.node)
