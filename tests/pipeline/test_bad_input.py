"""Bad input ends as a typed verdict or a dead letter, and the next message is handled."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from schemas.verdict import Label, Outcome, Verdict
from tests.support.fleet import Fleet, headers_of
from tests.support.media import Clip, MediaFolder, image_bytes, moving_image_bytes, photograph, without_moov
from topics import catalogue


@dataclass(frozen=True)
class Case:
    """Media, and what becomes of it."""

    make: Callable[[MediaFolder], Path | str]
    outcome: Outcome
    reason: str = ""
    """A word of the reason."""
    check: Callable[[Verdict], bool] = lambda _: True


def _jpeg() -> bytes:
    return image_bytes(photograph(), "JPEG")


def _exif_rotated() -> bytes:
    # Stored lying on its side, with the mark that turns it upright.
    picture = Image.fromarray(np.rot90(photograph()[:, :384], 1))
    exif = Image.Exif()
    exif[0x0112] = 6
    return image_bytes(picture, "JPEG", exif=exif.tobytes())


def _sixteen_bit() -> bytes:
    buffer = io.BytesIO()
    luma = np.asarray(Image.fromarray(photograph()).convert("L"), np.uint16) * 257
    Image.fromarray(luma).save(buffer, "PNG")
    return buffer.getvalue()


def _frames(count: int) -> Callable[[Verdict], bool]:
    return lambda verdict: verdict.quality is not None and verdict.quality.frames_analyzed >= count


def _size(width: int, height: int) -> Callable[[Verdict], bool]:
    return lambda verdict: verdict.media is not None and (verdict.media.width, verdict.media.height) == (width, height)


SMALL = Clip(width=320, height=320, fps=10, frames=20, gop=10)

CASES: dict[str, Case] = {
    "nothing at all": Case(lambda m: m.write("empty.jpg", b""), Outcome.UNDECODABLE),
    "text": Case(lambda m: m.write("text.mp4", b"just words, no picture" * 9), Outcome.UNSUPPORTED),
    "truncated jpeg": Case(lambda m: m.write("cut.jpg", _jpeg()[:300]), Outcome.UNDECODABLE),
    "mp4 without an index": Case(
        lambda m: m.write("noindex.mp4", without_moov(m.clip(SMALL).read_bytes())), Outcome.UNDECODABLE
    ),
    "mp4 cut off after its index": Case(
        lambda m: m.write("cut.mp4", m.clip(SMALL).read_bytes()[: 6 * m.clip(SMALL).stat().st_size // 10]),
        Outcome.SCORED,
    ),
    "video without a frame": Case(lambda m: m.clip(Clip(width=64, height=64, frames=0)), Outcome.UNDECODABLE),
    "sound only": Case(lambda m: m.clip(Clip(picture=False, sound=True, frames=30)), Outcome.UNSUPPORTED, "audio"),
    "jpeg named mp4": Case(lambda m: m.write("picture.mp4", _jpeg()), Outcome.SCORED),
    "mp4 named jpg": Case(lambda m: m.write("clip.jpg", m.clip(SMALL).read_bytes()), Outcome.SCORED, check=_frames(2)),
    "8k picture": Case(
        lambda m: m.write("8k.jpg", image_bytes(Image.fromarray(photograph()).resize((7680, 4320)), "JPEG")),
        Outcome.SCORED,
        check=_size(7680, 4320),
    ),
    "one pixel": Case(
        lambda m: m.write("pixel.png", image_bytes(np.zeros((1, 1, 3), np.uint8), "PNG")), Outcome.NO_FACE
    ),
    "16-bit png": Case(lambda m: m.write("deep.png", _sixteen_bit()), Outcome.SCORED),
    "cmyk jpeg": Case(
        lambda m: m.write("cmyk.jpg", image_bytes(Image.fromarray(photograph()).convert("CMYK"), "JPEG")),
        Outcome.SCORED,
    ),
    "exif-rotated jpeg": Case(lambda m: m.write("turned.jpg", _exif_rotated()), Outcome.SCORED, check=_size(384, 512)),
    "animated gif": Case(
        lambda m: m.write("moving.gif", moving_image_bytes("GIF", [500] * 6, (256, 256))),
        Outcome.SCORED,
        check=_frames(3),
    ),
    "animated webp": Case(
        lambda m: m.write("moving.webp", moving_image_bytes("WEBP", [500] * 6, (256, 256))),
        Outcome.SCORED,
        check=_frames(3),
    ),
    "variable frame rate": Case(
        lambda m: m.clip(Clip(width=320, height=320, frames=6, times_ms=(0, 40, 80, 1500, 1540, 3000))),
        Outcome.SCORED,
        check=_frames(3),
    ),
    "rotated phone video": Case(
        lambda m: m.clip(Clip(width=320, height=240, fps=10, frames=10, rotation=90)),
        Outcome.SCORED,
        check=_size(240, 320),
    ),
    "playlist named mp4": Case(
        lambda m: m.write("list.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"), Outcome.UNSUPPORTED
    ),
    "a file that is not there": Case(lambda m: m.folder / "gone.mp4", Outcome.UNREACHABLE, "exist"),
    "a file outside the allowed folders": Case(lambda _: Path("/etc/hostname"), Outcome.UNREACHABLE, "outside"),
    "a scheme that is not allowed": Case(lambda _: "ftp://127.0.0.1/clip.mp4", Outcome.UNREACHABLE, "scheme"),
    "nobody listens": Case(lambda _: "http://127.0.0.1:1/clip.mp4", Outcome.UNREACHABLE),
}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server over the test's folder."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_every_bad_upload_gets_a_typed_verdict_and_the_workers_live_on(scoring_fleet: Fleet, tmp_path: Path) -> None:
    fleet, media = scoring_fleet, MediaFolder(tmp_path)
    uploads = [fleet.upload(case.make(media), name) for name, case in CASES.items()]
    with fleet.running("uploads", "segments", "sink"):
        fleet.publish(catalogue.UPLOADS, uploads)
        verdicts = fleet.await_verdicts(len(CASES))
        # The next good one still comes through.
        fleet.publish(catalogue.UPLOADS, [fleet.upload(media.write("good.jpg", _jpeg()), "good")])
        assert fleet.await_verdicts(len(CASES) + 1)["good"].outcome is Outcome.SCORED
        rows = "SELECT count(*) FROM deepfake_detection.analysis_results"
        fleet.await_that(lambda: fleet.rows(rows) == [(len(CASES) + 1,)], "a row for each")
    wrong = {
        name: (verdicts[name].outcome, verdicts[name].reason)
        for name, case in CASES.items()
        if verdicts[name].outcome is not case.outcome
        or case.reason not in (verdicts[name].reason or "")
        or not case.check(verdicts[name])
    }
    assert not wrong
    for name, verdict in verdicts.items():
        if verdict.outcome is not Outcome.SCORED:
            assert verdict.label is Label.INCONCLUSIVE, name
            assert verdict.manipulation_score is None, name
            assert verdict.reason, name
    for topic in ("media.uploads.dlq", "media.segments.dlq", "deepfake.verdicts.dlq"):
        assert fleet.messages(topic) == []


def test_media_over_http_is_scored_and_media_that_is_gone_is_unreachable(
    scoring_fleet: Fleet, media: MediaFolder, web: str
) -> None:
    fleet = scoring_fleet
    media.write("here.jpg", _jpeg())
    with fleet.running("uploads", "segments"):
        fleet.publish(
            catalogue.UPLOADS,
            [fleet.upload(f"{web}/here.jpg", "here"), fleet.upload(f"{web}/gone.jpg?token=secret", "gone")],
        )
        verdicts = fleet.await_verdicts(2)
    assert verdicts["here"].outcome is Outcome.SCORED
    assert verdicts["gone"].outcome is Outcome.UNREACHABLE
    assert "404" in (verdicts["gone"].reason or "")
    assert "secret" not in (verdicts["gone"].reason or "")


def test_a_declared_checksum_that_does_not_match_is_unreachable(scoring_fleet: Fleet, media: MediaFolder) -> None:
    fleet = scoring_fleet
    path = media.write("still.jpg", _jpeg())
    reference = {"uri": path.as_uri(), "sha256": "0" * 64}
    with fleet.running("uploads"):
        fleet.publish(catalogue.UPLOADS, [fleet.upload(path, "wrong", media=reference)])
        verdict = fleet.await_verdicts(1)["wrong"]
    assert verdict.outcome is Outcome.UNREACHABLE
    assert "sha256" in (verdict.reason or "")


def test_messages_that_are_no_uploads_are_dead_letters_that_say_why(scoring_fleet: Fleet, media: MediaFolder) -> None:
    fleet = scoring_fleet
    good = fleet.upload(media.write("good.jpg", _jpeg()), "good")
    without_uploader = good.model_dump(mode="json")
    del without_uploader["uploader_id"]
    bad: list[tuple[bytes, dict[str, bytes], str, str]] = [
        (b"{not json", {}, "not_json", ""),
        (b"", {}, "not_json", ""),
        (b"\xff\xfe\x00", {}, "not_json", ""),
        (good.model_dump_json().encode(), {"schema": b"media-upload/99"}, "schema_version", "99"),
        (good.model_dump_json().encode(), {"schema": b"verdict/1"}, "schema_unexpected", "verdict"),
        (
            str(without_uploader).replace("'", '"').replace("None", "null").replace("False", "false").encode(),
            {},
            "schema_invalid",
            "uploader_id",
        ),
        (b'{"content_id": 7, "surprise": true}', {}, "schema_invalid", "surprise"),
        (b"[]", {}, "schema_invalid", ""),
    ]
    with fleet.running("uploads", "segments"):
        for number, (value, headers, _, _) in enumerate(bad):
            fleet.publish_raw(catalogue.UPLOADS, value, headers, key=str(number).encode())
        fleet.publish(catalogue.UPLOADS, [good])
        dead = {message.key(): message for message in fleet.await_messages("media.uploads.dlq", len(bad))}
        assert fleet.await_verdicts(1)["good"].outcome is Outcome.SCORED
    for number, (value, _, reason, word) in enumerate(bad):
        message = dead[str(number).encode()]
        said = headers_of(message)
        assert (message.value() or b"") == value
        assert said["dlq-reason"] == reason, said
        assert word in said["dlq-detail"]
        assert said["dlq-attempts"] == "1"
        assert said["dlq-agent"] == "uploads"
        assert said["dlq-source-topic"] == fleet.full(catalogue.UPLOADS)
        assert said["dlq-source-offset"].isdigit()
        assert said["dlq-source-partition"].isdigit()
