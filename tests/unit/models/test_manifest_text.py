"""The manifest as text."""

from pathlib import Path

import pytest
import yaml

from models.exceptions import ManifestError
from models.manifest import MANIFEST, Manifest
from models.manifest_text import with_entry, with_needs
from tests.support.tiny_models import entry

TEXT = MANIFEST.read_text(encoding="utf-8")


def made(folder: Path, **changes: object) -> str:
    return with_entry(TEXT, entry(path=folder / "weights" / "tiny.onnx", sha256="0" * 64, **changes), folder)


def written(text: str, folder: Path) -> Manifest:
    path = folder / "manifest.yaml"
    path.write_text(text, encoding="utf-8")
    return Manifest.load(path)


def test_a_new_entry_is_added_at_the_end_and_reads_back(tmp_path: Path) -> None:
    text = made(tmp_path, name="another")
    assert text.startswith(TEXT.rstrip("\n"))
    read = written(text, tmp_path).entries[-1]
    assert read == entry(path=tmp_path / "weights" / "tiny.onnx", sha256="0" * 64, name="another")


def test_an_entry_takes_the_place_of_its_namesake_and_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    once = made(tmp_path, name="centerface2")
    newer = entry(path=tmp_path / "weights" / "tiny.onnx", sha256="1" * 64, name="centerface2", version="2")
    twice = with_entry(once, newer, tmp_path)
    names = [each["name"] for each in yaml.safe_load(twice)["entries"]]
    assert names == [each["name"] for each in yaml.safe_load(once)["entries"]]
    assert written(twice, tmp_path).entry("centerface2").version == "2"
    assert twice.startswith(TEXT.rstrip("\n"))


def test_the_first_of_all_entries_can_be_replaced(tmp_path: Path) -> None:
    first = Manifest.load().entries[0].name
    text = made(tmp_path, name=first)
    entries = yaml.safe_load(text)["entries"]
    assert [each["name"] for each in entries] == [each.name for each in Manifest.load().entries]
    assert entries[0]["source"] == {"kind": "file", "path": "weights/tiny.onnx", "sha256": "0" * 64}


def test_what_an_entry_needs_is_all_that_changes(tmp_path: Path) -> None:
    known = Manifest.load()
    first = known.entries[0].model_copy(update={"needs": {"cuda": 9.5, "cpu": 12.0}})
    text = with_needs(TEXT, first)
    assert "    needs: {cuda: 9.5, cpu: 12}\n\n" in text
    rest = [line for line in TEXT.splitlines() if "needs:" not in line or known.entries[0].needs == {}]
    assert [line for line in rest if line not in text.splitlines()] == []
    again = with_needs(text, first.model_copy(update={"needs": {"cpu": 13.0}}))
    assert yaml.safe_load(again)["entries"][0]["needs"] == {"cpu": 13}
    assert yaml.safe_load(again)["entries"][1:] == yaml.safe_load(TEXT)["entries"][1:]


def test_an_entry_of_another_manifest_cannot_be_given_needs(tmp_path: Path) -> None:
    stranger = entry(path=tmp_path / "tiny.onnx", sha256="0" * 64, name="stranger")
    with pytest.raises(ManifestError, match="stranger: name: is not in the manifest"):
        with_needs(TEXT, stranger)
