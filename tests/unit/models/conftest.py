"""The real models, pulled once into the ordinary cache, and faces from the shared data."""

import os
from pathlib import Path

import pytest

from models.faces import FaceDetector
from models.graph import prepare
from models.manifest import Manifest
from models.sources import default_cache, resolve

DATA = Path(os.environ.get("FLEET_DATA") or Path(__file__).parents[4] / "shared" / "data")


@pytest.fixture(scope="session")
def data() -> Path:
    if not (DATA / "faces").is_dir():
        pytest.skip(f"no shared data at {DATA}: set FLEET_DATA")
    return DATA


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    return Manifest.load()


@pytest.fixture(scope="session")
def detector(manifest: Manifest) -> FaceDetector:
    entry = manifest.entry("centerface")
    return FaceDetector(entry, prepare(entry, resolve(entry, default_cache()), default_cache()), threads=2)
