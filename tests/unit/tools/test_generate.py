import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.catalogue import EVENTS
from schemas.examples import EXAMPLES
from schemas.export import json_schema
from tools.generate import ROOT, artefacts, differing, main
from tools.json_types import type_of
from tools.messages_page import page
from topics.catalogue import TOPICS, all_topics
from topics.headers import DEAD_LETTER_HEADERS, EVENT_HEADERS, FRAME_HEADERS


@pytest.fixture
def written(tmp_path: Path) -> Path:
    assert main(["--root", str(tmp_path)]) == 0
    return tmp_path


def test_what_is_committed_is_what_the_code_says() -> None:
    assert differing(ROOT) == [], "run `python -m tools.generate` (make generate) and commit"


def test_writing_makes_every_file_and_writing_again_changes_none(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {path.relative_to(written) for path in written.rglob("*") if path.is_file()} == artefacts().keys()
    assert main(["--root", str(written), "--check"]) == 0
    capsys.readouterr()
    assert main(["--root", str(written)]) == 0
    assert capsys.readouterr().out == ""


def test_checking_names_the_files_that_differ_and_writes_nothing(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed, missing = written / "docs" / "messages.md", written / "schemas" / "generated" / "verdict.v1.json"
    changed.write_text("old")
    missing.unlink()
    assert main(["--root", str(written), "--check"]) == 1
    said = capsys.readouterr().err
    assert "docs/messages.md differs" in said
    assert "schemas/generated/verdict.v1.json differs" in said
    assert len(said.splitlines()) == 2
    assert changed.read_text() == "old"
    assert not missing.exists()


def test_schemas_of_earlier_versions_are_left_where_they_are(written: Path) -> None:
    earlier = shutil.copy(written / "schemas/generated/verdict.v1.json", written / "schemas/generated/verdict.v0.json")
    assert main(["--root", str(written), "--check"]) == 0
    assert main(["--root", str(written)]) == 0
    assert Path(earlier).exists()


def test_the_files_do_not_depend_on_the_order_of_hashes_or_the_machine(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-m", "tools.generate", "--root", str(tmp_path / seed)],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / f"cache{seed}")},
            check=True,
            capture_output=True,
        )
    for path, content in artefacts().items():
        assert (tmp_path / "1" / path).read_bytes() == (tmp_path / "2" / path).read_bytes() == content, path


def test_the_page_of_messages_shows_every_topic_event_field_and_header() -> None:
    text = page()
    for topic in all_topics():
        assert f"`{topic.name}`" in text
    for event in EVENTS.values():
        assert f"### {event.__name__}\n" in text
        for field in event.model_fields:
            assert f"\n| `{field}` | " in text
    for header in (*EVENT_HEADERS, *FRAME_HEADERS, *DEAD_LETTER_HEADERS):
        assert f"| `{header.name}` |" in text


def test_the_page_of_messages_shows_an_example_of_every_event_that_can_be_sent() -> None:
    blocks = [block.partition("```")[0] for block in page().split("```json\n")[1:]]
    shown = [type(example).model_validate_json(block) for example, block in zip(EXAMPLES.values(), blocks, strict=True)]
    assert shown == list(EXAMPLES.values())


@pytest.mark.parametrize("path", [path for path in artefacts() if path.suffix == ".md"], ids=str)
def test_every_link_within_a_page_leads_to_a_heading_and_every_other_to_a_file(path: Path) -> None:
    text = artefacts()[path].decode()
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    targets = set(re.findall(r"\]\(([^)]+)\)", text))
    assert {target[1:] for target in targets if target.startswith("#")} <= headings
    files = {target for target in targets if not target.startswith("#")}
    assert [target for target in files if not (ROOT / path.parent / target).exists()] == []


@pytest.mark.parametrize("path", [path for path in artefacts() if path.suffix == ".md"], ids=str)
def test_every_row_of_a_table_has_the_cells_of_its_head(path: Path) -> None:
    rows = [line for line in artefacts()[path].decode().splitlines() if line.startswith("|")]
    width = 0
    for previous, row in zip(["", *rows], rows, strict=False):
        cells = len(re.findall(r"(?<!\\)\|", row)) - 1
        if row.startswith("| ---"):
            assert cells == width, previous
        width = cells
    assert rows


def test_a_page_says_when_a_topic_has_no_dead_letters() -> None:
    (progress,) = [line for line in page().splitlines() if line.startswith("| `deepfake.progress` | [")]
    assert progress.endswith("| none |")
    assert sum(not topic.dead_letter for topic in TOPICS) == 4


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("content_id", "string, without control characters, 1 to 256 characters"),
        ("content_type", '`"image"` or `"video"` or null'),
        ("detection_level", "[DetectionLevel](#detectionlevel)"),
        ("uploaded_at", "date-time (RFC 3339 with a time zone)"),
    ],
)
def test_types_are_told_in_words(field: str, words: str) -> None:
    schema = json_schema(EVENTS["media-upload"])
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert type_of(properties[field]) == words


def test_bounds_lists_and_maps_are_told_in_words() -> None:
    assert type_of({"type": "number", "exclusiveMinimum": 0, "maximum": 60}) == "number above 0 to 60"
    assert type_of({"type": "integer", "minimum": 1, "maximum": 20000}) == "integer from 1 to 20,000"
    assert type_of({"type": "array", "items": {"$ref": "#/$defs/Box"}}) == "list of [Box](#box)"
    assert type_of({"type": "object", "additionalProperties": {"type": "string"}}) == "map of string to string"
    assert type_of({"type": "string", "pattern": "a|b"}) == "string, `a\\|b`"
