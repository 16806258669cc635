"""Decoding on the GPU: without one, the same frames by software and the reason; with one, the same frames."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream
from numpy.typing import NDArray

from agents.media import video
from agents.media.answers import decoding_in
from agents.media.conversion import Conversion
from agents.media.exceptions import MediaError
from agents.media.fetch import Fetcher
from agents.media.frames import DecodeBudget, Decoding, FramePlan
from agents.media.hardware import SOFTWARE, Hardware, Unfit, decoding_of, open_hardware, request
from agents.media.protocol import Kind, Message, ProtocolError
from agents.media.sandbox import DecoderPool
from agents.media.sandbox_policy import SandboxPolicy
from agents.media.sniff import VideoFormat, sniff_bytes
from agents.media.video import decode_video
from tests.support.media import Clip, MediaFolder, Pixels, without_moov

SIDE = 320
PLANS = [FramePlan(max_side=SIDE), FramePlan(start_s=0.3, rate_fps=10.0, max_side=160)]
TEN_BITS = (("preset", "ultrafast"), ("x265-params", "log-level=none"))
CLIPS = [
    ("mp4", Clip(frames=40, gop=12, options=(("preset", "medium"), ("x264-params", "open-gop=1")))),
    ("mp4", Clip(frames=20, rotation=90)),
    ("mkv", Clip(frames=20, codec="libx265", options=TEN_BITS)),
    ("mkv", Clip(frames=20, codec="libx265", options=TEN_BITS, pixel_format="yuv420p10le")),
    ("mp4", Clip(frames=20, codec="libsvtav1", options=(("preset", "12"), ("svtav1-params", "tune=0")))),
    ("webm", Clip(frames=20, codec="libvpx", options=(("deadline", "realtime"), ("cpu-used", "8")))),
    ("webm", Clip(frames=20, codec="libvpx-vp9", options=(("deadline", "realtime"), ("cpu-used", "8")))),
    ("mov", Clip(frames=20, codec="mjpeg", options=(), pixel_format="yuvj420p")),
    ("avi", Clip(frames=20, codec="mpeg4", options=())),
    ("mpg", Clip(frames=20, codec="mpeg2video", options=())),
    ("flv", Clip(frames=20, codec="flv", options=())),
    ("ts", Clip(frames=20, sound=True)),
]
NAMES = [f"{clip.codec}-{suffix}-{clip.pixel_format}-{clip.frames}" for suffix, clip in CLIPS]
no_device = pytest.mark.skipif(open_hardware("cuda").accel is not None, reason="there is a CUDA device")
needs_device = pytest.mark.skipif(
    open_hardware("cuda").accel is None, reason=f"needs a CUDA device: {open_hardware('cuda').why_not}"
)
Seen = tuple[int, int, bool, bytes]


def decoded(data: bytes, plan: FramePlan, hardware: Hardware) -> tuple[list[Seen], list[Decoding]]:
    """What decoding gives, and what it says has decoded."""
    buffer, seen, said = bytearray(SIDE * SIDE * 3), [], list[Decoding]()
    frames = decode_video(io.BytesIO(data), container(data), len(data), plan, DecodeBudget(), 1, hardware, said.append)
    for frame in frames:
        frame.write(memoryview(buffer))
        pixels = bytes(buffer[: frame.width * frame.height * 3])
        seen.append((frame.frame_number, frame.pts_ms, frame.is_key, pixels))
    return seen, said


def container(data: bytes) -> VideoFormat:
    sniffed = sniff_bytes(data[:4096])
    assert sniffed.kind == "video"
    return sniffed.format  # type: ignore[return-value]


@no_device
def test_without_a_device_the_library_that_is_missing_is_named() -> None:
    hardware = open_hardware("cuda")
    assert hardware.accel is None
    assert hardware.why_not.startswith("CUDA does not open: ")
    assert hardware.why_not != "CUDA does not open: Operation not permitted"


def test_hardware_that_is_not_asked_for_is_not_looked_for() -> None:
    assert open_hardware("none") is SOFTWARE


class TestFallback:
    """What software does in place of a device. `request()` makes a device that fails when a stream is opened."""

    @no_device
    @pytest.mark.parametrize(("suffix", "clip"), CLIPS, ids=NAMES)
    def test_every_clip_gives_the_same_frames_where_the_device_fails(
        self, media: MediaFolder, suffix: str, clip: Clip
    ) -> None:
        data = media.clip(clip, suffix).read_bytes()
        for plan in PLANS:
            plain, by_default = decoded(data, plan, SOFTWARE)
            seen, said = decoded(data, plan, Hardware(request()))
            assert plain
            assert seen == plain
            assert by_default == [Decoding("software", "media.hardware_decoding is none")]
            assert [decoding.decoder for decoding in said] == ["software"]

    @no_device
    def test_the_reason_is_the_devices_or_the_codecs(self, media: MediaFolder) -> None:
        for (suffix, clip), why in (
            (CLIPS[0], "on the device: the device or the mp4 container is damaged"),
            (CLIPS[4], "FFmpeg's decoder libdav1d has no CUDA"),
            (CLIPS[10], "FFmpeg's decoder flv has no CUDA"),
        ):
            _, said = decoded(media.clip(clip, suffix).read_bytes(), PLANS[0], Hardware(request()))
            assert said[0].why.startswith(why)

    def test_a_device_that_decodes_otherwise_is_passed_over_before_its_first_frame(
        self, media: MediaFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unfit_device(stream: VideoStream, frame: VideoFrame, hardware: Hardware) -> Decoding:
            if hardware.accel is not None:
                raise Unfit("the device does not crop as it is marked")
            return decoding_of(stream, frame, hardware)

        monkeypatch.setattr(video, "decoding_of", unfit_device)
        data = media.clip(CLIPS[10][1], "flv").read_bytes()  # opened beside a device, since that is not asked about it
        seen, said = decoded(data, PLANS[0], Hardware(request()))
        assert seen == decoded(data, PLANS[0], SOFTWARE)[0]
        assert said == [Decoding("software", "the device does not crop as it is marked")]

    @pytest.mark.parametrize("hardware", [SOFTWARE, Hardware(request())], ids=["software", "device"])
    def test_what_is_wrong_with_media_stays_wrong(self, media: MediaFolder, hardware: Hardware) -> None:
        good = media.clip(CLIPS[0][1]).read_bytes()
        for data, reason in (
            (without_moov(good), None),
            (good[:2000], None),
            (media.clip(Clip(frames=10, picture=False, sound=True)).read_bytes(), "aac audio and no video"),
        ):
            with pytest.raises(MediaError) as plain:
                decoded(data, PLANS[0], SOFTWARE)
            with pytest.raises(MediaError) as error:
                decoded(data, PLANS[0], hardware)
            assert str(error.value) == str(plain.value)
            assert reason is None or reason in str(error.value)

    def test_a_budget_is_not_spent_twice(self, media: MediaFolder) -> None:
        data = media.clip(CLIPS[0][1]).read_bytes()
        frames = decode_video(
            io.BytesIO(data), "mp4", len(data), PLANS[0], DecodeBudget(frame_pixels=1000), 1, Hardware(request())
        )
        with pytest.raises(MediaError, match="too_large"):
            next(frames)


class TestSandboxed:
    """Decoder processes with the setting on."""

    def pixels(self, pool: DecoderPool, fetcher: Fetcher, path: Path, plan: FramePlan) -> list[tuple[int, bytes]]:
        seen = []
        with fetcher.open(path.as_uri()) as source, pool.frames(source, plan) as frames:
            for frame in frames:
                with frame:
                    seen.append((frame.pts_ms, frame.pixels.tobytes()))
        return seen

    @no_device
    def test_processes_fall_back_and_say_so(self, media: MediaFolder, fetcher: Fetcher, pool: DecoderPool) -> None:
        said: list[Decoding] = []
        policy = SandboxPolicy(workers=1, max_side=SIDE, hardware="cuda")
        with DecoderPool(policy, said.append) as on:
            for suffix, clip in CLIPS[:5]:
                path = media.clip(clip, suffix)
                assert self.pixels(on, fetcher, path, PLANS[0]) == self.pixels(pool, fetcher, path, PLANS[0])
        assert {decoding.decoder for decoding in said} == {"software"}
        assert {decoding.why for decoding in said} == {open_hardware("cuda").why_not}
        assert len(said) == 5

    @no_device
    def test_nothing_is_relaxed_where_there_is_no_device(self) -> None:
        with DecoderPool(SandboxPolicy(workers=1, hardware="cuda")) as pool:
            held = limits(pool)
        assert held["Max address space"] == str(2 * 1024**3)
        assert held["Max open files"] == "32"
        assert held["Max file size"] == "0"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, None),
        ({"decoder": "cuda", "why": ""}, Decoding("cuda")),
        ({"decoder": "software", "why": "w"}, Decoding("software", "w")),
    ],
)
def test_what_a_process_says_of_its_decoder_is_read(fields: dict[str, object], said: Decoding | None) -> None:
    assert decoding_in(Message(Kind.DONE, fields)) == said


@pytest.mark.parametrize("fields", [{"decoder": "gpu", "why": ""}, {"decoder": 1, "why": ""}, {"decoder": "cuda"}])
def test_what_no_decoder_would_say_is_a_breach_of_the_protocol(fields: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        decoding_in(Message(Kind.DONE, fields))


def limits(pool: DecoderPool) -> dict[str, str]:
    """The soft limits of a pool's one process, once it has started."""
    while not pool.pids:
        os.sched_yield()
    lines = Path(f"/proc/{pool.pids[0]}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[0] for line in lines}


# 0x4000 is MAP_NORESERVE, which Python knows from 3.13 on.
CONFINED = """
import mmap, os
from agents.media.confinement import confine
print(*confine(os.getppid(), {most}, device={device}), sep=",")
for name, size, prot in (("reserved", 64 << 30, 0), ("small", 64 << 20, 3), ("large", 512 << 20, 3)):
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | 0x4000, prot=prot)
        print(name, "mapped")
    except OSError:
        print(name, "refused")
"""


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (False, ["reserved refused", "small mapped", "large refused"]),
        (True, ["reserved mapped", "small mapped", "large refused"]),
    ],
)
def test_beside_a_device_addresses_may_be_reserved_and_memory_stays_limited(device: bool, expected: list[str]) -> None:
    program = CONFINED.format(most=384 << 20 if not device else 256 << 20, device=device)
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    measures, *lines = answer.stdout.splitlines()
    assert lines == expected
    assert {"no file writes", "no new privileges", "dies with its parent", "no core dumps"} <= set(measures.split(","))


# What NVDEC hands over, what software decodes to, and the depth and shift of the samples in 16 bits.
LAYOUTS = [
    ("nv12", "yuv420p", 8, 0),
    ("nv16", "yuv422p", 8, 0),
    ("p010le", "yuv420p10le", 10, 6),
    ("p016le", "yuv420p12le", 12, 4),
    ("p210le", "yuv422p10le", 10, 6),
    ("p216le", "yuv422p12le", 12, 4),
    ("yuv444p10msble", "yuv444p10le", 10, 6),
    ("yuv444p12msble", "yuv444p12le", 12, 4),
]


@pytest.mark.parametrize(("hard", "soft", "bits", "shift"), LAYOUTS, ids=[hard for hard, *_ in LAYOUTS])
@pytest.mark.parametrize("colours", [ColorRange.MPEG, ColorRange.JPEG], ids=["limited", "full"])
@pytest.mark.parametrize("max_side", [1000, 150], ids=["same size", "smaller"])
def test_a_frame_as_the_device_hands_it_over_has_the_pixels_of_softwares(
    hard: str, soft: str, bits: int, shift: int, colours: ColorRange, max_side: int
) -> None:
    width, height = 322, 182
    samples = np.random.default_rng(0)
    ours, devices = VideoFrame(width, height, soft), VideoFrame(width, height, hard)
    planes = [
        samples.integers(0, 1 << bits, size=(plane.height, plane.width), dtype=np.uint16) for plane in ours.planes
    ]
    for plane, values in zip(ours.planes, planes, strict=True):
        fill(plane, values, bits)
    luma, *chroma = planes
    if len(devices.planes) == 2:
        chroma = [np.stack(chroma, axis=-1).reshape(chroma[0].shape[0], -1)]
    for plane, values in zip(devices.planes, [luma, *chroma], strict=True):
        fill(plane, np.left_shift(values, np.uint16(shift)), bits)
    ours.color_range = devices.color_range = int(colours)
    assert (rgb(devices, max_side) == rgb(ours, max_side)).all()


def fill(plane: VideoPlane, values: NDArray[np.uint16], bits: int) -> None:
    bytes_each = 1 if bits == 8 else 2
    rows = np.zeros((plane.buffer_size // plane.line_size, plane.line_size // bytes_each), f"<u{bytes_each}")
    rows[: values.shape[0], : values.shape[1]] = values
    plane.update(rows.tobytes())


def rgb(frame: VideoFrame, max_side: int) -> Pixels:
    written = Conversion(max_side, None).decoded(frame, 0, 0)
    buffer = bytearray(written.width * written.height * 3)
    written.write(memoryview(buffer))
    return np.frombuffer(bytes(buffer), np.uint8)


@pytest.mark.gpu
@needs_device
@pytest.mark.parametrize(("suffix", "clip"), CLIPS, ids=NAMES)
def test_a_device_gives_the_frames_of_software(media: MediaFolder, suffix: str, clip: Clip) -> None:
    data, hardware = media.clip(clip, suffix).read_bytes(), open_hardware("cuda")
    for plan in PLANS:
        seen, said = decoded(data, plan, hardware)
        assert seen == decoded(data, plan, SOFTWARE)[0]
        assert len(said) == 1
        assert said[0].decoder == "cuda" or said[0].why
    if clip.codec in {"libx264", "libx265"}:
        assert said == [Decoding("cuda")]


@pytest.mark.gpu
@needs_device
def test_a_confined_process_decodes_on_the_device(media: MediaFolder, fetcher: Fetcher, pool: DecoderPool) -> None:
    said: list[Decoding] = []
    path = media.clip(CLIPS[0][1])
    sandboxed = TestSandboxed()
    with DecoderPool(SandboxPolicy(workers=1, max_side=SIDE, hardware="cuda"), said.append) as on:
        seen = sandboxed.pixels(on, fetcher, path, PLANS[0])
    assert seen == sandboxed.pixels(pool, fetcher, path, PLANS[0])
    assert said == [Decoding("cuda")]
