"""Decoder processes give what decoding in this process gives, and whatever happens to one stays with it."""

import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.media.exceptions import MediaError
from agents.media.fetch import Fetcher
from agents.media.frames import DecodeBudget, FramePlan
from agents.media.policy import FetchPolicy
from agents.media.sandbox import DecoderPool, DecoderPoolClosed, FramesHeld
from agents.media.sandbox_policy import SandboxPolicy
from agents.media.shared_frames import Frame
from agents.media.sniff import sniff
from agents.media.source import MediaSource
from agents.media.video import decode_video
from tests.support.media import (
    Clip,
    MediaFolder,
    Pixels,
    image_bytes,
    marked_number,
    moving_image_bytes,
    photograph,
    without_moov,
)
from tests.unit.media.web import Web

CLIP = Clip(frames=75, gop=24)
SMALL = FramePlan(max_side=320)
Opener = Callable[[Path], MediaSource]


@pytest.fixture
def opened(fetcher: Fetcher) -> Iterator[Opener]:
    sources: list[MediaSource] = []

    def open_path(path: Path) -> MediaSource:
        sources.append(fetcher.open(path.as_uri()))
        return sources[-1]

    yield open_path
    for source in sources:
        source.close()


class MemorySource(MediaSource):
    """Media that only the parent can read, and that a test can hold up."""

    def __init__(self, data: bytes) -> None:
        super().__init__("memory", len(data), None)
        self.data = data
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()
        self.error: Exception | None = None

    def _read(self, offset: int, length: int) -> bytes:
        self.asked.set()
        self.gate.wait(30)
        if self.error is not None:
            raise self.error
        self.count_read(length)
        return self.data[offset : offset + length]


class Watch:
    """Tells when processes that are not our children, too, have ended."""

    def __init__(self, pids: list[int]) -> None:
        self.fds = [os.pidfd_open(pid) for pid in pids]

    def all_ended(self, within_s: float) -> bool:
        """Whether all have, waiting this long for each."""
        return all(select.select([fd], [], [], within_s)[0] for fd in self.fds)

    def close(self) -> None:
        """Lets go of them."""
        for fd in self.fds:
            os.close(fd)


def taken(frames: Iterator[Frame]) -> list[tuple[int, int, bool, Pixels]]:
    """Copies of all frames, each released at once."""
    seen = []
    for frame in frames:
        with frame:
            seen.append((frame.frame_number, frame.pts_ms, frame.is_key, frame.pixels.copy()))
    return seen


def quick(**fields: object) -> SandboxPolicy:
    return SandboxPolicy(**({"workers": 1, "max_side": 640} | fields))  # type: ignore[arg-type]


def failure(pool: DecoderPool, source: MediaSource, plan: FramePlan = SMALL) -> MediaError:
    with pytest.raises(MediaError) as caught:
        taken(pool.frames(source, plan))
    return caught.value


def test_frames_are_those_that_decoding_here_gives(media: MediaFolder, pool: DecoderPool, opened: Opener) -> None:
    path = media.clip(CLIP)
    plan = FramePlan(rate_fps=5.0, max_side=200)
    expected = []
    buffer = bytearray(200 * 200 * 3)
    with path.open("rb") as file:
        for frame in decode_video(file, "mp4", path.stat().st_size, plan, DecodeBudget()):
            frame.write(memoryview(buffer))
            pixels = np.frombuffer(bytes(buffer[: frame.width * frame.height * 3]), np.uint8)
            expected.append((frame.frame_number, pixels.reshape(frame.height, frame.width, 3)))
    seen = taken(pool.frames(opened(path), plan))
    assert [number for number, *_ in seen] == [number for number, _ in expected]
    assert all(np.array_equal(pixels, wanted) for (*_, pixels), (_, wanted) in zip(seen, expected, strict=True))


def test_local_media_is_read_by_the_decoder_and_counted_by_the_source(
    media: MediaFolder, pool: DecoderPool, opened: Opener
) -> None:
    source = opened(media.clip(CLIP))
    probe = pool.probe(source, sniff(source))
    assert (probe.width, probe.height, probe.frame_count) == (320, 240, 75)
    assert len(taken(pool.frames(source, SMALL))) == 75
    assert source.size <= source.bytes_read < 3 * source.size


def test_remote_media_is_read_by_the_parent(media: MediaFolder, pool: DecoderPool, web: Web) -> None:
    data = media.clip(CLIP).read_bytes()
    with (
        Fetcher(FetchPolicy(allow_private_addresses=True)) as fetcher,
        fetcher.open(web.serve("/clip", data, ETag='"1"')) as source,
    ):
        assert pool.probe(source).frame_count == 75
        assert [marked_number(pixels) for *_, pixels in taken(pool.frames(source, SMALL))] == list(range(75))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_remote_pictures_are_read_across_blocks(media: MediaFolder, pool: DecoderPool, form: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    options = {"quality": 100} if form in {"JPEG", "AVIF"} else {"lossless": True} if form == "WEBP" else {}
    data = image_bytes(noise, form, **options)
    assert len(data) > 100_000
    local = media.write(f"noise.{form}", data)
    with Fetcher(FetchPolicy(roots=(local.parent,))) as fetcher, fetcher.open(local.as_uri()) as source:
        expected = taken(pool.frames(source, SMALL))[0][3]
    (remote,) = taken(pool.frames(MemorySource(data), SMALL))
    assert np.array_equal(remote[3], expected)


def test_segments_read_little_more_than_their_own_bytes(media: MediaFolder, pool: DecoderPool, web: Web) -> None:
    options = (("preset", "ultrafast"), ("b", "1500k"))
    data = media.clip(Clip(width=640, height=480, frames=600, gop=30, options=options)).read_bytes()
    url = web.serve("/clip", data, ETag='"1"')
    policy = FetchPolicy(allow_private_addresses=True, block_bytes=64 * 1024, read_ahead_bytes=64 * 1024)
    read, seen = [], 0
    for start in range(0, 20, 2):
        # A fetcher each: ten workers that share nothing.
        with Fetcher(policy) as fetcher, fetcher.open(url) as source:
            plan = FramePlan(start_s=start, end_s=start + 2, rate_fps=5.0, max_side=320)
            seen += len(taken(pool.frames(source, plan)))
            read.append(source.bytes_read)
    assert seen == 100
    # Each its tenth, the head of the file, and what blocks and reading ahead overshoot at both ends.
    assert max(read) < len(data) / 10 + 450_000


@pytest.mark.parametrize("name", ["picture.mp4", "video.jpeg"])
def test_a_wrong_extension_changes_nothing(media: MediaFolder, pool: DecoderPool, opened: Opener, name: str) -> None:
    is_picture = name.startswith("picture")
    data = image_bytes(photograph(), "JPEG") if is_picture else media.clip(CLIP).read_bytes()
    source = opened(media.write(name, data))
    assert pool.probe(source).kind == ("image" if is_picture else "video")
    assert len(taken(pool.frames(source, SMALL))) == (1 if is_picture else 75)


@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_moving_pictures_come_frame_by_frame(media: MediaFolder, pool: DecoderPool, opened: Opener, form: str) -> None:
    source = opened(media.write(f"moving.{form}", moving_image_bytes(form, [100] * 12)))
    assert [pts_ms for _, pts_ms, *_ in taken(pool.frames(source, FramePlan(rate_fps=5.0, max_side=96)))] == [
        0,
        200,
        400,
        600,
        800,
        1000,
    ]


def bad_media(media: MediaFolder) -> dict[str, tuple[bytes, str]]:
    whole = media.clip(CLIP).read_bytes()
    jpeg = image_bytes(photograph(), "JPEG")
    return {
        "empty": (b"", "undecodable"),
        "one byte": (b"\0", "unsupported"),
        "text": (b"hello, world", "unsupported"),
        "HLS playlist": (b"#EXTM3U\n#EXTINF:2,\nfile:///etc/passwd\n", "unsupported"),
        "concat list": (b"ffconcat version 1.0\nfile /etc/passwd\n", "unsupported"),
        "no index": (without_moov(whole), "undecodable"),
        "half a JPEG": (jpeg[: len(jpeg) // 2], "undecodable"),
        "audio alone": (media.clip(Clip(picture=False, sound=True)).read_bytes(), "unsupported"),
        "no frames": (media.clip(Clip(frames=0, fragmented=True)).read_bytes(), "undecodable"),
        "no data": (whole[: whole.index(b"mdat") + 4], "undecodable"),
    }


BAD = [
    "empty",
    "one byte",
    "text",
    "HLS playlist",
    "concat list",
    "no index",
    "half a JPEG",
    "audio alone",
    "no frames",
    "no data",
]


@pytest.mark.parametrize("case", BAD)
def test_bad_media_has_a_typed_end_and_the_decoder_lives_on(
    media: MediaFolder, pool: DecoderPool, opened: Opener, case: str
) -> None:
    data, kind = bad_media(media)[case]
    pids = pool.pids
    error = failure(pool, opened(media.write("bad.mp4", data)))
    assert (error.kind, error.transient) == (kind, False)
    assert len(taken(pool.frames(opened(media.clip(CLIP)), SMALL))) == 75
    assert pool.pids == pids


def test_pixels_are_shared_read_only_and_gone_when_released(
    media: MediaFolder, pool: DecoderPool, opened: Opener
) -> None:
    with pool.frames(opened(media.clip(CLIP)), SMALL) as frames:
        frame = next(frames)
        assert not frame.pixels.flags.writeable
        assert not frame.pixels.flags.owndata
        frame.release()
        frame.release()
        with pytest.raises(ValueError, match="released"):
            _ = frame.pixels


def test_the_decoder_waits_for_slots_and_goes_on_when_they_are_released(media: MediaFolder, opened: Opener) -> None:
    with DecoderPool(quick(ring_slots=3, frame_timeout_s=0.6)) as pool:
        source = opened(media.clip(CLIP))
        with pool.frames(source, SMALL) as frames:
            held = [next(frames) for _ in range(3)]
            # Longer than a decoder may be silent: but it is not its turn.
            assert not threading.Event().wait(1.2)
            assert [marked_number(frame.pixels) for frame in held] == [0, 1, 2]
            for frame in held:
                frame.release()
            assert [marked_number(pixels) for *_, pixels in taken(frames)] == list(range(3, 75))


def test_holding_every_frame_and_asking_for_more_is_an_error(media: MediaFolder, opened: Opener) -> None:
    policy = quick(ring_slots=2, held_timeout_s=0.2)
    with DecoderPool(policy) as pool, pool.frames(opened(media.clip(CLIP)), SMALL) as frames:
        held = [next(frames), next(frames)]
        with pytest.raises(FramesHeld):
            next(frames)
        held[0].release()
        assert marked_number(next(frames).pixels) == 2


def test_frames_that_are_forgotten_are_released(media: MediaFolder, opened: Opener) -> None:
    with DecoderPool(quick(ring_slots=2)) as pool:
        numbers = []
        for frame in pool.frames(opened(media.clip(CLIP)), SMALL):
            numbers.append(frame.frame_number)
            del frame
        assert numbers == list(range(75))


def test_a_view_of_a_forgotten_frame_keeps_its_slot(media: MediaFolder, opened: Opener) -> None:
    with DecoderPool(quick(ring_slots=2)) as pool:
        frames = pool.frames(opened(media.clip(CLIP)), SMALL)
        crop = next(frames).pixels[:, 10:200]
        kept = crop.copy()
        gc.collect()
        taken(frames)
        assert np.array_equal(crop, kept)


def test_a_stream_closed_early_frees_its_decoder_for_the_next(
    media: MediaFolder, pool: DecoderPool, opened: Opener
) -> None:
    source, pids = opened(media.clip(CLIP)), pool.pids
    for _ in range(5):
        with pool.frames(source, SMALL) as frames:
            next(frames).release()
        with pytest.raises(StopIteration):
            next(frames)
    assert len(taken(pool.frames(source, SMALL))) == 75
    assert pool.pids == pids


def test_frames_that_a_closed_stream_left_are_free_again(media: MediaFolder, opened: Opener) -> None:
    with DecoderPool(quick(ring_slots=2)) as pool:
        source = opened(media.clip(CLIP))
        closed = [pool.frames(source, SMALL) for _ in range(4)]
        for stream in closed:
            next(stream).release()
            stream.close()
        assert len(taken(pool.frames(source, SMALL))) == 75


def test_a_stream_that_is_forgotten_frees_its_decoder(media: MediaFolder, opened: Opener) -> None:
    with DecoderPool(quick(ring_slots=2)) as pool:
        source = opened(media.clip(CLIP))
        next(pool.frames(source, SMALL)).release()
        pids = pool.pids
        assert len(taken(pool.frames(source, SMALL))) == 75
        assert pool.pids == pids


def test_a_source_may_be_closed_with_its_stream(media: MediaFolder, pool: DecoderPool, fetcher: Fetcher) -> None:
    with fetcher.open(media.clip(CLIP).as_uri()) as source, pool.frames(source, SMALL) as frames:
        next(frames).release()
    with fetcher.open(media.clip(CLIP).as_uri()) as source:
        assert len(taken(pool.frames(source, SMALL))) == 75


def test_many_threads_use_one_pool(media: MediaFolder, opened: Opener) -> None:
    source = opened(media.clip(CLIP))
    results: list[list[int]] = []
    with DecoderPool(quick(workers=2)) as pool:

        def use() -> None:
            for _ in range(3):
                marks = [marked_number(pixels) for *_, pixels in taken(pool.frames(source, SMALL))]
                results.append(marks)

        threads = [threading.Thread(target=use) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [list(range(75))] * 18


def test_a_failing_origin_is_the_jobs_error_and_the_decoder_lives_on(media: MediaFolder, pool: DecoderPool) -> None:
    source, pids = MemorySource(media.clip(CLIP).read_bytes()), pool.pids
    source.read_at(0, 4096)
    source.error = MediaError("unreachable", "the origin is gone", transient=True)
    with pytest.raises(MediaError, match="the origin is gone") as caught:
        taken(pool.frames(source, SMALL, sniff(MemorySource(source.data))))
    assert caught.value.transient
    assert pool.pids == pids


def test_an_origin_that_never_answers_is_given_up(media: MediaFolder) -> None:
    with DecoderPool(quick(read_timeout_s=0.4)) as pool:
        source = MemorySource(media.clip(CLIP).read_bytes())
        sniffed = sniff(source)
        source.gate.clear()
        with pytest.raises(MediaError, match="in time") as caught:
            taken(pool.frames(source, SMALL, sniffed))
        source.gate.set()
        assert (caught.value.kind, caught.value.transient) == ("unreachable", True)


def test_a_job_can_be_cancelled_while_its_origin_is_waited_for(media: MediaFolder) -> None:
    with DecoderPool(quick()) as pool:
        source = MemorySource(media.clip(CLIP).read_bytes())
        sniffed = sniff(source)
        source.gate.clear()
        source.asked.clear()
        pids = pool.pids
        with pool.frames(source, SMALL, sniffed):
            assert source.asked.wait(10)
        assert len(taken(pool.frames(MemorySource(source.data), SMALL))) == 75
        source.gate.set()
        assert not pids or pool.pids == pids


def test_a_decoder_that_is_killed_ends_its_job_and_is_replaced(media: MediaFolder, opened: Opener) -> None:
    with DecoderPool(quick()) as pool:
        source = opened(media.clip(CLIP))
        with pool.frames(source, SMALL) as frames:
            held = next(frames)
            (pid,) = pool.pids
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(MediaError, match="SIGKILL") as caught:
                taken(frames)
        assert (caught.value.kind, caught.value.transient) == ("undecodable", True)
        assert marked_number(held.pixels) == 0
        held.release()
        assert len(taken(pool.frames(source, SMALL))) == 75
        assert pool.pids != [pid]


def test_a_decoder_that_crashes_ends_its_job(media: MediaFolder, opened: Opener) -> None:
    with DecoderPool(quick()) as pool, pool.frames(opened(media.clip(CLIP)), SMALL) as frames:
        next(frames).release()
        os.kill(pool.pids[0], signal.SIGSEGV)
        with pytest.raises(MediaError, match="SIGSEGV") as caught:
            taken(frames)
        assert (caught.value.kind, caught.value.transient) == ("undecodable", False)


def test_a_decoder_that_hangs_is_killed_and_replaced(media: MediaFolder, opened: Opener) -> None:
    with DecoderPool(quick(frame_timeout_s=0.5)) as pool:
        source = opened(media.clip(CLIP))
        with pool.frames(source, SMALL) as frames:
            next(frames).release()
            (pid,) = pool.pids
            watch = Watch([pid])
            os.kill(pid, signal.SIGSTOP)
            with pytest.raises(MediaError, match="no frame for") as caught:
                taken(frames)
        assert (caught.value.kind, caught.value.transient) == ("undecodable", False)
        assert watch.all_ended(10)
        watch.close()
        assert len(taken(pool.frames(source, SMALL))) == 75


def test_a_decoder_that_does_not_leave_a_cancelled_job_is_killed_and_replaced(
    media: MediaFolder, opened: Opener
) -> None:
    with DecoderPool(quick(cancel_timeout_s=0.4)) as pool:
        source = opened(media.clip(CLIP))
        with pool.frames(source, SMALL) as frames:
            next(frames).release()
            watch = Watch(pool.pids)
            os.kill(pool.pids[0], signal.SIGSTOP)
        assert pool.probe(source).frame_count == 75
        assert watch.all_ended(10)
        watch.close()


def test_a_probe_that_takes_too_long_is_given_up(media: MediaFolder, opened: Opener) -> None:
    with DecoderPool(quick(probe_timeout_s=0.4)) as pool:
        source = opened(media.clip(CLIP))
        pool.probe(source)
        os.kill(pool.pids[0], signal.SIGSTOP)
        with pytest.raises(MediaError, match="not done after") as caught:
            pool.probe(source)
        assert caught.value.kind == "undecodable"
        assert pool.probe(source).frame_count == 75


def test_processor_time_is_limited_by_the_kernel(media: MediaFolder, opened: Opener) -> None:
    # One compressed frame of 16 million pixels, two hundred times over.
    gif = image_bytes(Image.new("L", (4000, 4000)), "GIF")
    palette = 3 * 2 ** ((gif[10] & 7) + 1)
    frame = gif[13 + palette : -1]
    path = media.write("long.gif", gif[:-1] + frame * 200 + gif[-1:])
    with DecoderPool(quick(processor_s=1)) as pool:
        error = failure(pool, opened(path), FramePlan(max_side=64))
    assert (error.kind, error.reason) == ("undecodable", "the decoder used over 1 s of processor time")


def test_memory_is_limited_by_the_kernel(media: MediaFolder, opened: Opener) -> None:
    path = media.write("large.png", image_bytes(Image.new("L", (8000, 7900)), "PNG", compress_level=1))
    with DecoderPool(quick(address_space=320 * 1024**2)) as pool:
        error = failure(pool, opened(path), FramePlan(max_side=640))
        assert error.kind == "too_large"
        assert len(taken(pool.frames(opened(media.clip(CLIP)), SMALL))) == 75


def test_a_decoder_is_replaced_after_its_jobs(media: MediaFolder, opened: Opener) -> None:
    with DecoderPool(quick(jobs_per_worker=3)) as pool:
        source, pids = opened(media.clip(CLIP)), set()
        for _ in range(9):
            pool.probe(source)
            pids.update(pool.pids)
        assert len(pids) >= 3


def test_a_decoder_inherits_no_secrets_and_writes_nothing(
    media: MediaFolder, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_POSTGRES__PASSWORD", "SECRET")
    with DecoderPool(quick()) as pool:
        pool.probe(opened(media.clip(CLIP)))
        (pid,) = pool.pids
        folder = Path(f"/proc/{pid}")
        assert b"FLEET" not in (folder / "environ").read_bytes()
        limits = (folder / "limits").read_text()
        assert "NoNewPrivs:\t1" in (folder / "status").read_text()
        open_files = sorted(str(fd.readlink()) for fd in (folder / "fd").iterdir())
    assert limits.split("Max file size")[1].split()[0] == "0"
    assert limits.split("Max core file size")[1].split()[0] == "0"
    assert [name.partition(":")[0] for name in open_files] == ["/dev/null"] * 3 + ["/memfd", "socket"]


def test_a_pool_that_is_closed_ends_what_is_under_way(media: MediaFolder, opened: Opener) -> None:
    pool = DecoderPool(quick(ring_slots=2))
    source = opened(media.clip(CLIP))
    frames = pool.frames(source, SMALL)
    waiting = pool.frames(source, SMALL)
    held = next(frames)
    watch = Watch(pool.pids)
    pool.close()
    for stream in (frames, waiting):
        with pytest.raises(DecoderPoolClosed):
            taken(stream)
    with pytest.raises(DecoderPoolClosed):
        pool.probe(source)
    assert watch.all_ended(10)
    watch.close()
    assert marked_number(held.pixels) == 0
    held.release()


def test_a_pool_closes_though_an_origin_does_not_answer(media: MediaFolder) -> None:
    pool = DecoderPool(quick())
    source = MemorySource(media.clip(CLIP).read_bytes())
    sniffed = sniff(source)
    source.gate.clear()
    source.asked.clear()
    frames = pool.frames(source, SMALL, sniffed)
    assert source.asked.wait(10)
    pool.close()
    with pytest.raises(DecoderPoolClosed):
        next(frames)
    source.gate.set()


def test_nothing_is_left_in_shared_memory(media: MediaFolder, opened: Opener) -> None:
    before = set(Path("/dev/shm").iterdir())
    with DecoderPool(quick()) as pool:
        taken(pool.frames(opened(media.clip(CLIP)), SMALL))
        assert set(Path("/dev/shm").iterdir()) == before


def test_no_decoder_outlives_a_parent_that_is_killed(media: MediaFolder) -> None:
    script = """
import json, sys
from pathlib import Path
from agents.media.fetch import Fetcher
from agents.media.frames import FramePlan
from agents.media.policy import FetchPolicy
from agents.media.sandbox import DecoderPool
from agents.media.sandbox_policy import SandboxPolicy
path = Path(sys.argv[1])
pool = DecoderPool(SandboxPolicy(workers=2, ring_slots=2))
source = Fetcher(FetchPolicy(roots=(path.parent,))).open(path.as_uri())
streams = [pool.frames(source, FramePlan(max_side=320)) for _ in range(2)]
held = [next(stream) for stream in streams]
print(json.dumps(pool.pids), flush=True)
sys.stdin.read()
"""
    clip = str(media.clip(CLIP))
    with subprocess.Popen(
        [sys.executable, "-c", script, clip], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = json.loads(parent.stdout.readline())
        watch = Watch(pids)
        parent.kill()
        assert len(pids) == 2
        assert watch.all_ended(10)
        watch.close()


def test_a_plan_larger_than_the_pool_is_refused(media: MediaFolder, pool: DecoderPool, opened: Opener) -> None:
    with pytest.raises(ValueError, match="pool"):
        pool.frames(opened(media.clip(CLIP)), FramePlan(max_side=pool.policy.max_side + 1))
