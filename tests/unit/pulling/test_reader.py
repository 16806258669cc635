"""What a puller makes of a stream: little is decoded, what it samples fits, and its end has a kind."""

import itertools
import socket
import ssl
import time
from io import BytesIO
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from agents.pulling.exceptions import Trouble
from agents.pulling.places import Guard
from agents.pulling.reader import Reader
from agents.pulling.wire import Opened, Said, Still, Task
from tests.support.hls import serving, write_playlist
from tests.support.media import Clip, MediaFolder, marked_number

CLIP = Clip(width=320, height=240, fps=25, frames=150, gop=25)


class Arrivals:
    """A clock that each frame of a file moves on, as if it came over a network: asked for twice by each packet."""

    def __init__(self, fps: float, asked: int) -> None:
        self._step_s = 1 / fps / asked
        self._count = itertools.count()

    def __call__(self) -> float:
        return next(self._count) * self._step_s


def task(path: Path, **fields: object) -> Task:
    given: dict[str, object] = {
        "url": str(path),
        "form": "flv",
        "options": {"protocol_whitelist": "file"},
        "fps": 5.0,
        "every_nth": None,
        "max_side": 1280,
        "quality": 90,
        "most_bytes": 1 << 20,
        "open_timeout_s": 5.0,
        "read_timeout_s": 5.0,
        **fields,
    }
    return Task(**given)  # type: ignore[arg-type]  # the fields' types are those of the test


def pulled(wanted: Task) -> tuple[list[Said], Trouble]:
    """All that a reader says, and how it ends."""
    said: list[Said] = []
    with pytest.raises(Trouble) as ended:
        Reader(wanted, said.append).run()
    return said, ended.value


def stills(said: list[Said]) -> list[Still]:
    return [each for each in said if isinstance(each, Still)]


@pytest.fixture
def media(tmp_path: Path) -> MediaFolder:
    return MediaFolder(tmp_path)


def test_every_nth_frame_is_exactly_that(media: MediaFolder) -> None:
    said, ended = pulled(task(media.clip(CLIP, "flv"), every_nth=50))
    assert said[0] == Opened("h264", 320, 240)
    numbers = [marked_number(np.asarray(Image.open(BytesIO(still.jpeg)))) for still in stills(said)]
    # A file comes faster than 60 frames a second: the bound leaves the first, and perhaps later ones.
    assert numbers[0] == 0
    assert all(number % 50 == 0 for number in numbers)
    assert ended.kind == "ended"


def test_a_still_is_brought_to_size_and_its_time_is_that_of_its_frame(media: MediaFolder) -> None:
    said, _ = pulled(task(media.clip(CLIP, "flv"), max_side=160))
    first = stills(said)[0]
    assert Image.open(BytesIO(first.jpeg)).size == (160, 120)
    assert (first.width, first.height, first.pts_ms) == (320, 240, 0)


def test_a_still_that_would_be_too_large_is_made_worse_and_then_smaller(media: MediaFolder) -> None:
    whole, _ = pulled(task(media.clip(CLIP, "flv")))
    assert len(stills(whole)[0].jpeg) > 18_000
    worse, _ = pulled(task(media.clip(CLIP, "flv"), most_bytes=16_000))
    assert len(stills(worse)[0].jpeg) <= 16_000
    assert Image.open(BytesIO(stills(worse)[0].jpeg)).size == (320, 240)
    smaller, _ = pulled(task(media.clip(CLIP, "flv"), most_bytes=5_000))
    assert len(stills(smaller)[0].jpeg) <= 5_000
    assert Image.open(BytesIO(stills(smaller)[0].jpeg)).size == (160, 120)


def test_key_frames_alone_are_decoded_where_they_come_often_enough(
    media: MediaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Said] = []
    # One frame a second is asked for, and key frames come each second of the clock.
    reader = Reader(task(media.clip(CLIP, "flv"), fps=1.0), said.append, clock=Arrivals(25, asked=4))
    with pytest.raises(Trouble):
        reader.run()
    numbers = [marked_number(np.asarray(Image.open(BytesIO(still.jpeg)))) for still in stills(said)]
    assert len(numbers) >= 3
    assert numbers[-1] % 25 == 0


@pytest.mark.parametrize("content", [b"<html>not found</html>" * 400, b"", bytes(9) + b"\xff" * 4000])
def test_what_is_no_stream_gives_nothing_and_its_name_is_not_told(media: MediaFolder, content: bytes) -> None:
    said, ended = pulled(task(media.write("secret-key.flv", content)))
    assert said == []
    assert ended.kind in {"not_a_stream", "unreachable"}
    assert "secret-key" not in str(ended)


def test_a_web_page_is_no_playlist(media: MediaFolder) -> None:
    said, ended = pulled(task(media.write("page.m3u8", b"<html></html>"), form="hls"))
    assert said == []
    assert ended.kind == "not_a_stream"
    assert ended.lasting


def test_a_stream_without_video_is_told_as_such(media: MediaFolder) -> None:
    said, ended = pulled(task(media.clip(Clip(picture=False, sound=True), "flv")))
    assert said == []
    assert ended.kind == "no_video"
    assert ended.lasting


def test_a_protocol_that_is_not_allowed_is_not_opened(media: MediaFolder) -> None:
    said, ended = pulled(task(media.clip(CLIP, "flv"), options={"protocol_whitelist": "rtmp,tcp"}))
    assert said == []
    assert ended.kind in {"not_a_stream", "unreachable"}


def test_a_stream_of_which_hardly_a_frame_is_made_of_others_is_sampled_as_asked(media: MediaFolder) -> None:
    # A reference frame in seventeen: without the others there are one and a half a second.
    options = (("preset", "ultrafast"), ("bf", "16"), ("b_strategy", "0"), ("x264-params", "b-pyramid=0:b-adapt=0"))
    clip = media.clip(Clip(width=320, height=240, fps=25, frames=250, gop=250, options=options), "mkv")
    said: list[Said] = []
    reader = Reader(task(clip, form="matroska", fps=5.0), said.append, clock=Arrivals(25, asked=4))
    with pytest.raises(Trouble, match="ended"):
        reader.run()
    assert len(stills(said)) > 35


def test_a_puller_that_falls_behind_decodes_key_frames_alone(media: MediaFolder) -> None:
    clip = media.clip(Clip(width=320, height=240, fps=25, frames=150, gop=15), "flv")
    said: list[Said] = []

    def slow(each: Said) -> None:
        said.append(each)
        if isinstance(each, Still):
            time.sleep(0.02)  # as long as a slow machine takes for a large frame

    with pytest.raises(Trouble, match="ended"):
        Reader(task(clip, fps=60.0), slow).run()
    numbers = [marked_number(np.asarray(Image.open(BytesIO(still.jpeg)))) for still in stills(said)]
    assert len(numbers) < 75
    assert all(number % 15 == 0 for number in numbers[-5:])
    assert numbers[-1] == 135


class TestHls:
    def task(self, url: str, **fields: object) -> Task:
        return task(
            Path("/"), **{"url": url, "form": "hls", "web": True, "options": {"http_persistent": "0"}, **fields}
        )

    def test_is_pulled_at_the_pace_of_its_time_stamps(self, media: MediaFolder) -> None:
        clip = media.clip(Clip(width=320, height=240, fps=25, frames=50, gop=25))
        write_playlist(media.folder / "list.m3u8", clip)
        with serving(media.folder, "127.0.0.1") as (url, _):
            said, ended = pulled(self.task(f"{url}/list.m3u8", allow_private=True))
        found = stills(said)
        assert ended.kind == "ended"
        assert 5 <= len(found) <= 11
        assert found[-1].captured_ms - found[0].captured_ms == pytest.approx(
            found[-1].pts_ms - found[0].pts_ms, abs=300
        )

    def test_a_segment_at_a_private_address_is_not_fetched_for_a_playlist_that_may_be(self, media: MediaFolder) -> None:
        inner = media.folder / "inner"
        inner.mkdir()
        (inner / "secret.ts").write_bytes(b"secret")
        with (
            serving(media.folder, "127.0.0.1") as (url, asked),
            serving(inner, "127.0.0.2") as (private, got),
        ):
            media.write(
                "evil.m3u8",
                f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{private}/secret.ts\n#EXT-X-ENDLIST\n".encode(),
            )
            said, ended = pulled(self.task(f"{url}/evil.m3u8", hosts=["127.0.0.1"]))
            assert asked == ["/evil.m3u8"]
            assert got == []
        assert said == []
        assert ended.kind in {"not_a_stream", "forbidden", "unreachable"}

    def test_a_local_file_is_not_read_for_a_playlist(self, media: MediaFolder) -> None:
        clip = media.clip(CLIP, "ts")
        media.write(
            "evil.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{clip}\n#EXT-X-ENDLIST\n".encode()
        )
        with serving(media.folder, "127.0.0.1") as (url, _):
            said, ended = pulled(self.task(f"{url}/evil.m3u8", allow_private=True))
        assert said == []
        assert ended.kind in {"not_a_stream", "forbidden", "unreachable"}


class TestRtmps:
    CERTIFICATE = Path(__file__).parents[1] / "runtime" / "tls" / "certificate.pem"
    """For `localhost`, see tests/unit/runtime/test_clients.py."""

    def said_to_server(self, host: str) -> tuple[int, Trouble]:
        """How many bytes a server with that certificate is sent by who looks for `host`, and how that ends."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.CERTIFICATE, self.CERTIFICATE.with_name("key.pem"), "open sesame")
        received: list[int] = []

        def serve(listening: socket.socket) -> None:
            connection, _ = listening.accept()
            with connection:
                try:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        received.append(len(secured.recv(4096)))
                except (ssl.SSLError, OSError):
                    received.append(0)

        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = Thread(target=serve, args=(listening,), daemon=True)
            thread.start()
            url = f"rtmps://{host}:{listening.getsockname()[1]}/live/a"
            place = Guard(True, frozenset(), lambda _host, _port: ["127.0.0.1"]).place(url)
            _, ended = pulled(task(Path("/"), url=place.url, options=place.options))
            thread.join(10)
        return received[0], ended

    def test_a_server_with_a_good_certificate_is_talked_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(self.CERTIFICATE))
        sent, _ = self.said_to_server("localhost")
        assert sent > 1_000

    def test_one_with_another_name_or_an_unknown_issuer_is_told_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.said_to_server("localhost")[0] == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(self.CERTIFICATE))
        sent, ended = self.said_to_server("live.example")
        assert (sent, ended.kind) == (0, "unreachable")
