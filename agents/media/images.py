"""Pictures: stills, and animated ones as the short videos that they are.

Runs in the sandbox's workers on bytes that nobody vouches for: the header is judged before anything is decoded.
"""

import importlib
import itertools
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import IO, cast

from PIL import Image

from agents.media.containers import ReadableFile
from agents.media.exceptions import MediaError
from agents.media.frames import DecodeBudget, DecodedFrame, FramePlan, MediaProbe, fitted
from agents.media.slots import TOLERANCE_S, Slots
from agents.media.sniff import ImageFormat

_PLUGINS: dict[ImageFormat, str] = {
    "jpeg": "Jpeg",
    "png": "Png",
    "webp": "WebP",
    "gif": "Gif",
    "bmp": "Bmp",
    "tiff": "Tiff",
    "avif": "Avif",
}
_CAN_MOVE: frozenset[ImageFormat] = frozenset({"gif", "webp", "png", "avif"})
_HURRIED_MS = 20  # a frame that asks for less than this…
_UNHURRIED_MS = 100  # …is shown this long by every browser
_WHITE = (255, 255, 255)

_ORIENTATION = 0x0112  # Exif 2.32, table 4
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEGREES = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}
_FIRST_ON_SIDE = 5  # from this orientation on, width and height change places


def probe_image(file: ReadableFile, name: ImageFormat, size: int, budget: DecodeBudget) -> MediaProbe:
    """What the picture in `file` of `size` bytes is, by its header; one that moves is walked through to its end.

    Raises:
        MediaError: `undecodable` or `too_large`.
    """
    with _opened(file, name, size, budget) as image:
        orientation = _orientation(image)
        width, height = image.size[::-1] if orientation >= _FIRST_ON_SIDE else image.size
        ends = [end_ms for _, _, end_ms in _moving(image, size, budget)] if _moves(image, name) else []
        moving = len(ends) > 1
        seconds = ends[-1] / 1000 if moving else 0.0
        return MediaProbe(
            kind="video" if moving else "image",
            container=name,
            codec=name,
            width=width,
            height=height,
            rotation=_DEGREES.get(orientation, 0),
            duration_s=seconds,
            fps=len(ends) / seconds if moving else 0.0,
            frame_count=len(ends) if moving else 1,
            key_frames_ms=(0,) if moving else (),
        )


def decode_image(
    file: ReadableFile, name: ImageFormat, size: int, plan: FramePlan, budget: DecodeBudget
) -> Generator[DecodedFrame, None, None]:
    """The picture in `file`, or of a moving one the frames that `plan` asks for, in time order.

    A frame is written (`DecodedFrame.write`) before the next is asked for. Only the first is a key frame; frames are
    numbered from zero.

    Raises:
        MediaError: `undecodable` or `too_large`.
    """
    with _opened(file, name, size, budget) as image:
        source, orientation = image.size, _orientation(image)
        if not _moves(image, name):
            if plan.start_s == 0.0:
                image.draft(None, (plan.max_side, plan.max_side))  # JPEG alone can decode at 1/2, 1/4, 1/8
                image.load()
                yield _decoded(image, source, orientation, plan.max_side, 0, 0)
            return
        slots = None if plan.rate_fps is None else Slots(plan, plan.rate_fps, None)
        left = plan.max_frames
        for index, (frame, start_ms, _) in enumerate(_moving(image, size, budget)):
            time_s = start_ms / 1000
            if left == 0 or (plan.end_s is not None and time_s >= plan.end_s - TOLERANCE_S):
                return
            if slots is None:
                wanted = time_s >= plan.start_s - TOLERANCE_S
            else:
                slot = slots.of(time_s)
                wanted = slots.wants(slot)
                slots.fill(slot)
            if wanted:
                left -= 1
                yield _decoded(frame, source, orientation, plan.max_side, index, start_ms)


@contextmanager
def _opened(file: ReadableFile, name: ImageFormat, size: int, budget: DecodeBudget) -> Iterator[Image.Image]:
    """The picture by the one reader that its content asks for, its header within the budget."""
    plugin = _PLUGINS[name]
    importlib.import_module(f"PIL.{plugin}ImagePlugin")
    try:
        with Image.open(cast("IO[bytes]", file), formats=[plugin.upper()]) as image:
            budget.check_image(*image.size, size)
            yield image
    except Image.DecompressionBombError:
        raise MediaError("too_large", f"the {name} picture has more pixels than any camera") from None
    except MemoryError:
        raise MediaError("too_large", f"the {name} picture needs more memory than a decoder is given") from None
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, EOFError, ArithmeticError, RuntimeError):
        # What Pillow's readers raise when the data is not what they expect.
        raise MediaError("undecodable", f"the {name} picture is damaged or incomplete") from None


def _moves(image: Image.Image, name: ImageFormat) -> bool:
    return name in _CAN_MOVE and bool(getattr(image, "is_animated", False))


def _moving(image: Image.Image, size: int, budget: DecodeBudget) -> Iterator[tuple[Image.Image, int, int]]:
    """Frames of a moving picture in order: (the decoded frame, when it appears, when it goes), in milliseconds."""
    pixels = budget.video_free_pixels + size * budget.image_pixels_per_byte
    end_ms = 0
    for index in itertools.count():
        try:
            image.seek(index)
        except EOFError:
            return
        pixels -= image.width * image.height
        if index >= budget.frames or pixels < 0:
            raise MediaError("too_large", "the moving picture has more frames than its size accounts for")
        image.load()
        shown_ms = round(float(image.info.get("duration") or 0))
        start_ms = end_ms
        end_ms += shown_ms if shown_ms >= _HURRIED_MS else _UNHURRIED_MS
        yield image, start_ms, end_ms


def _orientation(image: Image.Image) -> int:
    """Exif orientation 1 to 8; damaged Exif data is no reason not to show the picture."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - Pillow's Exif reader raises whatever its tables lead it to
        return 1
    return orientation if orientation in _TURNS else 1


def _decoded(
    image: Image.Image, source: tuple[int, int], orientation: int, max_side: int, number: int, pts_ms: int
) -> DecodedFrame:
    on_side = orientation >= _FIRST_ON_SIDE
    lying = fitted(*source, max_side)
    width, height = lying[::-1] if on_side else lying
    source_width, source_height = source[::-1] if on_side else source

    def write(buffer: memoryview) -> None:
        picture = _rgb(image)
        if picture.size != lying:
            picture = picture.resize(lying, Image.Resampling.LANCZOS, reducing_gap=3.0)
        if orientation in _TURNS:
            picture = picture.transpose(_TURNS[orientation])
        data = picture.tobytes()
        buffer[: len(data)] = data

    return DecodedFrame(number, pts_ms, number == 0, width, height, source_width, source_height, write)


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode of Pillow as 8-bit RGB; what is transparent turns white."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        little = image.mode in {"I;16", "I;16L"}
        return Image.frombytes("L", image.size, image.tobytes()[1 if little else 0 :: 2]).convert("RGB")
    if image.mode in {"I", "F"}:
        return _stretched(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        below = Image.new("RGB", layer.size, _WHITE)
        below.paste(layer, mask=layer.getchannel("A"))
        return below
    return image.convert("RGB")


def _stretched(image: Image.Image) -> Image.Image:
    """Samples of 32 bits, whose scale nobody states, from their least to their greatest as 0 to 255."""
    low, high = cast("tuple[float, float]", image.getextrema())
    scale = 255.0 / (high - low) if high > low else 0.0
    return image.convert("F").point(lambda value: value * scale - low * scale).convert("L")
