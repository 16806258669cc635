from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from schemas.event import Event
from schemas.examples import ACTION, ALERT, EXAMPLES, PROGRESS, REVIEW, SEGMENT, STREAM_CONTROL, UPLOAD, VERDICT
from schemas.identity import alert_id, derive, media_id, verdict_id
from schemas.media import DetectionLevel, MediaRef, MediaUpload, Priority

names = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
OTHER_SHA256 = "0" * 64


def test_an_id_is_the_same_in_every_process_and_every_release() -> None:
    assert derive("media", "default", "clip-4711") == UUID("27246808-762e-555a-8d28-8f019d900829")
    assert derive("media").version == 5


@given(parts=st.lists(names, max_size=4), others=st.lists(names, max_size=4))
def test_different_parts_give_different_ids_however_they_are_cut(parts: list[str], others: list[str]) -> None:
    assert (derive("media", *parts) == derive("media", *others)) == (parts == others)


def test_what_an_id_is_of_is_part_of_it() -> None:
    assert derive("media", "x") != derive("segment", "x")


@pytest.mark.parametrize("character", ["\x00", "\x1f", "\n", "\x7f"])
@pytest.mark.parametrize("field", ["content_id", "uploader_id", "tenant"])
def test_a_name_that_could_move_the_boundary_between_parts_is_refused(field: str, character: str) -> None:
    with pytest.raises(ValidationError, match=field):
        MediaUpload.model_validate(UPLOAD.model_dump() | {field: f"a{character}b"})


@pytest.mark.parametrize("media", [{"uri": "s3:a\x1fb"}, {"uri": "s3:a", "version": "b\x1f"}])
def test_a_reference_that_could_move_the_boundary_between_parts_is_refused(media: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        MediaRef.model_validate(media)


@pytest.mark.parametrize(
    "changed",
    [
        {"tenant": "other"},
        {"content_id": "other"},
        {"media": UPLOAD.media.model_copy(update={"uri": "s3://uploads/other.mp4"})},
        {"media": UPLOAD.media.model_copy(update={"sha256": OTHER_SHA256})},
        {"media": UPLOAD.media.model_copy(update={"sha256": None, "version": "2"})},
    ],
    ids=["tenant", "content", "place", "checksum", "version"],
)
def test_other_media_have_another_id(changed: dict[str, object]) -> None:
    assert UPLOAD.model_copy(update=changed).media_id != UPLOAD.media_id


@pytest.mark.parametrize(
    "changed",
    [
        {"uploader_id": "other"},
        {"priority": Priority.BULK},
        {"detection_level": DetectionLevel.BASIC},
        {"uploaded_at": UPLOAD.uploaded_at + timedelta(days=1)},
        {"callback": None},
    ],
    ids=["uploader", "priority", "level", "moment", "callback"],
)
def test_the_same_media_keep_their_id_however_they_are_asked_for(changed: dict[str, object]) -> None:
    assert UPLOAD.model_copy(update=changed).media_id == UPLOAD.media_id


def test_a_checksum_goes_before_a_version() -> None:
    given_both = UPLOAD.media.model_copy(update={"version": "7"})
    assert UPLOAD.model_copy(update={"media": given_both}).media_id == UPLOAD.media_id


def test_the_upload_event_of_another_question_has_another_id() -> None:
    asked = UPLOAD.options.model_copy(update={"max_frames": 7})
    assert UPLOAD.model_copy(update={"options": asked}).event_id != UPLOAD.event_id
    assert UPLOAD.model_copy(update={"detection_level": DetectionLevel.BASIC}).event_id != UPLOAD.event_id


def test_a_verdict_id_tells_media_window_plan_models_and_policy_apart() -> None:
    media, other = media_id("t", "c", "s3:a", ""), media_id("t", "c", "s3:b", "")
    ids = {
        verdict_id(media, "whole", "plan", "models", "policy/1"),
        verdict_id(other, "whole", "plan", "models", "policy/1"),
        verdict_id(media, "0-10", "plan", "models", "policy/1"),
        verdict_id(media, "whole", "other", "models", "policy/1"),
        verdict_id(media, "whole", "plan", "other", "policy/1"),
        verdict_id(media, "whole", "plan", "models", "policy/2"),
    }
    assert len(ids) == 6


def test_every_transition_of_every_episode_is_an_alert_of_its_own() -> None:
    ids = {alert_id("stream", episode, transition) for episode in (0, 1) for transition in ("raised", "cleared")}
    assert len(ids) == 4


@pytest.mark.parametrize("event", EXAMPLES.values(), ids=EXAMPLES)
def test_an_event_that_was_written_and_read_again_keeps_its_id_and_key(event: Event) -> None:
    again = type(event).model_validate_json(event.model_dump_json())
    assert (again.event_id, again.key) == (event.event_id, event.key)


def test_keys_keep_together_what_must_stay_in_order() -> None:
    assert {event.key for event in (UPLOAD, VERDICT, PROGRESS, REVIEW)} == {UPLOAD.content_id}
    assert ALERT.key == ACTION.key == ALERT.subject
    assert STREAM_CONTROL.key == STREAM_CONTROL.stream_id
    segments = [SEGMENT.model_copy(update={"index": index, "of": 3}) for index in range(3)]
    assert len({segment.key for segment in segments}) == 3
    assert len({segment.event_id for segment in segments}) == 3


def test_each_state_of_an_action_and_each_revision_of_a_verdict_is_an_event_of_its_own() -> None:
    assert ACTION.model_copy(update={"state": "failed"}).event_id != ACTION.event_id
    assert VERDICT.model_copy(update={"revision": 1}).event_id != VERDICT.event_id
