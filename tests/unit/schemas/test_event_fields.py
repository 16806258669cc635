from datetime import UTC, datetime

import orjson
import pytest
from pydantic import ValidationError

from schemas.catalogue import EVENTS
from schemas.event import Event
from schemas.examples import EXAMPLES, REVIEW, SEGMENT, STREAM_CONTROL, UPLOAD, VERDICT
from schemas.media import ContentType, MediaInfo, MediaUpload, Segment
from schemas.moderation import Review
from schemas.stream import StreamControl
from schemas.verdict import Label, Verdict


def as_json(event: Event, **changed: object) -> bytes:
    return orjson.dumps(event.model_dump(mode="json") | changed)


def test_there_is_an_example_of_every_event() -> None:
    assert EXAMPLES.keys() == EVENTS.keys()


@pytest.mark.parametrize("event", EXAMPLES.values(), ids=EXAMPLES)
def test_an_event_cannot_be_changed(event: Event) -> None:
    field = next(iter(type(event).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(event, field, getattr(event, field))


@pytest.mark.parametrize("event", EXAMPLES.values(), ids=EXAMPLES)
def test_a_field_that_the_schema_does_not_know_is_refused(event: Event) -> None:
    with pytest.raises(ValidationError, match="sample_rate_hz"):
        type(event).model_validate_json(as_json(event, sample_rate_hz=2))


def test_a_small_upload_event_takes_the_documented_defaults() -> None:
    upload = MediaUpload.model_validate_json(
        b'{"content_id":"c","uploader_id":"u","media":{"uri":"file:///a.jpg"},"uploaded_at":"2026-01-02T03:04:05Z"}'
    )
    assert (upload.tenant, upload.detection_level, upload.priority) == ("default", "standard", "interactive")
    assert upload.options.model_dump() == {"sample_rate_fps": 1.0, "max_frames": 600, "detailed_timeline": False}
    assert upload.uploaded_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "uri", ["", "photo.jpg", "/srv/photo.jpg", "//host/photo.jpg", "C:\\photo.jpg", "HTTP://host/a", "file:///a\nb"]
)
def test_media_are_referred_to_by_an_absolute_uri(uri: str) -> None:
    with pytest.raises(ValidationError, match=r"media\.uri"):
        MediaUpload.model_validate_json(as_json(UPLOAD, media={"uri": uri}))


@pytest.mark.parametrize("sha256", ["", "abc", "G" * 64, "A" * 64, "a" * 65])
def test_a_checksum_is_64_lower_case_hexadecimal_digits(sha256: str) -> None:
    with pytest.raises(ValidationError, match=r"media\.sha256"):
        MediaUpload.model_validate_json(as_json(UPLOAD, media={"uri": "file:///a", "sha256": sha256}))


@pytest.mark.parametrize("rate", [0, -1, 60.5])
def test_an_impossible_sample_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValidationError, match="sample_rate_fps"):
        MediaUpload.model_validate_json(as_json(UPLOAD, options={"sample_rate_fps": rate}))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_cannot_say_is_refused(number: str) -> None:
    text = SEGMENT.info.model_dump_json().replace('"duration_s":10.0', f'"duration_s":{number}')
    with pytest.raises(ValidationError, match="duration_s"):
        MediaInfo.model_validate_json(text)


@pytest.mark.parametrize("moment", ["2026-01-02T03:04:05", "1999-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "today"])
def test_a_moment_has_a_time_zone_and_lies_in_this_century(moment: str) -> None:
    with pytest.raises(ValidationError, match="uploaded_at"):
        MediaUpload.model_validate_json(as_json(UPLOAD, uploaded_at=moment))


def test_a_segment_is_one_of_its_plan() -> None:
    with pytest.raises(ValidationError, match="index 2 of 2 segments"):
        Segment.model_validate_json(as_json(SEGMENT, index=2, of=2))


def test_a_segment_of_video_has_a_length() -> None:
    with pytest.raises(ValidationError, match="an empty range"):
        Segment.model_validate_json(as_json(SEGMENT, start_s=4.0, end_s=4.0))


def test_a_segment_of_video_whose_length_is_not_known_is_the_only_one_and_goes_to_its_end() -> None:
    to_its_end = {"start_s": 0.0, "end_s": 0.0}
    assert Segment.model_validate_json(as_json(SEGMENT, **to_its_end)).end_s == 0.0
    with pytest.raises(ValidationError, match="an empty range"):
        Segment.model_validate_json(as_json(SEGMENT, **to_its_end, index=0, of=2))


def test_a_segment_of_a_still_has_none() -> None:
    still = Segment.model_validate_json(as_json(SEGMENT, content_type="image", start_s=0.0, end_s=0.0))
    assert still.content_type is ContentType.IMAGE


def test_a_stream_needs_a_url_to_be_started_and_none_to_be_stopped() -> None:
    with pytest.raises(ValidationError, match="start needs a url"):
        StreamControl.model_validate_json(as_json(STREAM_CONTROL, url=None))
    assert StreamControl.model_validate_json(as_json(STREAM_CONTROL, command="stop", url=None)).command == "stop"


def test_a_note_that_postgres_cannot_keep_is_refused() -> None:
    with pytest.raises(ValidationError, match="note"):
        Review.model_validate_json(as_json(REVIEW, note="a\x00b"))
    assert Review.model_validate_json(as_json(REVIEW, note="two\nlines")).note == "two\nlines"


@pytest.mark.parametrize(
    ("label", "is_deepfake"), [(Label.MANIPULATED, True), (Label.AUTHENTIC, False), (Label.INCONCLUSIVE, None)]
)
def test_only_a_decided_verdict_says_deepfake_or_not(label: Label, is_deepfake: bool | None) -> None:
    assert VERDICT.model_copy(update={"label": label}).is_deepfake is is_deepfake


@pytest.mark.parametrize("score", [-0.01, 1.01])
def test_a_score_is_a_probability(score: float) -> None:
    with pytest.raises(ValidationError, match="manipulation_score"):
        Verdict.model_validate_json(as_json(VERDICT, manipulation_score=score))


def test_what_was_written_does_not_appear_in_the_error() -> None:
    with pytest.raises(ValidationError) as refused:
        MediaUpload.model_validate_json(as_json(UPLOAD, priority="hunter2", callback="hunter2"))
    assert "priority" in str(refused.value)
    assert "hunter2" not in str(refused.value)
