"""Decoding video on the GPU: whether this process can, and which streams it really decodes there.

Runs in the sandbox's workers. The device is opened before the process is confined, and so before it sees any media.

What PyAV calls a fallback is one for codecs and formats only: without a driver `av.open(…, hwaccel=…)` raises
(av/video/codeccontext.py catches NotImplementedError alone). Hence the device is tried once here.
"""

from dataclasses import dataclass

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from agents.media.frames import Decoding, HardwareKind

_DEVICE = "cuda"
# All contexts of the process are one, the device's primary: opening it for a stream then costs no time and memory.
_OPTIONS: dict[str, object] = {"primary_ctx": "1"}


@dataclass(frozen=True, slots=True)
class Hardware:
    """What streams are opened with.

    Attributes:
        accel: PyAV's request, or None for software.
        why_not: Why software, where it is.
        context: Keeps the device open between streams.
    """

    accel: HWAccel | None
    why_not: str = ""
    context: HWAccel | None = None


SOFTWARE = Hardware(None, "media.hardware_decoding is none")


class Unfit(Exception):
    """The device decodes the stream otherwise than software does."""


def request() -> HWAccel:
    """What PyAV is asked for: frames decoded by CUDA (NVDEC), handed over in ordinary memory."""
    return HWAccel(_DEVICE, allow_software_fallback=True, options=_OPTIONS)


def open_hardware(kind: HardwareKind) -> Hardware:
    """Opens the device for this process, or says why there is none. Raises nothing.

    Which GPU it is says CUDA_VISIBLE_DEVICES.
    """
    if kind == "none":
        return SOFTWARE
    if _DEVICE not in hwdevices_available():
        return Hardware(None, "this FFmpeg is built without CUDA")
    accel = request()
    before = av.logging.get_level()
    # FFmpeg's log alone names the library or the device that is missing.
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as said:
            return Hardware(accel, context=accel.create(av.Codec("h264", "r")))
    except NotImplementedError:
        return Hardware(None, "this FFmpeg decodes nothing by CUDA")
    except av.FFmpegError as error:
        words = "; ".join(message.strip() for _, _, message in said)
        return Hardware(None, f"CUDA does not open: {words or error.strerror}")
    finally:
        av.logging.set_level(before)


def decoding_of(stream: VideoStream, frame: VideoFrame, hardware: Hardware) -> Decoding:
    """What has decoded the first frame of a stream: known only now, as FFmpeg decides at the first packet.

    Raises:
        Unfit: The device did, and left a margin on that software cuts off: of hardware frames FFmpeg crops right and
            bottom only (libavcodec/decode.c, libavutil/frame.c, av_frame_apply_cropping).
    """
    context = stream.codec_context
    if hardware.accel is None:
        return Decoding("software", hardware.why_not)
    if not context.is_hwaccel:
        return Decoding("software", f"FFmpeg's decoder {context.name} has no CUDA")
    if context.pix_fmt != _DEVICE:
        return Decoding("software", f"the device does not decode {context.name} as {context.pix_fmt}")
    if (frame.width, frame.height) != (context.width, context.height):
        raise Unfit(f"the device does not crop {context.name} as it is marked")
    return Decoding("cuda")
