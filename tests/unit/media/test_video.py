"""Videos are told apart, cut, turned and sampled as they should be. In this process: the sandbox has its own tests."""

import io
import itertools
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest

from agents.media.exceptions import MediaError
from agents.media.frames import DecodeBudget, FramePlan, MediaProbe
from agents.media.sniff import VideoFormat, sniff_bytes
from agents.media.video import decode_video, probe_video
from tests.support.media import Clip, MediaFolder, Pixels, clip_frame, marked_number, without_moov

BUDGET = DecodeBudget()
X265 = (("preset", "ultrafast"), ("x265-params", "log-level=none"))
VP8 = (("deadline", "realtime"), ("cpu-used", "8"))
# One clip for each container, with the codec that is at home in it.
CONTAINERS = [
    ("mp4", Clip(frames=75, gop=24)),
    ("mov", Clip(frames=75, gop=24, sound=True)),
    ("mkv", Clip(frames=75, gop=24)),
    ("webm", Clip(frames=75, gop=24, codec="libvpx", options=VP8)),
    ("ts", Clip(frames=75, gop=24, options=(("preset", "veryfast"),))),
    ("avi", Clip(frames=75, gop=24, codec="mpeg4", options=())),
    ("flv", Clip(frames=75, gop=24, codec="flv", options=())),
    ("mpg", Clip(frames=75, gop=24, codec="mpeg2video", options=())),
]
CODECS = [
    Clip(options=(("preset", "medium"), ("x264-params", "open-gop=1")), frames=60, gop=20),
    Clip(codec="libx265", options=X265),
    Clip(codec="libsvtav1", options=(("preset", "12"), ("svtav1-params", "tune=0"))),
    Clip(codec="mjpeg", options=(), pixel_format="yuvj420p"),
]


class Seen:
    """A decoded frame, read out."""

    def __init__(self, number: int, pts_ms: int, is_key: bool, pixels: Pixels, source: tuple[int, int]) -> None:
        self.number, self.pts_ms, self.is_key, self.pixels, self.source = number, pts_ms, is_key, pixels, source
        self.mark = marked_number(pixels)


def frames(data: bytes, plan: FramePlan, budget: DecodeBudget = BUDGET) -> Iterator[Seen]:
    buffer = bytearray(plan.max_side**2 * 3)
    for frame in decode_video(io.BytesIO(data), container(data), len(data), plan, budget):
        frame.write(memoryview(buffer))
        pixels = np.frombuffer(bytes(buffer[: frame.width * frame.height * 3]), np.uint8)
        shaped = pixels.reshape(frame.height, frame.width, 3)
        source = (frame.source_width, frame.source_height)
        yield Seen(frame.frame_number, frame.pts_ms, frame.is_key, shaped, source)


def probe(data: bytes, budget: DecodeBudget = BUDGET) -> MediaProbe:
    return probe_video(io.BytesIO(data), container(data), len(data), budget)


def container(data: bytes) -> VideoFormat:
    sniffed = sniff_bytes(data[:4096])
    assert sniffed.kind == "video"
    return sniffed.format  # type: ignore[return-value]


def pieces(bounds_s: list[float], rate_fps: float | None = None) -> list[FramePlan]:
    return [FramePlan(start, end, rate_fps, max_side=320) for start, end in itertools.pairwise(bounds_s)]


@pytest.mark.parametrize(("suffix", "clip"), CONTAINERS, ids=[suffix for suffix, _ in CONTAINERS])
def test_every_frame_of_every_container_comes_once_and_in_order(media: MediaFolder, suffix: str, clip: Clip) -> None:
    seen = list(frames(media.clip(clip, suffix).read_bytes(), FramePlan(max_side=320)))
    assert [frame.mark for frame in seen] == list(range(75))
    indexed = suffix in {"mp4", "mov", "avi"}
    assert [frame.number for frame in seen] == [index if indexed else seen[index].pts_ms for index in range(75)]
    assert [frame.pts_ms for frame in seen] == pytest.approx([1000 * index / 30 for index in range(75)], abs=1)
    assert seen[0].is_key


@pytest.mark.parametrize("clip", CODECS, ids=[clip.codec for clip in CODECS])
def test_every_frame_of_every_codec_comes_once_and_in_order(media: MediaFolder, clip: Clip) -> None:
    suffix = "avi" if clip.codec == "mjpeg" else "mp4"
    seen = list(frames(media.clip(clip, suffix).read_bytes(), FramePlan(max_side=320)))
    assert [frame.mark for frame in seen] == list(range(clip.frames))


@pytest.mark.parametrize(("suffix", "clip"), CONTAINERS, ids=[suffix for suffix, _ in CONTAINERS])
@pytest.mark.parametrize("rate", [None, 2.0, 7.0])
def test_pieces_that_adjoin_give_exactly_the_frames_of_the_whole(
    media: MediaFolder, suffix: str, clip: Clip, rate: float | None
) -> None:
    data = media.clip(clip, suffix).read_bytes()
    whole = list(frames(data, FramePlan(max_side=320, rate_fps=rate)))
    ends = [0.0, 0.21, 0.5, 0.77, 1.0, 1.0333, 1.3, 1.6, 1.9, 2.2, 60.0]
    cut = [frame for plan in pieces(ends, rate_fps=rate) for frame in frames(data, plan)]
    by_time = sorted(whole, key=lambda frame: frame.pts_ms)
    assert sorted((frame.number, frame.mark) for frame in cut) == [(f.number, f.mark) for f in by_time]
    same = {frame.number: frame.pixels for frame in cut}
    assert all(np.array_equal(frame.pixels, same[frame.number]) for frame in whole)


@pytest.mark.parametrize("clip", CODECS, ids=[clip.codec for clip in CODECS])
def test_pieces_of_every_codec_give_exactly_the_frames_of_the_whole(media: MediaFolder, clip: Clip) -> None:
    data = media.clip(clip, "avi" if clip.codec == "mjpeg" else "mp4").read_bytes()
    for rate in (None, 4.0):
        whole = list(frames(data, FramePlan(max_side=320, rate_fps=rate)))
        cut = [frame for plan in pieces([0.0, 0.3, 0.9, 1.01, 9.0], rate_fps=rate) for frame in frames(data, plan)]
        assert sorted(frame.mark for frame in cut) == sorted(frame.mark for frame in whole)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_slot_takes_its_first_key_frame_and_else_its_first_frame(media: MediaFolder, suffix: str) -> None:
    # Key frames at 0, 20, 40, 60; slots of half a second begin at frames 0, 15, 30, 45, 60.
    clip = Clip(frames=70, gop=20, options=(("preset", "ultrafast"), ("x264-params", "scenecut=0")))
    seen = list(frames(media.clip(clip, suffix).read_bytes(), FramePlan(rate_fps=2.0, max_side=320)))
    assert [(frame.mark, frame.is_key) for frame in seen] == [
        (0, True),
        (20, True),
        (40, True),
        (60, True),
        (45, False),
    ]


def test_the_same_plan_gives_the_same_frames(media: MediaFolder) -> None:
    data = media.clip(Clip(frames=75, gop=24)).read_bytes()
    plan = FramePlan(start_s=0.4, end_s=2.1, rate_fps=5.0, max_side=320)
    first, second = (
        [(frame.number, frame.pts_ms, frame.pixels.tobytes()) for frame in frames(data, plan)] for _ in "ab"
    )
    assert first == second


def test_a_plan_with_fewer_frames_than_slots_spreads_them_evenly(media: MediaFolder) -> None:
    data = media.clip(Clip(frames=75, gop=1)).read_bytes()
    seen = list(frames(data, FramePlan(rate_fps=10.0, max_frames=5, max_side=320)))
    assert [frame.mark for frame in seen] == [0, 15, 30, 45, 60]


def test_only_key_frames_are_read_where_they_fill_every_slot(media: MediaFolder) -> None:
    options = (("preset", "ultrafast"), ("crf", "12"))
    data = media.clip(Clip(width=640, height=480, frames=90, gop=30, options=options)).read_bytes()
    reads = CountedReads(data)
    plan = FramePlan(rate_fps=1.0, max_side=640)
    assert [f.frame_number for f in decode_video(reads, "mp4", len(data), plan, BUDGET)] == [0, 30, 60]
    with av.open(io.BytesIO(data), format="mov") as index:
        keys = sum(entry.size for entry in index.streams.video[0].index_entries if entry.is_keyframe)
    assert reads.count < keys + 192 * 1024 < len(data)


class CountedReads(io.BytesIO):
    """Counts the bytes that are read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def test_a_probe_tells_what_the_video_is(media: MediaFolder) -> None:
    found = probe(media.clip(Clip(frames=75, gop=24, sound=True)).read_bytes())
    assert (found.kind, found.container, found.codec) == ("video", "mp4", "h264")
    assert (found.width, found.height, found.rotation) == (320, 240, 0)
    assert found.duration_s == pytest.approx(2.5)
    assert found.fps == pytest.approx(30)
    assert found.frame_count == 75
    assert found.key_frames_ms == (0, 800, 1600, 2400)


@pytest.mark.parametrize(
    ("rotation", "mirrored", "turns"),
    [(90, False, 1), (180, False, 2), (270, False, 3), (0, True, 0), (90, True, 1)],
)
def test_a_phone_video_is_turned_upright(media: MediaFolder, rotation: int, mirrored: bool, turns: int) -> None:
    clip = Clip(frames=3, rotation=rotation, mirrored=mirrored, options=(("preset", "ultrafast"), ("crf", "10")))
    data = media.clip(clip).read_bytes()
    upright = clip_frame(clip, 0)
    upright = np.rot90(upright, turns)[:, :: -1 if mirrored else 1]
    frame = next(frames(data, FramePlan(max_side=320)))
    assert frame.pixels.shape == upright.shape
    assert np.abs(frame.pixels.astype(int) - upright).mean() < 8
    found = probe(data)
    assert (found.height, found.width) == upright.shape[:2]
    assert frame.source == (found.width, found.height)


def test_wide_pixels_are_made_square(media: MediaFolder) -> None:
    data = media.clip(Clip(frames=2, width=180, height=240, pixel_aspect=Fraction(16, 9))).read_bytes()
    assert next(frames(data, FramePlan(max_side=1000))).pixels.shape == (240, 320, 3)
    assert (probe(data).width, probe(data).height) == (320, 240)


@pytest.mark.parametrize("side", [320, 200, 64, 1])
def test_a_frame_is_scaled_down_to_the_longest_side_asked_for(media: MediaFolder, side: int) -> None:
    frame = next(frames(media.clip(Clip()).read_bytes(), FramePlan(max_side=side)))
    assert frame.pixels.shape == (max(1, round(side * 240 / 320)), side, 3)
    assert frame.source == (320, 240)


@pytest.mark.parametrize("space", [1, 5, 9], ids=["bt709", "bt601", "bt2020"])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
def test_colours_are_those_that_the_stream_says_it_was_made_with(media: MediaFolder, space: int, full: bool) -> None:
    colour = (200, 60, 30)
    clip = Clip(frames=2, colour=(space, full), flat=colour, options=(("preset", "ultrafast"), ("crf", "1")))
    frame = next(frames(media.clip(clip).read_bytes(), FramePlan(max_side=320)))
    assert np.abs(frame.pixels.astype(int) - colour).max() <= 4


@pytest.mark.parametrize(("height", "space"), [(720, 1), (480, 5)])
def test_untagged_video_has_the_colours_of_its_size(media: MediaFolder, height: int, space: int) -> None:
    colour = (200, 60, 30)
    options = (("preset", "ultrafast"), ("crf", "1"))
    clip = Clip(
        width=height, height=height, frames=1, colour=(space, False), tagged=False, flat=colour, options=options
    )
    frame = next(frames(media.clip(clip).read_bytes(), FramePlan(max_side=height)))
    assert np.abs(frame.pixels.astype(int) - colour).max() <= 4


def test_a_variable_frame_rate_keeps_its_times_and_numbers_stay_unique(media: MediaFolder) -> None:
    times = (0, 7, 40, 41, 80, 600, 610, 1500, 1533, 1600)
    data = media.clip(Clip(frames=10, times_ms=times)).read_bytes()
    seen = list(frames(data, FramePlan(max_side=320)))
    assert [frame.pts_ms for frame in seen] == list(times)
    assert [frame.mark for frame in seen] == list(range(10))
    assert len({frame.number for frame in seen}) == 10
    cut = [frame.mark for plan in pieces([0.0, 0.04, 0.6, 1.0, 2.0]) for frame in frames(data, plan)]
    assert cut == list(range(10))
    assert [f.mark for f in frames(data, FramePlan(rate_fps=2.0, max_side=320))] == [0, 5, 7]


def test_a_fragmented_file_is_cut_like_any_other(media: MediaFolder) -> None:
    data = media.clip(Clip(frames=75, gop=24, fragmented=True)).read_bytes()
    assert [f.mark for plan in pieces([0.0, 0.9, 1.7, 9.0]) for f in frames(data, plan)] == list(range(75))


def test_frames_that_change_size_midway_come_at_their_own_size(media: MediaFolder) -> None:
    small = media.clip(Clip(frames=15, gop=15), "ts").read_bytes()
    large = media.clip(Clip(frames=15, gop=15, width=640, height=480), "ts").read_bytes()
    seen = list(frames(small + large, FramePlan(max_side=640)))
    assert {frame.pixels.shape[:2] for frame in seen} == {(240, 320), (480, 640)}
    assert {frame.source for frame in seen} == {(320, 240), (640, 480)}


def test_a_file_without_pictures_is_audio_and_has_no_frames(media: MediaFolder) -> None:
    data = media.clip(Clip(picture=False, sound=True)).read_bytes()
    found = probe(data)
    assert (found.kind, found.codec, found.width) == ("audio", "aac", 0)
    assert found.duration_s == pytest.approx(2.0, abs=0.1)
    with pytest.raises(MediaError, match="aac audio and no video") as caught:
        next(frames(data, FramePlan()))
    assert caught.value.kind == "unsupported"


def broken_files(media: MediaFolder) -> dict[str, bytes]:
    whole = media.clip(Clip(frames=75, gop=24)).read_bytes()
    late = media.clip(Clip(frames=75, gop=24, faststart=False)).read_bytes()
    return {
        "no track": media.clip(Clip(frames=0)).read_bytes(),
        "track without frames": media.clip(Clip(frames=0, fragmented=True)).read_bytes(),
        "no index": without_moov(whole),
        "index cut off": late[: len(late) // 2],
        "all data cut off": whole[: whole.index(b"mdat") + 4],
        "head alone": whole[:64],
        "noise": whole[:32] + bytes(range(256)) * 64,
    }


BROKEN = [
    "no track",
    "track without frames",
    "no index",
    "index cut off",
    "all data cut off",
    "head alone",
    "noise",
]


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_undecodable(media: MediaFolder, case: str) -> None:
    data = broken_files(media)[case]
    for attempt in (lambda: probe(data), lambda: list(frames(data, FramePlan()))):
        with pytest.raises(MediaError) as caught:
            attempt()
        assert caught.value.kind == "undecodable"


def test_a_file_cut_off_in_its_data_gives_the_frames_before_the_cut(media: MediaFolder) -> None:
    data = media.clip(Clip(frames=75, gop=24)).read_bytes()
    cut = data[: len(data) // 2]
    marks = [frame.mark for frame in frames(cut, FramePlan(max_side=320))]
    assert marks == list(range(len(marks)))
    assert 20 < len(marks) < 60
    assert len(list(frames(cut, FramePlan(max_side=320, rate_fps=4.0)))) in range(3, 9)
    with pytest.raises(MediaError) as caught:
        list(frames(cut, FramePlan(start_s=2.2, end_s=2.5)))
    assert caught.value.kind == "undecodable"


def test_a_range_that_holds_no_frame_gives_none(media: MediaFolder) -> None:
    data = media.clip(Clip(frames=10, times_ms=(0, 7, 40, 41, 80, 600, 610, 1500, 1533, 1600))).read_bytes()
    assert list(frames(data, FramePlan(start_s=0.7, end_s=1.4))) == []
    assert list(frames(data, FramePlan(start_s=5.0, end_s=6.0))) == []


@pytest.mark.parametrize(
    "budget",
    [
        DecodeBudget(frame_pixels=320 * 240 - 1),
        DecodeBudget(frames=10),
        DecodeBudget(video_free_pixels=320 * 240 * 10, video_pixels_per_byte=0),
    ],
    ids=["frame", "frames", "pixels a byte"],
)
def test_a_video_over_a_budget_is_too_large(media: MediaFolder, budget: DecodeBudget) -> None:
    with pytest.raises(MediaError) as caught:
        list(frames(media.clip(Clip()).read_bytes(), FramePlan(), budget))
    assert caught.value.kind == "too_large"


def test_a_codec_that_is_not_on_the_list_is_unsupported(media: MediaFolder) -> None:
    clip = Clip(frames=5, codec="ffv1", options=())
    with pytest.raises(MediaError, match="ffv1") as caught:
        probe(media.clip(clip, "mkv").read_bytes())
    assert caught.value.kind == "unsupported"


def test_a_codec_that_nobody_knows_is_unsupported(media: MediaFolder) -> None:
    data = media.clip(Clip(frames=5)).read_bytes().replace(b"avc1", b"zzzz")
    for attempt in (lambda: probe(data), lambda: list(frames(data, FramePlan()))):
        with pytest.raises(MediaError) as caught:
            attempt()
        assert caught.value.kind == "unsupported"


@pytest.mark.parametrize("name", ["mp4", "matroska", "avi", "flv", "mpegts", "mpegps", "ogg"])
def test_a_list_of_other_files_is_no_container(media: MediaFolder, name: VideoFormat) -> None:
    other = media.clip(Clip()).as_posix()
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{other}'\n",
    ):
        with pytest.raises(MediaError) as caught:
            list(decode_video(io.BytesIO(text.encode()), name, len(text), FramePlan(), BUDGET))
        assert caught.value.kind == "undecodable"
