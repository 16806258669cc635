"""The models that are measured: a tiny detector, which leaves the face detector alone, and the fleet's own."""

from dataclasses import dataclass
from pathlib import Path

from models.manifest import MANIFEST, Manifest
from tests.support.tiny_models import write_manifest


@dataclass(frozen=True, slots=True)
class ModelSet:
    """A manifest and what to say of it."""

    name: str
    manifest: Path
    remark: str


def tiny(folder: Path) -> ModelSet:
    """CenterFace, and a detector that takes no time."""
    return ModelSet("CenterFace only", write_manifest(folder), "CenterFace and a detector of three nodes")


def fleet() -> ModelSet:
    """The models that a worker of the fleet loads."""
    return ModelSet("the fleet's models", MANIFEST, ", ".join(entry.name for entry in Manifest.load().chosen()))
