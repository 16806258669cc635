"""Pictures that moderators may look at for some days."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.evidence_store import EvidenceError, EvidenceStore
from agents.settings import EvidenceSettings

NOW = datetime(2026, 11, 10, 12, tzinfo=UTC)


def store_in(folder: Path) -> EvidenceStore:
    return EvidenceStore(EvidenceSettings(url=str(folder), keep_days=7))


def test_what_is_kept_can_be_got_by_its_key(tmp_path: Path) -> None:
    store = store_in(tmp_path / "evidence")
    key = store.put(NOW, "alert-0.jpg", b"picture")
    assert key == "2026-11-10/alert-0.jpg"
    assert store.put(NOW, "alert-0.jpg", b"picture") == key
    assert store.get(key) == b"picture"
    assert store.get("2026-11-10/other.jpg") is None


def test_days_that_are_over_are_removed_and_nothing_else(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    old = store.put(NOW - timedelta(days=8), "a.jpg", b"old")
    last = store.put(NOW - timedelta(days=7), "a.jpg", b"last day")
    (tmp_path / "notes.txt").write_text("not ours")
    assert store.expire(NOW) == 1
    assert store.get(old) is None
    assert store.get(last) == b"last day"
    assert (tmp_path / "notes.txt").exists()
    assert store.expire(NOW) == 0


def test_an_empty_store_has_nothing_to_expire(tmp_path: Path) -> None:
    assert store_in(tmp_path / "nothing").expire(NOW) == 0


def test_a_store_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match="cannot be written"):
        store_in(tmp_path / "file").put(NOW, "a.jpg", b"picture")


def test_an_unknown_kind_of_store_is_refused() -> None:
    with pytest.raises(EvidenceError, match=r"evidence\.url"):
        EvidenceStore(EvidenceSettings(url="nope://bucket"))
