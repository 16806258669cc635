"""`file://` gives regular files under the allowed folders, and nothing else."""

import os
from pathlib import Path

import pytest

from agents.media.exceptions import MediaError, MediaErrorKind
from agents.media.fetch import Fetcher
from agents.media.policy import FetchPolicy
from agents.media.source import sha256

SHA256_OF_HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "hello").write_bytes(b"hello")
    return root


@pytest.fixture
def fetcher(root: Path) -> Fetcher:
    return Fetcher(FetchPolicy(roots=(root,), max_bytes=100))


def refusal(fetcher: Fetcher, uri: str) -> tuple[MediaErrorKind, str]:
    with pytest.raises(MediaError) as caught:
        fetcher.open(uri)
    assert not caught.value.transient
    return caught.value.kind, caught.value.reason


def test_a_file_is_read_at_any_place(fetcher: Fetcher, root: Path) -> None:
    with fetcher.open((root / "hello").as_uri()) as source:
        assert source.size == 5
        assert source.read_at(1, 3) == b"ell"
        assert source.read_at(3, 100) == b"lo"
        assert source.read_at(5, 1) == b""
        assert source.bytes_read == 5
        assert sha256(source) == SHA256_OF_HELLO
        fd = source.local_fd()
        assert fd is not None
        assert os.pread(fd, 5, 0) == b"hello"
    assert source.local_fd() is None
    with pytest.raises(ValueError, match="closed"):
        source.read_at(0, 1)


def test_names_are_unescaped_and_relative_steps_judged_by_where_they_lead(fetcher: Fetcher, root: Path) -> None:
    (root / "a b#c?d").write_bytes(b"x")
    assert fetcher.open(f"file://{root}/a%20b%23c%3Fd").size == 1
    assert fetcher.open(f"file://localhost{root}/../root/hello").size == 5
    assert refusal(fetcher, f"file://{root}/../secret")[0] == "forbidden"


def test_the_etag_changes_with_the_file(fetcher: Fetcher, root: Path) -> None:
    uri = (root / "hello").as_uri()
    before = fetcher.open(uri).etag
    assert before == fetcher.open(uri).etag
    os.utime(root / "hello", ns=(1, 1))
    assert fetcher.open(uri).etag != before


@pytest.mark.parametrize("path", ["/etc/passwd", "/", "/root-elsewhere", "/etc/there-is-no-such-file"])
def test_paths_outside_are_forbidden_whether_they_exist_or_not(fetcher: Fetcher, path: str) -> None:
    assert refusal(fetcher, f"file://{path}")[0] == "forbidden"


def test_a_folder_whose_name_begins_like_a_root_is_outside(fetcher: Fetcher, root: Path) -> None:
    (root.parent / "rootless").write_bytes(b"x")
    assert refusal(fetcher, (root.parent / "rootless").as_uri())[0] == "forbidden"


def test_symbolic_links_are_judged_by_where_they_lead(fetcher: Fetcher, root: Path) -> None:
    (root.parent / "secret").write_bytes(b"secret")
    (root / "out").symlink_to(root.parent / "secret")
    (root / "up").symlink_to(root.parent)
    (root / "in").symlink_to(root / "hello")
    (root / "dangling").symlink_to(root.parent / "nothing")
    assert refusal(fetcher, (root / "out").as_uri())[0] == "forbidden"
    assert refusal(fetcher, (root / "up/secret").as_uri())[0] == "forbidden"
    assert refusal(fetcher, (root / "dangling").as_uri())[0] == "forbidden"
    assert fetcher.open((root / "in").as_uri()).read_at(0, 5) == b"hello"


def test_only_regular_files_are_opened_and_a_fifo_does_not_block(fetcher: Fetcher, root: Path) -> None:
    os.mkfifo(root / "fifo")
    for name in ("fifo", "."):
        kind, reason = refusal(fetcher, f"file://{root}/{name}")
        assert kind == "forbidden"
        assert "not a regular file" in reason


def test_a_missing_file_is_unreachable_and_a_big_one_too_large(fetcher: Fetcher, root: Path) -> None:
    (root / "big").write_bytes(bytes(101))
    assert refusal(fetcher, (root / "missing").as_uri())[0] == "unreachable"
    assert refusal(fetcher, (root / "big").as_uri())[0] == "too_large"


def test_a_file_that_shrinks_while_it_is_read_is_an_error(fetcher: Fetcher, root: Path) -> None:
    source = fetcher.open((root / "hello").as_uri())
    os.truncate(root / "hello", 2)
    with pytest.raises(MediaError, match="shrank") as caught:
        source.read_at(0, 5)
    assert (caught.value.kind, caught.value.transient) == ("unreachable", True)


@pytest.mark.parametrize(
    "uri",
    ["ftp://h/x", "gopher://h/x", "data:,x", "hello", "/etc/passwd", "simplecache::file:///etc/passwd", "", "s3://b/k"],
)
def test_other_schemes_are_forbidden(fetcher: Fetcher, uri: str) -> None:
    assert refusal(fetcher, uri)[0] == "forbidden"


def test_a_file_of_another_host_is_forbidden(fetcher: Fetcher, root: Path) -> None:
    assert refusal(fetcher, f"file://server{root}/hello")[0] == "forbidden"


def test_no_root_means_no_file(root: Path) -> None:
    assert refusal(Fetcher(FetchPolicy()), (root / "hello").as_uri())[0] == "forbidden"


def test_a_name_with_a_zero_byte_is_no_crash(fetcher: Fetcher, root: Path) -> None:
    assert refusal(fetcher, f"file://{root}/hel%00lo")[0] == "forbidden"
