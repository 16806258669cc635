"""Pictures of every kind come out as 8-bit RGB, upright, and no larger than asked for."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from agents.media.exceptions import MediaError
from agents.media.frames import DecodeBudget, FramePlan, MediaProbe
from agents.media.images import decode_image, probe_image
from agents.media.sniff import ImageFormat, sniff_bytes
from tests.support.media import Pixels, image_bytes, marked_number, moving_image_bytes, photograph

BUDGET = DecodeBudget()
WHOLE = FramePlan(max_side=4096)
COLOUR = (200, 60, 30)


def pictures(data: bytes, plan: FramePlan = WHOLE, budget: DecodeBudget = BUDGET) -> list[tuple[int, bool, Pixels]]:
    """(time in milliseconds, whether a key frame, pixels) of each frame."""
    found, buffer = [], bytearray(plan.max_side**2 * 3)
    for frame in decode_image(io.BytesIO(data), form(data), len(data), plan, budget):
        frame.write(memoryview(buffer))
        flat = np.frombuffer(bytes(buffer[: frame.width * frame.height * 3]), np.uint8)
        found.append((frame.pts_ms, frame.is_key, flat.reshape(frame.height, frame.width, 3)))
    return found


def picture(data: bytes, plan: FramePlan = WHOLE) -> Pixels:
    ((pts_ms, is_key, pixels),) = pictures(data, plan)
    assert (pts_ms, is_key) == (0, True)
    return pixels


def probe(data: bytes, budget: DecodeBudget = BUDGET) -> MediaProbe:
    return probe_image(io.BytesIO(data), form(data), len(data), budget)


def form(data: bytes) -> ImageFormat:
    sniffed = sniff_bytes(data[:4096])
    assert sniffed.kind == "image"
    return sniffed.format  # type: ignore[return-value]


def plain(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    return Image.new("RGB", size, COLOUR).convert(mode)


def png16(samples: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], colour_type: int) -> bytes:
    """A PNG of 16 bits a sample, written by hand: Pillow writes none in colour."""

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return raw_png(width, height, 16, colour_type, rows)


def raw_png(width: int, height: int, bits: int, colour_type: int, rows: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_gives_its_colour(kind: str) -> None:
    options = {} if kind in {"GIF", "BMP", "PNG", "TIFF"} else {"quality": 98}
    pixels = picture(image_bytes(plain(), kind, **options))
    assert pixels.shape == (40, 60, 3)
    assert np.abs(pixels.astype(int) - COLOUR).max() <= 6


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "P"), ("PNG", "RGBA"), ("GIF", "P"), ("TIFF", "RGBA"), ("WEBP", "RGBA"), ("PNG", "L")]
)
def test_every_mode_gives_its_colour(kind: str, mode: str) -> None:
    image = plain().quantize() if mode == "P" else plain(mode)
    options = {"lossless": True} if kind == "WEBP" else {}
    expected = image.convert("RGB").getpixel((0, 0))
    assert np.abs(picture(image_bytes(image, kind, **options)).astype(int) - expected).max() <= 2


def test_a_cmyk_jpeg_gives_its_colour() -> None:
    pixels = picture(image_bytes(plain("CMYK"), "JPEG", quality=98))
    assert np.abs(pixels.astype(int) - COLOUR).max() <= 6


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_pictures_without_colour_are_grey(mode: str) -> None:
    pixels = picture(image_bytes(plain("L").convert(mode), "PNG"))
    assert pixels.shape == (40, 60, 3)
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_a_16_bit_grey_png_keeps_its_scale() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(8, axis=0)
    assert np.abs(picture(png16(ramp, 0))[..., 1].astype(int) - np.arange(256)).max() <= 1


def test_a_16_bit_colour_png_keeps_its_scale() -> None:
    samples = np.zeros((8, 8, 3), np.uint16)
    samples[:] = [value * 257 for value in COLOUR]
    assert (picture(png16(samples, 2)) == COLOUR).all()


def test_samples_of_32_bits_are_stretched_to_the_whole_scale() -> None:
    ramp = np.linspace(-1.0, 3.0, 256, dtype=np.float32)[None].repeat(8, axis=0)
    data = image_bytes(Image.fromarray(ramp), "TIFF")
    assert np.abs(picture(data)[..., 0].astype(int) - np.arange(256)).max() <= 1


def test_what_is_transparent_turns_white() -> None:
    image = Image.new("RGBA", (8, 8), (*COLOUR, 0))
    assert (picture(image_bytes(image, "PNG")) == 255).all()
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0, 255, 255, 255])
    assert (picture(image_bytes(palette, "PNG", transparency=0)) == 255).all()
    assert (picture(image_bytes(palette, "GIF", transparency=0)) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = photograph()[:96, :64]
    # What a camera held that way stores, so that the mark makes it upright again (Exif 2.32, table 4).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = image_bytes(np.ascontiguousarray(stored), "JPEG", exif=exif, quality=95)
    assert np.abs(picture(data).astype(int) - upright).mean() < 5
    found = probe(data)
    assert (found.width, found.height) == (64, 96)
    small = picture(data, FramePlan(max_side=48))
    assert small.shape == (48, 32, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_hide_the_picture() -> None:
    data = image_bytes(plain(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40)
    assert picture(data).shape == (40, 60, 3)


def test_an_8k_picture_works_and_comes_scaled_down() -> None:
    big = Image.fromarray(photograph()).resize((7680, 4320), Image.Resampling.BILINEAR)
    data = image_bytes(big, "JPEG", quality=80)
    assert (probe(data).width, probe(data).height) == (7680, 4320)
    pixels = picture(data, FramePlan(max_side=1280))
    assert pixels.shape == (720, 1280, 3)
    assert np.abs(pixels.astype(int) - np.asarray(Image.fromarray(photograph()).resize((1280, 720)))).mean() < 6


def test_a_picture_of_one_pixel_is_a_picture() -> None:
    assert picture(image_bytes(plain(size=(1, 1)), "PNG")).tolist() == [[list(COLOUR)]]


def test_a_long_thin_picture_keeps_a_pixel_of_width() -> None:
    assert picture(image_bytes(plain(size=(3000, 2)), "PNG"), FramePlan(max_side=100)).shape == (1, 100, 3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_a_moving_picture_is_a_short_video(kind: str) -> None:
    data = moving_image_bytes(kind, [100, 200, 100, 400, 200])
    found = probe(data)
    assert (found.kind, found.frame_count) == ("video", 5)
    assert found.duration_s == pytest.approx(1.0)
    assert found.fps == pytest.approx(5.0)
    seen = pictures(data)
    assert [pts_ms for pts_ms, _, _ in seen] == [0, 100, 300, 400, 800]
    assert [marked_number(pixels) for _, _, pixels in seen] == list(range(5))
    assert [is_key for _, is_key, _ in seen] == [True, False, False, False, False]


def test_a_moving_picture_is_sampled_and_cut_like_a_video() -> None:
    data = moving_image_bytes("GIF", [100] * 20)

    def times(**plan: float) -> list[int]:
        return [pts_ms for pts_ms, _, _ in pictures(data, FramePlan(max_side=96, **plan))]  # type: ignore[arg-type]

    assert times(rate_fps=2.0) == [0, 500, 1000, 1500]
    assert times(start_s=0.25, end_s=0.6) == [300, 400, 500]
    assert times(start_s=0.0, end_s=0.7, rate_fps=2.0) + times(start_s=0.7, rate_fps=2.0) == [0, 500, 1000, 1500]
    assert times(max_frames=3) == [0, 100, 200]


def test_frames_in_a_hurry_are_timed_as_browsers_time_them() -> None:
    assert [pts_ms for pts_ms, _, _ in pictures(moving_image_bytes("GIF", [10, 10, 10]))] == [0, 100, 200]


def test_a_still_has_its_one_frame_at_zero() -> None:
    data = image_bytes(plain(), "PNG")
    assert len(pictures(data, FramePlan(end_s=0.1, rate_fps=2.0))) == 1
    assert pictures(data, FramePlan(start_s=0.1)) == []


def test_a_gif_of_one_frame_is_a_still() -> None:
    assert probe(image_bytes(plain(), "GIF")).kind == "image"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [20_000, 11_000], ids=["for any file", "for so small a file"])
def test_a_picture_of_too_many_pixels_is_too_large_before_it_is_decoded(side: int) -> None:
    bomb = raw_png(side, side, 8, 0, bytes(100_000_000))
    for attempt in (lambda: probe(bomb), lambda: pictures(bomb)):
        with pytest.raises(MediaError) as caught:
            attempt()
        assert caught.value.kind == "too_large"


def test_a_moving_picture_of_too_many_pixels_is_too_large() -> None:
    budget = DecodeBudget(video_free_pixels=96 * 64 * 5, image_pixels_per_byte=0)
    with pytest.raises(MediaError) as caught:
        pictures(moving_image_bytes("GIF", [100] * 20), budget=budget)
    assert caught.value.kind == "too_large"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("part", [0.05, 0.5])
def test_a_picture_cut_off_is_undecodable(kind: str, part: float) -> None:
    data = image_bytes(photograph()[:128, :128], kind)
    with pytest.raises(MediaError) as caught:
        picture(data[: max(48, int(len(data) * part))])
    assert caught.value.kind == "undecodable"
