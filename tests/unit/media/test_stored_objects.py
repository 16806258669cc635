"""Objects in stores are read through fsspec, by ranges, where the policy names their scheme."""

from collections.abc import Iterator

import fsspec
import pytest

from agents.media.exceptions import MediaError
from agents.media.fetch import Fetcher
from agents.media.policy import FetchPolicy
from agents.media.source import sha256

BODY = bytes(range(256)) * 100


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bucket/clip", BODY)
    policy = FetchPolicy(schemes=frozenset({"memory", "nodriver"}), block_bytes=1024, max_bytes=50_000)
    with Fetcher(policy) as fetcher:
        yield fetcher
    memory.store.clear()


def failure(fetcher: Fetcher, uri: str) -> MediaError:
    with pytest.raises(MediaError) as caught:
        fetcher.open(uri)
    return caught.value


def test_an_object_is_read_by_ranges(fetcher: Fetcher) -> None:
    with fetcher.open("memory://bucket/clip") as source:
        assert source.size == len(BODY)
        assert source.etag is not None
        assert source.read_at(5000, 300) == BODY[5000:5300]
        assert source.bytes_read == 2048
        assert len(sha256(source)) == 64
        assert source.bytes_read == len(BODY)


def test_progress_of_hashing_is_told(fetcher: Fetcher) -> None:
    told: list[tuple[int, int]] = []
    with fetcher.open("memory://bucket/clip") as source:
        sha256(source, lambda done, size: told.append((done, size)))
    assert told == [(len(BODY), len(BODY))]


def test_what_cannot_be_read_is_typed(fetcher: Fetcher) -> None:
    fsspec.filesystem("memory").pipe_file("/bucket/big", bytes(50_001))
    assert failure(fetcher, "memory://bucket/none").kind == "unreachable"
    assert failure(fetcher, "memory://bucket/big").kind == "too_large"
    assert failure(fetcher, "memory://bucket").kind == "forbidden"
    assert failure(fetcher, "nodriver://bucket/x").kind == "unsupported"


def test_an_object_that_vanishes_or_shrinks_is_unreachable(fetcher: Fetcher) -> None:
    memory = fsspec.filesystem("memory")
    with fetcher.open("memory://bucket/clip") as source:
        memory.pipe_file("/bucket/clip", BODY[:2000])
        with pytest.raises(MediaError, match="changed") as caught:
            source.read_at(20_000, 10)
        assert caught.value.transient
        memory.rm("/bucket/clip")
        with pytest.raises(MediaError, match="does not exist"):
            source.read_at(10_000, 10)


@pytest.mark.parametrize("scheme", ["local", "simplecache", "filecache", "ftp", "sftp", "github", "reference", "zip"])
def test_drivers_that_reach_elsewhere_are_refused_even_when_the_policy_names_them(scheme: str) -> None:
    with Fetcher(FetchPolicy(schemes=frozenset({scheme}))) as fetcher:
        assert failure(fetcher, f"{scheme}:///etc/passwd").kind == "forbidden"


def test_credentials_are_not_in_the_policys_repr() -> None:
    assert "SECRET" not in repr(FetchPolicy(storage_options={"s3": {"secret": "SECRET"}}))
