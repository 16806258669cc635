"""`http://` objects are read by ranges, at one version, under every limit."""

import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.media.exceptions import MediaError
from agents.media.fetch import Fetcher
from agents.media.policy import FetchPolicy
from agents.media.source import FileSource, sha256
from tests.unit.media.web import Page, Request, Web, closed_port

BODY = bytes(index * 7 % 251 for index in range(100_000))
POLICY = FetchPolicy(
    allow_private_addresses=True,
    attempts=3,
    backoff_s=0.5,
    connect_timeout_s=2.0,
    read_timeout_s=0.3,
    block_bytes=4096,
    cache_bytes=4096 * 100,
    read_ahead_bytes=0,
    max_bytes=1_000_000,
    max_redirects=3,
)


def changed(**fields: object) -> FetchPolicy:
    values = {name: getattr(POLICY, name) for name in FetchPolicy.__slots__}
    return FetchPolicy(**(values | fields))


@pytest.fixture
def naps() -> list[float]:
    return []


@pytest.fixture
def fetcher(naps: list[float]) -> Iterator[Fetcher]:
    with Fetcher(POLICY, sleep=naps.append) as fetcher:
        yield fetcher


def in_turn(*pages: Page) -> Page:
    """A page that answers as each of these, one after the other."""
    left = iter(pages)

    def page(request: Request) -> None:
        next(left)(request)

    return page


def failure(fetcher: Fetcher, url: str) -> MediaError:
    with pytest.raises(MediaError) as caught:
        fetcher.open(url)
    return caught.value


def test_ranges_give_the_object_and_only_what_is_asked_for_is_fetched(web: Web, fetcher: Fetcher) -> None:
    with fetcher.open(web.serve("/v", BODY, ETag='"1"')) as source:
        assert (source.size, source.etag, source.local_fd()) == (len(BODY), '"1"', None)
        assert source.read_at(0, 10) == BODY[:10]
        assert source.read_at(50_000, 5000) == BODY[50_000:55_000]
        assert source.read_at(99_990, 100) == BODY[-10:]
        assert source.bytes_read == 4096 * 3 + len(BODY) % 4096
        assert source.read_at(49_200, 100) == BODY[49_200:49_300]
        assert source.bytes_read == 4096 * 3 + len(BODY) % 4096
    assert [headers["range"] for _, headers in web.asked] == [
        "bytes=0-4095",
        "bytes=49152-57343",
        f"bytes=98304-{len(BODY) - 1}",
    ]
    assert "if-range" not in web.asked[0][1]
    assert web.asked[1][1]["if-range"] == '"1"'
    assert web.asked[0][1]["accept-encoding"] == "identity"


def test_connections_are_kept(web: Web, fetcher: Fetcher) -> None:
    ports: set[int] = set()
    serve = web.serve("/v", BODY, ETag='"1"')
    page = web.pages["/v"]

    def noting(request: Request) -> None:
        ports.add(request.client_address[1])
        page(request)

    web.pages["/v"] = noting
    with fetcher.open(serve) as source:
        assert sha256(source)
        source.read_at(0, 1)
    assert len(ports) == 1


def test_sources_of_one_version_share_what_was_read(web: Web, fetcher: Fetcher) -> None:
    url = web.serve("/v", BODY, ETag='"1"')
    with fetcher.open(url) as first, fetcher.open(url) as second:
        first.read_at(8192, 100)
        assert second.read_at(8192, 100) == BODY[8192:8292]
        assert second.bytes_read == 4096
    web.serve("/v", BODY[::-1], ETag='"2"')
    with fetcher.open(url) as third:
        assert third.read_at(8192, 100) == BODY[::-1][8192:8292]


def test_reading_on_reads_ahead_more_and_more(web: Web) -> None:
    with Fetcher(changed(read_ahead_bytes=4096 * 4)) as fetcher, fetcher.open(web.serve("/v", BODY)) as source:
        for start in range(0, 65_536, 4096):
            source.read_at(start, 4096)
    lengths = [int(h["range"].split("-")[1]) - int(h["range"][6:].split("-")[0]) + 1 for _, h in web.asked]
    assert [length // 4096 for length in lengths] == [1, 1, 2, 3, 5, 5]


def test_many_threads_fetch_each_block_once(web: Web, fetcher: Fetcher) -> None:
    with fetcher.open(web.serve("/v", BODY, ETag='"1"')) as source:
        wrong: list[int] = []

        def read(seed: int) -> None:
            for step in range(40):
                start = (seed * 977 + step * 3571) % 90_000
                if source.read_at(start, 9000) != BODY[start : start + 9000]:
                    wrong.append(start)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert source.bytes_read <= len(BODY)


def test_an_empty_object_is_empty(web: Web, fetcher: Fetcher) -> None:
    assert fetcher.open(web.serve("/v", b"")).size == 0
    web.pages["/w"] = lambda request: request.answer(200)
    assert fetcher.open(web.url("/w")).size == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_a_server_without_ranges_is_read_once_into_a_file(web: Web, fetcher: Fetcher, chunked: bool) -> None:
    def page(request: Request) -> None:
        if chunked:
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            for start in range(0, len(BODY), 30_000):
                part = BODY[start : start + 30_000]
                request.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            request.wfile.write(b"0\r\n\r\n")
        else:
            request.answer(200, BODY)

    web.pages["/v"] = page
    with fetcher.open(web.url("/v")) as source:
        assert isinstance(source, FileSource)
        assert source.read_at(50_000, 10) == BODY[50_000:50_010]
        assert source.bytes_read >= len(BODY)
    assert len(web.asked) == 1


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_too_large(web: Web, announced: bool) -> None:
    def page(request: Request) -> None:
        if announced:
            request.answer(200, BODY)
        else:
            request.send_response(200)
            request.send_header("Connection", "close")
            request.end_headers()
            request.close_connection = True
            request.wfile.write(BODY * 20)

    web.pages["/v"] = page
    with Fetcher(changed(max_bytes=50_000)) as fetcher:
        assert failure(fetcher, web.url("/v")).kind == "too_large"
        assert failure(fetcher, web.serve("/w", BODY)).kind == "too_large"


@pytest.mark.parametrize(("status", "transient"), [(404, False), (403, False), (410, False), (500, True), (503, True)])
def test_an_error_of_the_server_is_unreachable(
    web: Web, fetcher: Fetcher, naps: list[float], status: int, transient: bool
) -> None:
    web.pages["/v"] = lambda request: request.answer(status)
    error = failure(fetcher, web.url("/v"))
    assert (error.kind, error.transient) == ("unreachable", transient)
    assert str(status) in error.reason
    assert naps == ([0.5, 1.0] if transient else [])


def test_a_transient_error_is_tried_again(web: Web, fetcher: Fetcher) -> None:
    web.serve("/good", BODY)
    web.pages["/v"] = in_turn(lambda request: request.answer(503), web.pages["/good"])
    assert fetcher.open(web.url("/v")).read_at(0, 5) == BODY[:5]


def test_a_refused_connection_is_unreachable(fetcher: Fetcher, naps: list[float]) -> None:
    error = failure(fetcher, f"http://127.0.0.1:{closed_port()}/v")
    assert (error.kind, error.transient) == ("unreachable", True)
    assert "refuses" in error.reason
    assert len(naps) == 2


@pytest.mark.parametrize("when", ["before the head", "in the body"])
def test_a_server_that_falls_silent_is_given_up(web: Web, when: str) -> None:
    done = threading.Event()

    def page(request: Request) -> None:
        if when == "in the body":
            request.send_response(206)
            request.send_header("Content-Length", "4096")
            request.send_header("Content-Range", f"bytes 0-4095/{len(BODY)}")
            request.end_headers()
            request.wfile.write(BODY[:100])
            request.wfile.flush()
        done.wait(10)

    web.pages["/v"] = page
    with Fetcher(changed(attempts=1)) as fetcher:
        error = failure(fetcher, web.url("/v"))
    done.set()
    assert (error.kind, error.transient) == ("unreachable", True)
    assert "silent" in error.reason


def test_a_body_that_trickles_is_cut_at_its_time(web: Web) -> None:
    stop = threading.Event()

    def page(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        while not stop.wait(0.05):
            request.wfile.write(b"x")

    web.pages["/v"] = page
    with Fetcher(changed(attempts=1, request_timeout_s=0.4)) as fetcher:
        error = failure(fetcher, web.url("/v"))
    stop.set()
    assert "too slowly" in error.reason


def test_redirects_are_followed_and_the_last_address_is_remembered(web: Web, fetcher: Fetcher) -> None:
    web.serve("/end", BODY, ETag='"1"')
    web.pages["/a"] = lambda request: request.answer(302, Location="/b")
    web.pages["/b"] = lambda request: request.answer(307, Location=web.url("/end", "?token=1"))
    with fetcher.open(web.url("/a")) as source:
        assert source.read_at(50_000, 5) == BODY[50_000:50_005]
    assert [path for path, _ in web.asked] == ["/a", "/b", "/end", "/end"]


def test_an_expired_redirect_is_walked_anew(web: Web, fetcher: Fetcher) -> None:
    web.serve("/one", BODY, ETag='"1"')
    web.pages["/v"] = lambda request: request.answer(302, Location="/one")
    with fetcher.open(web.url("/v")) as source:
        web.serve("/two", BODY, ETag='"1"')
        web.pages["/v"] = lambda request: request.answer(302, Location="/two")
        web.pages["/one"] = lambda request: request.answer(403)
        assert source.read_at(50_000, 5) == BODY[50_000:50_005]


def test_a_redirect_loop_ends(web: Web, fetcher: Fetcher) -> None:
    web.pages["/v"] = lambda request: request.answer(302, Location="/v")
    error = failure(fetcher, web.url("/v"))
    assert (error.kind, error.transient) == ("unreachable", False)
    assert "redirects more than 3 times" in error.reason
    assert len(web.asked) == 4


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://example.org/x", "gopher://127.0.0.1/", "simplecache::http://h/x"],
)
def test_a_redirect_to_what_may_not_be_fetched_is_forbidden(web: Web, fetcher: Fetcher, location: str) -> None:
    web.pages["/v"] = lambda request: request.answer(302, Location=location)
    assert failure(fetcher, web.url("/v")).kind == "forbidden"


def test_private_addresses_are_forbidden_by_name_by_number_and_by_redirect(web: Web) -> None:
    web.serve("/v", BODY)
    with Fetcher(FetchPolicy()) as careful:
        for url in (web.url("/v"), f"http://localhost:{web.port}/v", f"http://[::1]:{web.port}/v"):
            assert failure(careful, url).kind == "forbidden"
    assert web.asked == []
    web.pages["/r"] = lambda request: request.answer(302, Location="http://169.254.169.254/latest/meta-data/")
    checked: list[str] = []

    def check(address: str, port: int) -> None:
        checked.append(address)
        if address != "127.0.0.1":
            raise MediaError("forbidden", f"{address} is not for you")

    with Fetcher(changed(check_address=check)) as fetcher:
        assert failure(fetcher, web.url("/r")).kind == "forbidden"
    assert checked == ["127.0.0.1", "169.254.169.254"]


def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to(web: Web) -> None:
    web.serve("/v", BODY)
    answers = iter([["127.0.0.1"]])  # a second question, as DNS rebinding needs it, would fail the test
    with Fetcher(changed(resolver=lambda host, port: next(answers))) as fetcher:
        assert fetcher.open(f"http://media.example:{web.port}/v").size == len(BODY)
    assert web.asked[0][1]["host"] == f"media.example:{web.port}"


def test_an_object_that_changes_while_it_is_read_is_an_error(web: Web, fetcher: Fetcher) -> None:
    for again in (
        lambda: web.serve("/v", BODY, ETag='"2"'),
        lambda: web.serve("/v", BODY[:-1], ETag='"1"'),
        lambda: web.pages.update({"/v": lambda request: request.answer(200, BODY, ETag='"2"')}),
    ):
        with fetcher.open(web.serve("/v", BODY, ETag='"1"')) as source:
            again()
            with pytest.raises(MediaError, match="changed while it was read") as caught:
                source.read_at(50_000, 5)
            assert (caught.value.kind, caught.value.transient) == ("unreachable", True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Range": "bytes 10-4105/100000"},
        {"Content_Range": "bytes 0-99/100000"},
        {"Content_Range": "nonsense"},
        {"Content_Range": "bytes 0-4095/*"},
        {"Content_Range": "bytes 0-4095/100000", "Content_Encoding": "gzip"},
        {},
    ],
)
def test_answers_that_make_no_sense_are_unreachable(web: Web, fetcher: Fetcher, headers: dict[str, str]) -> None:
    web.pages["/v"] = lambda request: request.answer(206, BODY[:4096], **headers)
    assert failure(fetcher, web.url("/v")).kind == "unreachable"


def test_a_longer_answer_than_announced_is_not_read_on(web: Web, fetcher: Fetcher) -> None:
    def page(request: Request) -> None:
        request.send_response(206)
        request.send_header("Content-Range", f"bytes 0-4095/{len(BODY)}")
        request.send_header("Connection", "close")
        request.end_headers()
        request.close_connection = True
        request.wfile.write(BODY)

    web.pages["/v"] = page
    assert failure(fetcher, web.url("/v")).kind == "too_large"


def test_a_body_that_breaks_off_is_fetched_again(web: Web, fetcher: Fetcher) -> None:
    url = web.serve("/v", BODY, ETag='"1"')
    good = web.pages["/v"]
    with fetcher.open(url) as source:

        def breaks_off(request: Request) -> None:
            request.send_response(206)
            request.send_header("Content-Length", "4096")
            request.send_header("Content-Range", f"bytes 49152-53247/{len(BODY)}")
            request.send_header("ETag", '"1"')
            request.end_headers()
            request.wfile.write(b"half")
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)

        web.pages["/v"] = in_turn(breaks_off, good)
        assert source.read_at(50_000, 5) == BODY[50_000:50_005]


def test_user_and_query_are_sent_but_never_told(web: Web, fetcher: Fetcher) -> None:
    secret = web.url("/gone", "?X-Signature=SECRET", "user:PASSWORD@")
    error = failure(fetcher, secret)
    assert error.reason == f"http://127.0.0.1:{web.port}/gone answers with status 404"
    assert web.asked[0][1]["authorization"].startswith("Basic ")
    web.serve("/v", BODY)
    with fetcher.open(web.url("/v", "?X-Signature=SECRET", "user:PASSWORD@")) as source:
        assert not re.search("SECRET|PASSWORD|user", f"{source.name} {source!r}")


def test_credentials_do_not_follow_a_redirect_to_another_origin(web: Web, fetcher: Fetcher) -> None:
    with Web() as other:
        other.serve("/v", BODY)
        web.pages["/v"] = lambda request: request.answer(302, Location=other.url("/v"))
        fetcher.open(web.url("/v", user="user:PASSWORD@"))
        assert "authorization" in web.asked[0][1]
        assert "authorization" not in other.asked[0][1]


def test_proxies_of_the_environment_mean_nothing(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    with Fetcher(POLICY) as fetcher:
        assert fetcher.open(web.serve("/v", BODY)).size == len(BODY)


def test_a_spool_file_is_gone_when_its_source_is_closed(web: Web, tmp_path: Path) -> None:
    web.pages["/v"] = lambda request: request.answer(200, BODY)
    with Fetcher(changed(spool_folder=tmp_path)) as fetcher, fetcher.open(web.url("/v")) as source:
        assert list(tmp_path.iterdir()) == []
        assert source.read_at(0, 4) == BODY[:4]
        fd = source.local_fd()
        assert fd is not None
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(fd, b"x")
