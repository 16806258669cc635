import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from agents.runtime.logs import configure_logging

log = logging.getLogger("agents.made_up")


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """Put back what pytest logs with."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == "", "standard output belongs to the command"
    return captured.err.splitlines()


def test_a_json_line_says_when_who_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    log.warning("%d partitions %s", 3, "assigned")
    (line,) = lines(capsys)
    said = json.loads(line)
    assert said.keys() == {"at", "level", "logger", "message"}
    assert (said["level"], said["logger"], said["message"]) == ("WARNING", "agents.made_up", "3 partitions assigned")
    at = datetime.fromisoformat(said["at"])
    assert at.tzinfo is not None
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)


def test_an_error_keeps_its_traceback_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    log.error("the handler failed", exc_info=ValueError("two\nlines"))
    (line,) = lines(capsys)
    said = json.loads(line)
    assert said["message"] == "the handler failed"
    assert said["error"].endswith("ValueError: two\nlines")


def test_a_message_of_several_lines_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    log.info("one\ntwo")
    (line,) = lines(capsys)
    assert json.loads(line)["message"] == "one\ntwo"


def test_a_name_that_is_no_utf_8_is_logged_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    log.info("no file %s", "photo\udcff.jpg")
    (line,) = lines(capsys)
    assert json.loads(line)["message"] == "no file photo\\udcff.jpg"


def test_an_error_of_such_a_name_is_logged_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    log.error("failed", exc_info=FileNotFoundError("photo\udcff.jpg"))
    (line,) = lines(capsys)
    assert "photo\\udcff.jpg" in json.loads(line)["error"]


def test_text_is_for_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")
    log.warning("draining")
    (line,) = lines(capsys)
    assert line.endswith(" WARNING agents.made_up: draining")


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("WARNING", "json")
    log.info("unheard")
    log.warning("heard")
    assert [json.loads(line)["message"] for line in lines(capsys)] == ["heard"]


def test_configuring_again_does_not_say_everything_twice(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    configure_logging("INFO", "json")
    log.info("once")
    assert len(lines(capsys)) == 1
