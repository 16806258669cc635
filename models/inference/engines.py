"""TensorRT engines, built once a node and kept: building one takes minutes, loading it a second.

ONNX Runtime writes engines and timings into a folder and finds them there again, and believes what it finds
(https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html, "TensorRT EP Caches"). So the folder's
name says all that an engine depends on, one process at a time has it, and a mark tells what was whole when it was left.
"""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from models.exceptions import OutOfMemory
from models.inference.installed import DISTRIBUTIONS
from models.manifest import Entry
from models.sources import locked, replacing

_log = logging.getLogger(__name__)

_MARK = "built.json"
_UNUSED_S = 30 * 86_400.0
_TENSORRT = ("tensorrt-cu13", "tensorrt-cu12", "tensorrt")


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """What an engine depends on beside its graph."""

    gpu: str
    compute_capability: str
    driver: str
    onnxruntime: str
    tensorrt: str


def read_gpu_facts() -> GpuFacts | None:
    """Return the facts of the first device that this process sees; none without NVML, a device, or TensorRT."""
    tensorrt = _version_of(_TENSORRT)
    runtime = _version_of(tuple(DISTRIBUTIONS))
    try:
        nvml: Any = import_module("pynvml")
    except ImportError:
        return None
    if tensorrt is None or runtime is None:
        return None
    from models.inference.meter import visible_device  # noqa: PLC0415  (only where there is NVML)

    try:
        nvml.nvmlInit()
        handle = visible_device(nvml)
        major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
        name, driver = nvml.nvmlDeviceGetName(handle), nvml.nvmlSystemGetDriverVersion()
    except nvml.NVMLError:
        return None
    return GpuFacts(str(name), f"{major}.{minor}", str(driver), runtime, tensorrt)


def _version_of(distributions: tuple[str, ...]) -> str | None:
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


@dataclass(frozen=True, slots=True)
class EngineFolder:
    """Where the engines of one entry lie.

    Attributes:
        path: the folder.
        warm: whether they are there already; empty otherwise.
    """

    path: Path
    warm: bool


class EngineCache:
    """The engines of a node.

    Args:
        root: made where it is not there.
        facts: of the device and the libraries that build them.
        now: seconds since 1970.
    """

    def __init__(self, root: Path, facts: GpuFacts, now: Callable[[], float] = time.time) -> None:
        self._root = root
        self._facts = facts
        self._now = now

    @contextmanager
    def folder(self, entry: Entry, graph: Path) -> Iterator[EngineFolder]:
        """Give the folder of an entry's engines, to this process alone; other processes wait.

        What is in it is whole: an engine that was left half-written, or has changed since, is gone. Where the block
        fails nothing is kept, unless it is memory that was short. Engines of the same entry that nobody has used for a
        month, since other versions build others, are removed.

        Args:
            entry: what is opened.
            graph: its prepared graph.
        """
        of_entry = self._root / entry.name
        of_entry.mkdir(parents=True, exist_ok=True)
        wanted = self._key(entry, graph)
        path = of_entry / hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
        with locked(path):
            warm = _is_whole(path)
            if not warm:
                if path.exists():
                    _log.warning("%s: its TensorRT engines in %s are not whole, and are built anew", entry.name, path)
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
            try:
                yield EngineFolder(path, warm)
            except OutOfMemory:
                if not _is_whole(path):
                    shutil.rmtree(path, ignore_errors=True)
                raise
            except BaseException:
                shutil.rmtree(path, ignore_errors=True)
                raise
            _mark(path, wanted)
            self._clean(of_entry, path)

    def _key(self, entry: Entry, graph: Path) -> Mapping[str, object]:
        with graph.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return asdict(self._facts) | {
            "graph": digest,
            "precision": entry.precision.value,
            "buckets": list(entry.buckets),
        }

    def _clean(self, of_entry: Path, kept: Path) -> None:
        for other in of_entry.iterdir():
            mark = other / _MARK
            # The mark is written anew with each use.
            if other != kept and mark.is_file() and self._now() - mark.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(other, ignore_errors=True)


def _files(path: Path) -> Mapping[str, str]:
    """Checksums of a folder's files, the mark aside."""
    found = {}
    for file in sorted(path.iterdir()):
        if file.is_file() and file.name != _MARK:
            with file.open("rb") as content:
                found[file.name] = hashlib.file_digest(content, "sha256").hexdigest()
    return found


def _is_whole(path: Path) -> bool:
    try:
        mark = json.loads((path / _MARK).read_text("utf-8"))
        return bool(mark["files"] == _files(path))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _mark(path: Path, of: Mapping[str, object]) -> None:
    content = json.dumps({"of": of, "files": _files(path)}, indent=1).encode()
    with replacing(path / _MARK) as file:
        file.write(content)
