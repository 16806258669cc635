"""The file of learnt fusions: written, read, and refused where it is not what the manifest names."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from models.exceptions import FusionError
from models.fingerprint import graph_hash, model_set_fingerprint
from models.fusion_weights import NOTHING_LEARNT, FittedOn, FusionTable, FusionWeights, load_fusion
from models.manifest import Entry, FusionSpec, Manifest
from schemas.verdict import Axis
from tests.support.tiny_models import entry, write_manifest

RECORD = FittedOn("made up", 10, 20, 5, 1.0, 1, 0.9, 0.8, 0.02, 0.1)
BOTH = FusionWeights(
    Axis.MANIPULATION,
    {"screen-a": 0.25, "primary-a": 1.5},
    bias=-0.125,
    threshold=0.75,
    fitted=RECORD,
    thresholds={"0.01": 0.875},
    versions={"screen-a": "1", "primary-a": "2"},
)
SCREEN = replace(BOTH, weights={"screen-a": 1.0}, versions={"screen-a": "1"})
TABLE = FusionTable((BOTH, SCREEN))


def named(name: str, version: str) -> Entry:
    return entry(path=Path("x.onnx"), sha256="0" * 64, name=name.replace("-", "_"), version=version).model_copy(
        update={"name": name}
    )


ENTRIES = (named("screen-a", "1"), named("primary-a", "2"))


def written(folder: Path, content: bytes) -> FusionSpec:
    path = folder / "fusion.json"
    path.write_bytes(content)
    return FusionSpec(path=path, sha256=hashlib.sha256(content).hexdigest())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert load_fusion(written(tmp_path, TABLE.to_bytes()), ENTRIES) == TABLE
    assert load_fusion(None, ENTRIES) is NOTHING_LEARNT


def test_a_fusion_is_found_by_exactly_its_detectors_and_axis() -> None:
    assert TABLE.find(Axis.MANIPULATION, ["primary-a", "screen-a"]) is BOTH
    assert TABLE.find(Axis.MANIPULATION, ["screen-a"]) is SCREEN
    assert TABLE.find(Axis.MANIPULATION, ["primary-a"]) is None
    assert TABLE.find(Axis.SYNTHETIC, ["screen-a"]) is None


def test_a_fused_logit_is_the_weighted_sum_with_the_bias() -> None:
    assert BOTH.logit({"screen-a": 2.0, "primary-a": 1.0, "other": 99.0}) == pytest.approx(0.5 + 1.5 - 0.125)


def test_fusions_of_detectors_that_are_not_loaded_are_left_out(tmp_path: Path) -> None:
    spec = written(tmp_path, TABLE.to_bytes())
    assert load_fusion(spec, ENTRIES[:1]) == FusionTable((SCREEN,))


def refused(spec: FusionSpec, entries: tuple[Entry, ...] = ENTRIES) -> FusionError:
    with pytest.raises(FusionError) as raised:
        load_fusion(spec, entries)
    return raised.value


def test_a_file_that_is_missing_or_another_is_refused(tmp_path: Path) -> None:
    spec = written(tmp_path, TABLE.to_bytes())
    spec.path.write_bytes(b"[]")
    assert refused(spec).field == "sha256"
    spec.path.unlink()
    assert refused(spec).field == "path"


def test_weights_of_another_version_of_a_detector_are_refused(tmp_path: Path) -> None:
    error = refused(written(tmp_path, TABLE.to_bytes()), (ENTRIES[0], named("primary-a", "3")))
    assert error.field == "manipulation.versions.primary-a"
    assert "learnt for primary-a 2, loaded is 3" in str(error)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"{", "fusions"),
        (b'{"fusions": []}', "fusions"),
        (TABLE.to_bytes().replace(b"0.25", b"-0.25"), "0.weights.screen-a"),
        (TABLE.to_bytes().replace(b"0.75", b"1.75"), "0.threshold"),
        (TABLE.to_bytes().replace(b'"bias"', b'"prejudice"'), "0.bias"),
    ],
)
def test_a_file_that_cannot_be_is_refused_by_its_field(tmp_path: Path, content: bytes, field: str) -> None:
    assert refused(written(tmp_path, content)).field == field


def test_a_manifest_names_the_file_beside_it(tmp_path: Path) -> None:
    path = write_manifest(tmp_path)
    path.write_text(path.read_text() + f"fusion: {{path: fusion.json, sha256: '{'0' * 64}'}}\n")
    assert Manifest.load(path).fusion == FusionSpec(path=tmp_path / "fusion.json", sha256="0" * 64)


def test_other_weights_and_other_thresholds_are_another_model_set_and_no_other_graph() -> None:
    plain = model_set_fingerprint(ENTRIES)
    assert model_set_fingerprint(ENTRIES, "a" * 64) not in {plain, model_set_fingerprint(ENTRIES, "b" * 64)}
    output = ENTRIES[0].output.model_copy(update={"thresholds": {"0.01": 0.9}})
    moved = ENTRIES[0].model_copy(update={"output": output})
    assert model_set_fingerprint((moved, ENTRIES[1])) != plain
    assert graph_hash(moved) == graph_hash(ENTRIES[0])


@pytest.mark.parametrize(
    "thresholds",
    [{"0.010": 0.5}, {"1%": 0.5}, {"0": 0.5}, {"1": 0.5}, {"nan": 0.5}, {"0.01": 1.0}, {"0.01": 0.5, "0.05": 0.6}],
)
def test_thresholds_of_a_detector_are_by_rate_and_rise_as_fewer_real_faces_may_reach_them(
    thresholds: dict[str, float],
) -> None:
    with pytest.raises(ValueError, match="thresholds"):
        entry(path=Path("x"), sha256="0" * 64, output={"layout": "logit", "thresholds": thresholds})
    good = {"0.001": 0.9, "0.01": 0.9, "0.05": 0.4}
    kept = entry(path=Path("x"), sha256="0" * 64, output={"layout": "logit", "thresholds": good})
    assert kept.output.thresholds == good
