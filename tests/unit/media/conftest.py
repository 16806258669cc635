"""What tests of media share: a folder of media, a fetcher on it, a pool of decoders, a web server."""

from collections.abc import Iterator

import pytest

from agents.media.fetch import Fetcher
from agents.media.policy import FetchPolicy
from agents.media.sandbox import DecoderPool
from agents.media.sandbox_policy import SandboxPolicy
from tests.support.media import MediaFolder
from tests.unit.media.web import Web


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> MediaFolder:
    return MediaFolder(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="session")
def fetcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetcher]:
    with Fetcher(FetchPolicy(roots=(tmp_path_factory.getbasetemp(),))) as fetcher:
        yield fetcher


@pytest.fixture(scope="session")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(SandboxPolicy(workers=1, max_side=8192, ring_slots=4)) as pool:
        yield pool


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as web:
        yield web
