"""Decoded video frames to upright RGB: colour space and range, pixel shape, rotation, size."""

import struct
from fractions import Fraction

from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from agents.media.frames import DecodedFrame, fitted

# ITU-T H.273 matrix coefficients, as FFmpeg's AVColorSpace, to the tables of swscale.
_COLOUR_SPACES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_HD_LINES = 720  # untagged video of at least this many lines is BT.709 and below it BT.601, as players assume
_FULL_RANGE_FORMATS = ("yuvj", "rgb", "bgr", "gbr", "gray", "pal8", "argb", "abgr")

# How NVDEC hands frames over, to what software decoders make of the same stream: the same samples, otherwise laid out
# (ff_nvdec_frame_params in libavcodec/nvdec.c). swscale mixes the chroma of the two layouts differently into RGB, so a
# frame is laid out as software's before anything else is done with it.
_AS_SOFTWARE = {
    "nv12": "yuv420p",
    "nv16": "yuv422p",
    "p010le": "yuv420p10le",
    "p016le": "yuv420p12le",
    "p210le": "yuv422p10le",
    "p216le": "yuv422p12le",
    "yuv444p10msble": "yuv444p10le",
    "yuv444p12msble": "yuv444p12le",
}

# Display matrix (a, b, c, d) by sign -> (degrees clockwise, the transposition that does it, whether sides swap).
_UPRIGHT = {
    (1, 0, 0, 1): (0, None),
    (0, 1, -1, 0): (90, "ROTATE_270"),
    (-1, 0, 0, -1): (180, "ROTATE_180"),
    (0, -1, 1, 0): (270, "ROTATE_90"),
    (-1, 0, 0, 1): (0, "FLIP_LEFT_RIGHT"),
    (1, 0, 0, -1): (180, "FLIP_TOP_BOTTOM"),
    (0, 1, 1, 0): (90, "TRANSPOSE"),
    (0, -1, -1, 0): (270, "TRANSVERSE"),
}
_SQUARE = Fraction(1)
_WIDEST_PIXEL = 4  # beyond 4:1 a pixel aspect ratio is a mistake or an attack, and is taken as square


class Conversion:
    """Makes RGB of frames, keeping swscale's tables from one frame to the next. Not for several threads.

    Args:
        max_side: Longest side of what comes out, in pixels.
        pixel_aspect: Width of a stored pixel over its height, or None for square.
    """

    def __init__(self, max_side: int, pixel_aspect: Fraction | None) -> None:
        self._max_side = max_side
        self._aspect = pixel_aspect or _SQUARE
        if not Fraction(1, _WIDEST_PIXEL) <= self._aspect <= _WIDEST_PIXEL:
            self._aspect = _SQUARE
        self._reformatter = VideoReformatter()
        self._layout = VideoReformatter()
        self._turns: dict[int, tuple[int, str | None]] = {}

    def upright_size(self, frame: VideoFrame) -> tuple[int, int, int]:
        """(width, height, degrees clockwise) of the frame as a player shows it, before scaling down."""
        degrees, turn = self._turn(frame)
        width, height = self._square(frame)
        return (height, width, degrees) if _swaps(turn) else (width, height, degrees)

    def decoded(self, frame: VideoFrame, number: int, pts_ms: int) -> DecodedFrame:
        """`frame` ready to be written as RGB."""
        _, turn = self._turn(frame)
        source = self._square(frame)
        lying = fitted(*source, self._max_side)

        def write(buffer: memoryview) -> None:
            self._write(frame, lying, turn, buffer)

        width, height = lying[::-1] if _swaps(turn) else lying
        source_width, source_height = source[::-1] if _swaps(turn) else source
        return DecodedFrame(number, pts_ms, bool(frame.key_frame), width, height, source_width, source_height, write)

    def _turn(self, frame: VideoFrame) -> tuple[int, str | None]:
        # PyAV makes a reference cycle of a frame and its side data, and so keeps its picture in memory until the
        # garbage collector comes by: the matrix is read once for each angle that occurs, not of every frame.
        angle = frame.rotation
        if angle not in self._turns:
            self._turns[angle] = _turn(frame)
        return self._turns[angle]

    def _square(self, frame: VideoFrame) -> tuple[int, int]:
        return max(1, round(frame.width * self._aspect)), frame.height

    def _write(self, frame: VideoFrame, size: tuple[int, int], turn: str | None, buffer: memoryview) -> None:
        width, height = size
        if (layout := _AS_SOFTWARE.get(frame.format.name)) is not None:
            frame = self._layout.reformat(frame, format=layout, threads=1)
        name = frame.format.name
        full = frame.color_range == ColorRange.JPEG or name.startswith(_FULL_RANGE_FORMATS)
        untagged = Colorspace.ITU709 if frame.height >= _HD_LINES else Colorspace.ITU601
        picture = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=_COLOUR_SPACES.get(frame.colorspace, untagged),
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA if frame.width > width else Interpolation.BICUBIC,
            threads=1,
        )
        plane = picture.planes[0]
        rows, row = memoryview(plane), width * 3
        if turn is not None:
            _turned(rows, size, plane.line_size, turn, buffer)
        elif plane.line_size == row:
            buffer[: row * height] = rows[: row * height]
        else:
            for line in range(height):
                start = line * plane.line_size
                buffer[line * row : (line + 1) * row] = rows[start : start + row]


def _turned(rows: memoryview, size: tuple[int, int], stride: int, turn: str, buffer: memoryview) -> None:
    from PIL import Image  # noqa: PLC0415 - most videos stand upright: a decoder starts without it

    picture = Image.frombytes("RGB", size, bytes(rows), "raw", "RGB", stride, 1)
    data = picture.transpose(Image.Transpose[turn]).tobytes()
    buffer[: len(data)] = data


def _swaps(turn: str | None) -> bool:
    return turn in {"ROTATE_90", "ROTATE_270", "TRANSPOSE", "TRANSVERSE"}


def _turn(frame: VideoFrame) -> tuple[int, str | None]:
    """The quarter turn or mirroring that the frame's display matrix asks for; one askew counts as the nearest."""
    side_data = frame.side_data
    if not isinstance(side_data, SideDataContainer):
        return 0, None
    try:
        matrix = struct.unpack("=9i", bytes(side_data["DISPLAYMATRIX"]))
    except (KeyError, struct.error):
        return 0, None
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        b = c = 0
    else:
        a = d = 0
    return _UPRIGHT.get((_sign(a), _sign(b), _sign(c), _sign(d)), (0, None))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
