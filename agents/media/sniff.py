"""What media is, told by its first bytes and never by its name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agents.media.exceptions import MediaError

if TYPE_CHECKING:  # decoder processes import this module, and start quicker without what sources need
    from agents.media.source import MediaSource

ImageFormat = Literal["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif"]
VideoFormat = Literal["mp4", "matroska", "avi", "flv", "mpegts", "mpegps", "ogg"]

SNIFFED_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Sniffed:
    """A type on our lists.

    Attributes:
        kind: Which decoder it goes to. An `image` may turn out to be animated, a `video` to hold only audio.
        format: Picture format or container.
    """

    kind: Literal["image", "video"]
    format: ImageFormat | VideoFormat


def sniff(source: "MediaSource") -> Sniffed:
    """The type of an opened object.

    Raises:
        MediaError: `undecodable`, when it is empty; `unsupported`; `unreachable`, when it cannot be read.
    """
    if source.size == 0:
        raise MediaError("undecodable", f"{source.name} is empty")
    return sniff_bytes(source.read_at(0, SNIFFED_BYTES))


def sniff_bytes(head: bytes) -> Sniffed:
    """The type that media starting with `head` (its first `SNIFFED_BYTES`, or all of it) has.

    Raises:
        MediaError: `unsupported`.
    """
    for name, is_image in _IMAGES.items():
        if is_image(head):
            return Sniffed("image", name)
    for container, is_video in _VIDEOS.items():
        if is_video(head):
            return Sniffed("video", container)
    raise MediaError("unsupported", f"the content is {_known_stranger(head)}")


# ISO/IEC 14496-12: the types that a file may begin with; QuickTime files older than `ftyp` begin with the others.
_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})


def _brands(head: bytes) -> list[bytes]:
    """Major and compatible brands of an `ftyp` box, or none."""
    if head[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]


def _is_avif(head: bytes) -> bool:
    brands = _brands(head)
    return bool(brands) and (
        brands[0] in _AVIF_BRANDS or (brands[0] in _HEIF_BRANDS and not _AVIF_BRANDS.isdisjoint(brands))
    )


def _is_iso_media(head: bytes) -> bool:
    brands = _brands(head)
    return head[4:8] in _FIRST_BOXES and not (brands and brands[0] in _HEIF_BRANDS)


def _is_bmp(head: bytes) -> bool:
    # "BM" alone is too little: the size of the header that follows must be one that exists.
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in {12, 40, 52, 56, 64, 108, 124}


def _is_mpegts(head: bytes) -> bool:
    # ISO/IEC 13818-1: packets of 188 bytes (192 with a time code before each, as camcorders write them).
    for first, stride in ((0, 188), (4, 192)):
        marks = head[first::stride][:5]
        if len(marks) >= 3 and set(marks) == {0x47}:
            return True
    return False


def _is_matroska(head: bytes) -> bool:
    return head.startswith(b"\x1aE\xdf\xa3") and (b"matroska" in head[:64] or b"webm" in head[:64])


_IMAGES: dict[ImageFormat, Callable[[bytes], bool]] = {
    "jpeg": lambda head: head.startswith(b"\xff\xd8\xff"),
    "png": lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
    "webp": lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
    "gif": lambda head: head[:6] in {b"GIF87a", b"GIF89a"},
    "bmp": _is_bmp,
    "tiff": lambda head: head[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"},
    "avif": _is_avif,
}
_VIDEOS: dict[VideoFormat, Callable[[bytes], bool]] = {
    "mp4": _is_iso_media,
    "matroska": _is_matroska,
    "avi": lambda head: head[:4] == b"RIFF" and head[8:12] == b"AVI ",
    "flv": lambda head: head[:4] == b"FLV\x01",
    "ogg": lambda head: head.startswith(b"OggS"),
    "mpegps": lambda head: head.startswith(b"\x00\x00\x01\xba"),
    "mpegts": _is_mpegts,
}


_STRANGERS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("an HLS playlist, not a video", lambda head: _text(head).startswith(b"#extm3u")),
    ("a list of files, not a video", lambda head: _text(head).startswith(b"ffconcat")),
    ("an SVG drawing, not a photograph", lambda head: b"<svg" in _text(head)),
    ("a web page or XML, not media", lambda head: _text(head).startswith((b"<!doctype", b"<html", b"<?xml"))),
    ("a HEIF picture, which no decoder here reads", lambda head: bool(_brands(head))),
    ("audio alone", lambda head: head[:3] == b"ID3" or head[:4] == b"fLaC" or head[8:12] == b"WAVE"),
    ("a PDF document", lambda head: head[:4] == b"%PDF"),
    ("a ZIP archive", lambda head: head[:4] == b"PK\x03\x04"),
)


def _text(head: bytes) -> bytes:
    return head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()


def _known_stranger(head: bytes) -> str:
    """What an unsupported type is called, so that the reason helps whoever sent it."""
    return next((name for name, is_it in _STRANGERS if is_it(head)), "of no known media type")
