import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import orjson
import pytest

from agents.migrations import migrations
from agents.rows import _FRAME_COLUMNS, ACTIONS, ALERTS, RESULTS, REVIEWS, Table, _frame_cells
from schemas.event import Event
from schemas.examples import ACTION, ALERT, REVIEW, VERDICT
from schemas.media import ContentType
from schemas.moderation import Transition
from schemas.verdict import Label, Outcome, RecommendedAction, RiskLevel

SQL = "\n".join(migration.sql for migration in migrations())
TABLES: Sequence[tuple[Table[Any], Event]] = ((RESULTS, VERDICT), (ALERTS, ALERT), (ACTIONS, ACTION), (REVIEWS, REVIEW))
BY_NAME = pytest.mark.parametrize(("table", "event"), TABLES, ids=[table.name for table, _ in TABLES])


def columns_of(table: str) -> Mapping[str, str]:
    """Return the columns of a table as the migrations declare them: name to type and constraints."""
    (body,) = re.findall(rf"CREATE TABLE deepfake_detection\.{table} \((.*?)\n\)", SQL, re.DOTALL)
    return dict(
        re.findall(r"^ {4}([a-z_0-9]+)\s+((?:double precision|[a-z]+)[^\n]*(?:\n {8}[^\n]*)?)", body, re.MULTILINE)
    )


def cells(table: Table[Any], event: Event) -> dict[str, Any]:
    return {column.name: column.value(event) for column in table.columns}


@BY_NAME
def test_every_column_that_is_written_exists_with_its_type(table: Table[Any], event: Event) -> None:
    declared = columns_of(table.name)
    for column in table.columns:
        assert declared[column.name].startswith(column.type), column.name


@BY_NAME
def test_every_column_that_must_have_a_value_is_written(table: Table[Any], event: Event) -> None:
    must = {
        name
        for name, declaration in columns_of(table.name).items()
        if ("NOT NULL" in declaration or "PRIMARY KEY" in declaration) and "DEFAULT" not in declaration
    }
    assert must <= {column.name for column in table.columns}


def test_every_column_of_a_frame_exists_with_its_type() -> None:
    declared = columns_of("frame_analysis")
    assert dict(_FRAME_COLUMNS).keys() == declared.keys()
    assert all(declared[name].startswith(kind) for name, kind in _FRAME_COLUMNS)


@pytest.mark.parametrize(
    ("table", "column", "values"),
    [
        ("analysis_results", "content_type", ContentType),
        ("analysis_results", "outcome", Outcome),
        ("analysis_results", "label", Label),
        ("analysis_results", "risk_level", RiskLevel),
        ("analysis_results", "recommendation", RecommendedAction),
        ("alerts", "content_type", ContentType),
        ("alerts", "transition", Transition),
        ("alerts", "risk_level", RiskLevel),
        ("reviews", "label", Label),
    ],
)
def test_the_database_takes_every_value_that_an_event_can_have(table: str, column: str, values: type[StrEnum]) -> None:
    (allowed,) = re.findall(r"CHECK \(\w+ IN \(([^)]*)\)\)", columns_of(table)[column])
    assert set(re.findall(r"'(\w+)'", allowed)) == {value.value for value in values}


@BY_NAME
def test_the_key_of_a_row_is_the_id_of_its_event(table: Table[Any], event: Event) -> None:
    values = cells(table, event)
    key = "".join(
        part.strip("'") if part.startswith("'") else str(values[part.removesuffix("::text")])
        for part in table.key.split(" || ")
    )
    assert key == event.event_id


def test_a_verdict_keeps_the_column_names_that_moderators_query() -> None:
    row = cells(RESULTS, VERDICT)
    assert row["content_id"] == "clip-4711"
    assert row["is_deepfake"] is True
    assert (row["confidence_score"], row["manipulation_score"], row["risk_level"]) == (0.96, 0.96, "critical")
    assert orjson.loads(row["manipulation_types"]) == {"unknown": 0.96}
    assert orjson.loads(row["model_versions"]) == {"primary-a": "1"}
    assert row["processing_time_ms"] == 1584.0
    assert row["created_at"] == VERDICT.created_at


def test_the_details_of_a_verdict_are_all_but_its_frames_which_have_rows_of_their_own() -> None:
    details = orjson.loads(cells(RESULTS, VERDICT)["analysis_details"])
    assert "frames" not in details
    assert details.keys() == type(VERDICT).model_fields.keys() - {"frames"}


def test_a_verdict_on_media_that_could_not_be_read_has_a_row_too() -> None:
    bare = VERDICT.model_copy(
        update={
            "media": None,
            "content_type": None,
            "manipulation_score": None,
            "risk_level": None,
            "label": Label.INCONCLUSIVE,
            "models": (),
            "manipulation_types": (),
        }
    )
    row = cells(RESULTS, bare)
    assert (row["media_sha256"], row["is_deepfake"], row["content_type"]) == (None, None, None)
    assert (row["manipulation_types"], row["model_versions"]) == ("{}", "{}")


def test_each_face_of_a_frame_is_a_row() -> None:
    (frame,) = VERDICT.frames
    (row,) = [dict(zip([name for name, _ in _FRAME_COLUMNS[4:]], row, strict=True)) for row in _frame_cells(frame)]
    assert (row["frame_number"], row["pts_ms"], row["key_frame"], row["frame_score"]) == (100, 4000, True, 0.97)
    assert (row["face"], row["track"], row["usable"]) == (0, 0, True)
    assert (row["box_x"], row["box_y"], row["box_width"], row["box_height"]) == (0.41, 0.18, 0.14, 0.31)
    assert orjson.loads(str(row["scores"])) == {"screen-a": 0.91, "primary-a": 0.97}
    two = frame.model_copy(update={"faces": frame.faces * 2})
    assert [cells[4] for cells in _frame_cells(two)] == [0, 1]


def test_a_frame_without_a_face_is_a_row_without_a_box() -> None:
    empty = VERDICT.frames[0].model_copy(update={"faces": (), "score": None})
    (row,) = _frame_cells(empty)
    assert row == [100, 4000, True, None, 0, *[None] * 8]
    assert len(row) == len(_FRAME_COLUMNS[4:])


def test_migrations_are_numbered_without_a_gap_and_their_text_has_a_checksum() -> None:
    found = migrations()
    assert [migration.number for migration in found] == list(range(1, len(found) + 1))
    assert all(re.fullmatch("[0-9a-f]{64}", migration.sha256) for migration in found)
