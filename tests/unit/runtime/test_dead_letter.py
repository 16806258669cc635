import pytest

from agents.runtime.dead_letter import dead_letter
from agents.runtime.exceptions import Reject
from agents.runtime.messages import Incoming
from schemas.media import MediaUpload
from tests.unit.runtime.messages import incoming
from topics.catalogue import SEGMENTS

REJECT = Reject("schema_invalid", "media.uri: Field required")


def test_a_dead_letter_says_why_how_often_by_whom_and_from_where() -> None:
    message = incoming(1200345, SEGMENTS, 3, headers={}, timestamp_ms=1773480413000)
    assert dead_letter(message, REJECT, attempts=2, agent="segments").headers == {
        "dlq-reason": b"schema_invalid",
        "dlq-detail": b"media.uri: Field required",
        "dlq-attempts": b"2",
        "dlq-agent": b"segments",
        "dlq-source-topic": b"media.segments",
        "dlq-source-partition": b"3",
        "dlq-source-offset": b"1200345",
        "dlq-source-timestamp-ms": b"1773480413000",
    }


@pytest.mark.parametrize(
    ("key", "value"), [(b"clip", b"not json"), (b"\xff\x00", b"\x00\xff"), (b"", b""), (None, None)]
)
def test_key_value_and_headers_are_kept_as_they_came(key: bytes | None, value: bytes | None) -> None:
    message = incoming(key=key, value=value, headers={"schema": b"media-upload/9", "odd": b"\xff"})
    kept = dead_letter(message, REJECT, 1, "uploads")
    assert (kept.key, kept.value) == (key, value)
    assert kept.headers["schema"] == b"media-upload/9"
    assert kept.headers["odd"] == b"\xff"


def test_a_dead_letter_that_fails_again_says_so_of_the_last_time() -> None:
    first = dead_letter(incoming(5, headers={"id": b"7"}), Reject("not_json", "first"), 1, "uploads")
    again = incoming(9, headers=first.headers)
    second = dead_letter(again, REJECT, 1, "uploads")
    assert second.headers["dlq-reason"] == b"schema_invalid"
    assert second.headers["dlq-source-offset"] == b"9"
    assert second.headers["id"] == b"7"
    assert len(second.headers) == len(first.headers)


def test_a_long_detail_is_cut() -> None:
    kept = dead_letter(incoming(), Reject("handler_error", "x" * 100_000), 1, "uploads")
    assert kept.headers["dlq-detail"] == b"x" * 2000


def test_a_detail_that_is_no_text_for_the_wire_does_not_stop_the_agent() -> None:
    kept = dead_letter(incoming(), Reject("handler_error", "no file \udcff"), 1, "uploads")
    assert kept.headers["dlq-detail"] == b"no file \\udcff"


def test_a_message_that_carries_no_such_event_is_rejected_with_the_reason_of_its_error() -> None:
    def rejected(message: Incoming) -> str:
        with pytest.raises(Reject) as reject:
            message.event(MediaUpload)
        return reject.value.reason

    assert rejected(incoming(value=b"nonsense")) == "not_json"
    assert rejected(incoming(value=None)) == "not_json"
    assert rejected(incoming(value=b"{}")) == "schema_invalid"
    assert rejected(incoming(headers={"schema": b"verdict/1"})) == "schema_unexpected"
    assert rejected(incoming(headers={"schema": b"media-upload/99"})) == "schema_version"
