from importlib import import_module
from pathlib import Path

import pytest

from agents.cli.exits import CODES, CommandFailed, ExitCode, exit_code
from agents.runtime.exceptions import TopicsMissing, Unavailable
from models.exceptions import HashMismatch, SourceUnavailable
from topics.exceptions import UnknownTopic

DOCUMENT = Path(__file__).parents[3] / "docs" / "cli.md"


@pytest.mark.parametrize("name", CODES)
def test_every_error_that_has_a_code_exists(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(import_module(module), kind), Exception)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("kafka", "no answer"), ExitCode.UNAVAILABLE),
        (TopicsMissing("no media.uploads"), ExitCode.AGENT_STOPPED),
        (SourceUnavailable("m", "source.url", "404"), ExitCode.UNAVAILABLE),
        (HashMismatch("m", "source.sha256", "another"), ExitCode.MODELS_INVALID),
        (UnknownTopic("no topic"), ExitCode.USAGE),
        (CommandFailed(ExitCode.MEDIA_UNREAD, "no"), ExitCode.MEDIA_UNREAD),
    ],
)
def test_an_error_ends_with_the_code_of_its_nearest_class(error: Exception, code: ExitCode) -> None:
    assert exit_code(error) is code


def test_an_error_that_nobody_foresaw_has_no_code() -> None:
    assert exit_code(ValueError("a bug")) is None


def test_the_document_has_every_code_with_its_meaning() -> None:
    document = DOCUMENT.read_text()
    for code in ExitCode:
        assert f"| {code.value} | `{code.name}` | {code.meaning} |" in document
