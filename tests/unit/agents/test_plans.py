from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from agents.plans import cuts, fingerprint, plan
from schemas.examples import SEGMENT, UPLOAD
from schemas.media import AnalysisOptions, ContentType, DetectionLevel, MediaUpload, Priority, Segment

RECEIVED_AT, PLANNED_AT = SEGMENT.received_at, SEGMENT.planned_at
PLENTY = 1_000_000

durations = st.floats(0.04, 6 * 3600)
lengths = st.floats(1, 600)


@st.composite
def videos(draw: st.DrawFn) -> tuple[float, float, list[int]]:
    """Length of a video, longest segment, and where its key frames are."""
    duration_s = draw(durations)
    key_frames = draw(st.lists(st.integers(0, int(duration_s * 1000)), max_size=200, unique=True))
    return duration_s, draw(lengths), sorted(key_frames)


def planned(
    duration_s: float = 600.0,
    *,
    segment_s: float = 60.0,
    upload: MediaUpload = UPLOAD,
    moving: bool = True,
    model_set: str = "models",
    policy: str = "default/1",
) -> tuple[Segment, ...]:
    return plan(
        upload,
        SEGMENT.info.model_copy(update={"duration_s": duration_s}),
        [2000 * number for number in range(int(duration_s) // 2)],
        moving=moving,
        segment_s=segment_s,
        model_set=model_set,
        policy=policy,
        received_at=RECEIVED_AT,
        planned_at=PLANNED_AT,
    )


def asking(**options: object) -> MediaUpload:
    return UPLOAD.model_copy(update={"options": AnalysisOptions.model_validate(options)})


@given(video=videos(), most=st.integers(1, 400))
def test_ranges_adjoin_and_cover_the_video_whatever_its_key_frames(
    video: tuple[float, float, list[int]], most: int
) -> None:
    duration_s, segment_s, key_frames_ms = video
    moments = cuts(duration_s, segment_s, key_frames_ms, most)
    assert (moments[0], moments[-1]) == (0.0, duration_s)
    assert all(start < end for start, end in pairwise(moments))
    assert len(moments) - 1 <= most


@given(video=videos())
def test_no_range_is_much_longer_or_shorter_than_the_others(video: tuple[float, float, list[int]]) -> None:
    duration_s, segment_s, key_frames_ms = video
    moments = cuts(duration_s, segment_s, key_frames_ms, PLENTY)
    even = duration_s / (len(moments) - 1)
    assert even <= 1.5 * segment_s + 1e-9
    assert all(0.5 * even - 1e-6 <= end - start <= 1.5 * even + 1e-6 for start, end in pairwise(moments))


@given(video=videos())
def test_every_cut_is_at_a_key_frame_or_has_none_near(video: tuple[float, float, list[int]]) -> None:
    duration_s, segment_s, key_frames_ms = video
    moments = cuts(duration_s, segment_s, key_frames_ms, PLENTY)
    length = duration_s / (len(moments) - 1)
    keys = {key / 1000 for key in key_frames_ms}
    for number, moment in enumerate(moments[1:-1], start=1):
        assert moment in keys or not [key for key in keys if abs(key - number * length) < 0.25 * length - 1e-6]


@pytest.mark.parametrize(
    ("duration_s", "segments"), [(1.0, 1), (60.0, 1), (90.0, 1), (90.1, 2), (120.0, 2), (600.0, 10), (601.0, 11)]
)
def test_a_clip_stays_whole_and_a_long_video_is_cut(duration_s: float, segments: int) -> None:
    assert len(planned(duration_s)) == segments


def test_without_key_frames_ranges_are_even() -> None:
    assert cuts(300.0, 100.0, [], PLENTY) == [0.0, 100.0, 200.0, 300.0]


def test_a_cut_moves_to_the_nearest_key_frame() -> None:
    assert cuts(300.0, 100.0, [0, 97_000, 104_000, 230_000], PLENTY) == [0.0, 97.0, 200.0, 300.0]


def test_the_segments_of_a_plan_are_numbered_and_know_how_many_they_are() -> None:
    segments = planned(600.0)
    assert [segment.index for segment in segments] == list(range(10))
    assert {segment.of for segment in segments} == {10}
    assert [segment.start_s for segment in segments[1:]] == [segment.end_s for segment in segments[:-1]]
    assert {segment.plan_fingerprint for segment in segments} == {segments[0].plan_fingerprint}


def test_a_still_is_one_segment_without_a_range() -> None:
    (segment,) = planned(0.0, moving=False)
    assert segment.content_type is ContentType.IMAGE
    assert (segment.start_s, segment.end_s) == (0.0, 0.0)


def test_video_whose_length_is_not_known_is_one_segment_to_its_end() -> None:
    (segment,) = planned(0.0)
    assert segment.content_type is ContentType.VIDEO
    assert (segment.start_s, segment.end_s) == (0.0, 0.0)
    assert segment.max_frames == UPLOAD.options.max_frames


@given(duration_s=durations, max_frames=st.integers(1, 20_000))
def test_all_segments_together_look_at_as_many_frames_as_were_asked_for(duration_s: float, max_frames: int) -> None:
    segments = planned(duration_s, upload=asking(max_frames=max_frames))
    assert sum(segment.max_frames for segment in segments) == max_frames
    shares = [segment.max_frames for segment in segments]
    assert max(shares) - min(shares) <= 1


def test_the_time_that_planning_took_is_told() -> None:
    (segment,) = planned(10.0)
    assert segment.plan_ms == pytest.approx(84.0)
    assert (segment.received_at, segment.planned_at) == (RECEIVED_AT, PLANNED_AT)


def test_a_clock_that_was_set_back_makes_no_negative_time() -> None:
    (segment,) = plan(
        UPLOAD,
        SEGMENT.info,
        [],
        moving=True,
        segment_s=60.0,
        model_set="models",
        policy="default/1",
        received_at=RECEIVED_AT,
        planned_at=RECEIVED_AT - timedelta(seconds=5),
    )
    assert segment.plan_ms == 0.0


def test_equal_questions_about_equal_bytes_have_one_fingerprint() -> None:
    again = UPLOAD.model_copy(
        update={"content_id": "other", "uploader_id": "other", "priority": Priority.BULK, "callback": None}
    )
    assert planned(upload=again)[0].plan_fingerprint == planned()[0].plan_fingerprint


@pytest.mark.parametrize(
    "other",
    [
        planned(upload=asking(sample_rate_fps=5.0)),
        planned(upload=asking(max_frames=7)),
        planned(upload=asking(detailed_timeline=True)),
        planned(upload=UPLOAD.model_copy(update={"detection_level": DetectionLevel.BASIC})),
        planned(segment_s=30.0),
        planned(model_set="others"),
        planned(policy="default/2"),
        planned(601.0),
    ],
    ids=["rate", "frames", "timeline", "level", "cuts", "models", "policy", "length"],
)
def test_another_question_has_another_fingerprint(other: tuple[Segment, ...]) -> None:
    assert other[0].plan_fingerprint != planned()[0].plan_fingerprint


def test_a_fingerprint_is_short_text_for_keys_and_logs() -> None:
    assert len(fingerprint(UPLOAD, [0.0, 10.0], "models", "default/1")) == 24
    assert fingerprint(UPLOAD, [0.0, 10.0], "models", "default/1").isalnum()


def test_planning_again_makes_the_same_events() -> None:
    assert [segment.event_id for segment in planned()] == [segment.event_id for segment in planned()]
