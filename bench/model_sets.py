"""The models that are measured: a tiny detector, which leaves the face detector alone, and the fleet's own."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from models.exceptions import ModelError
from models.heads import Head, load_head
from models.manifest import MANIFEST, Manifest
from tests.support.tiny_models import write_manifest

_CLIP_DIMENSIONS = 512
"""Of the image embedding of CLIP ViT-B/16 (https://arxiv.org/abs/2103.00020, table 20)."""


@dataclass(frozen=True, slots=True)
class ModelSet:
    """A manifest and what to say of it."""

    name: str
    manifest: Path
    remark: str


def tiny(folder: Path) -> ModelSet:
    """CenterFace, and a detector that takes no time."""
    return ModelSet("CenterFace only", write_manifest(folder), "CenterFace and a detector of three nodes")


def fleet(folder: Path) -> ModelSet:
    """The manifest of the fleet. Where a head is not committed yet, one of random numbers stands in: equal work."""
    missing = [entry for entry in Manifest.load().entries if entry.head is not None and not _usable(entry.name)]
    names = ", ".join(entry.name for entry in Manifest.load().entries)
    if not missing:
        return ModelSet("the fleet's models", MANIFEST, names)
    document = yaml.safe_load(MANIFEST.read_text())
    for entry in document["entries"]:
        if entry["name"] in {each.name for each in missing}:
            weights = np.random.default_rng(0).normal(size=_CLIP_DIMENSIONS).astype(np.float32)
            content = Head(weights, 0.0).to_bytes()
            path = folder / f"{entry['name']}.npz"
            path.write_bytes(content)
            entry["head"] = {"path": str(path), "sha256": hashlib.sha256(content).hexdigest()}
    manifest = folder / "manifest.yaml"
    manifest.write_text(yaml.safe_dump(document, sort_keys=False))
    stood_in = ", ".join(entry.name for entry in missing)
    remark = f"{names}; the committed head of {stood_in} is missing, random numbers of its size stand in for it"
    return ModelSet("the fleet's models", manifest, remark)


def _usable(name: str) -> bool:
    spec = Manifest.load().entry(name).head
    try:
        if spec is not None:
            load_head(name, spec)
    except ModelError:
        return False
    return True
