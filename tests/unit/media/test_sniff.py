"""Media is what its content is, whatever its name."""

import pytest
from PIL import Image

from agents.media.exceptions import MediaError
from agents.media.sniff import Sniffed, sniff_bytes
from tests.support.media import Clip, MediaFolder, image_bytes

PICTURES = [
    ("JPEG", "jpeg"),
    ("PNG", "png"),
    ("WEBP", "webp"),
    ("GIF", "gif"),
    ("BMP", "bmp"),
    ("TIFF", "tiff"),
    ("AVIF", "avif"),
]
VIDEOS = [
    ("mp4", "libx264", "mp4"),
    ("mov", "libx264", "mp4"),
    ("3gp", "mpeg4", "mp4"),
    ("mkv", "libx264", "matroska"),
    ("webm", "libvpx", "matroska"),
    ("avi", "mpeg4", "avi"),
    ("flv", "flv", "flv"),
    ("ts", "libx264", "mpegts"),
    ("m2ts", "libx264", "mpegts"),
    ("mpg", "mpeg2video", "mpegps"),
]


@pytest.mark.parametrize(("form", "name"), PICTURES)
def test_pictures_are_told_by_their_content(form: str, name: str) -> None:
    assert sniff_bytes(image_bytes(Image.new("RGB", (8, 8)), form)[:4096]) == Sniffed("image", name)  # type: ignore[arg-type]


@pytest.mark.parametrize(("suffix", "codec", "name"), VIDEOS)
def test_containers_are_told_by_their_content(media: MediaFolder, suffix: str, codec: str, name: str) -> None:
    options = {"libx264": (("preset", "ultrafast"),), "libvpx": (("deadline", "realtime"), ("cpu-used", "8"))}
    clip = Clip(width=352, height=288, frames=20, codec=codec, options=options.get(codec, ()))
    made = media.clip(clip, suffix)
    assert sniff_bytes(made.read_bytes()[:4096]) == Sniffed("video", name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", "an HLS playlist"),
        (b"\xef\xbb\xbf  #EXTM3U\n", "an HLS playlist"),
        (b"ffconcat version 1.0\nfile 'x'\n", "a list of files"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"<svg/>", "an SVG drawing"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIF picture"),
        (b"ID3\x04", "audio alone"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio alone"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04", "a ZIP"),
        (b"BM, the car maker", "no known media type"),
        (b"G" * 200, "no known media type"),
        (b"\x1aE\xdf\xa3\x80", "no known media type"),
        (b"x", "no known media type"),
        (b"", "no known media type"),
    ],
)
def test_anything_else_is_unsupported_and_called_what_it_is(head: bytes, said: str) -> None:
    with pytest.raises(MediaError, match=said) as caught:
        sniff_bytes(head)
    assert caught.value.kind == "unsupported"


def test_old_quicktime_files_that_begin_with_their_media_are_known() -> None:
    assert sniff_bytes(b"\0\0\x10\0mdat" + bytes(64)) == Sniffed("video", "mp4")
