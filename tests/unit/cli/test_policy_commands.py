"""`fleet policies` and `fleet models fit-fusion`, as they answer."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import yaml

from agents.cli.console import OUT
from agents.cli.exits import CommandFailed
from agents.cli.fit_fusion import fit_fusion
from agents.cli.policies import list_all, show
from models.exceptions import ManifestError, PolicyUnknown
from models.fusion_weights import load_fusion
from models.manifest import FusionSpec, Manifest
from schemas.verdict import Axis
from tests.support.tiny_models import entry_fields, write_manifest

MORE = """policies:
  - {name: news, version: 3, description: For a newsroom., combination: {kind: calibrated}, authentic_below: 0.1}
"""


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(OUT, "width", 160)
    Path("more.yaml").write_text(MORE)
    Path("fleet.yaml").write_text("policies: {file: more.yaml, tenants: {paper: news, gallery: {video: strict}}}")


def test_every_policy_is_listed_with_who_uses_it(capsys: pytest.CaptureFixture[str]) -> None:
    list_all()
    lines = {tuple(line.split()[:2]): line for line in capsys.readouterr().out.splitlines() if line[:1].strip()}
    assert "every other tenant" in lines["default", "2"]
    assert "segments in flight" in lines["default", "1"]
    assert "paper" in lines["news", "3"]
    assert "For a newsroom." in lines["news", "3"]
    assert "gallery (video)" in lines["strict", "1"]
    assert "nobody" in lines["lenient", "1"]


def test_a_policy_is_shown_with_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    show("news")
    shown = capsys.readouterr().out
    assert "news/3" in shown
    assert "0.1, abstaining from there to the threshold" in shown
    show("default/1")
    assert "learnt" not in capsys.readouterr().out
    show("strict")
    assert "for 0.05 of real faces" in capsys.readouterr().out
    show("seed")
    assert "detectors 0.5, artifacts 0.3, temporal 0.2" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nope", "news/1"])
def test_a_policy_that_does_not_exist_is_an_error(name: str) -> None:
    with pytest.raises(PolicyUnknown):
        show(name)


@pytest.fixture
def two_detectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """A manifest with the detectors `quick` and `tiny`."""
    path = write_manifest(tmp_path)
    document = yaml.safe_load(path.read_text())
    sha256 = document["entries"][1]["source"]["sha256"]
    document["entries"].append(entry_fields(path="tiny.onnx", sha256=sha256, name="quick", role="screen", version="7"))
    path.write_text(yaml.safe_dump(document))
    monkeypatch.setenv("FLEET_MODELS__MANIFEST", str(path))
    return Manifest.load(path)


def scores(**changes: object) -> Path:
    random = np.random.default_rng(0)
    fake = np.arange(400) % 2 == 0
    middle = np.where(fake, 1.5, -1.5)
    logits = np.stack([middle + random.normal(0, 1, 400), middle + random.normal(0, 2, 400)], axis=1)
    # The costly one was asked about half of the faces.
    logits[::4, 0] = np.nan
    arrays = {"logits": logits, "fake": fake, "names": np.array(["tiny", "quick"])} | changes
    np.savez("scores.npz", **arrays)
    return Path("scores.npz")


def test_every_set_of_detectors_is_fitted_and_the_file_is_what_a_worker_reads(
    two_detectors: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path("fusion.json")
    fit_fusion(scores(groups=np.arange(400) // 4), out, "made up", 1.0, 1)
    sha256 = hashlib.sha256(out.read_bytes()).hexdigest()
    assert sha256 in capsys.readouterr().out
    table = load_fusion(FusionSpec(path=out, sha256=sha256), two_detectors.entries)
    assert [set(fusion.weights) for fusion in table.fusions] == [{"tiny"}, {"quick"}, {"tiny", "quick"}]
    both = table.find(Axis.MANIPULATION, ["quick", "tiny"])
    assert both is not None
    assert both.versions == {"tiny": "1", "quick": "7"}
    assert both.fitted.real + both.fitted.fake == 300
    assert both.weights["tiny"] > both.weights["quick"] > 0
    assert both.fitted.auc > 0.9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"names": np.array(["tiny"])}, "do not fit"),
        ({"fake": np.ones(400, bool)}, "both real and fake"),
        ({"names": np.array(["tiny", "centerface"])}, "finds faces"),
        ({"names": np.array([object(), object()])}, "is no .npz"),
    ],
    ids=["too few names", "no reals", "a face detector", "pickled"],
)
@pytest.mark.usefixtures("two_detectors")
def test_scores_that_nothing_can_be_learnt_from_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(CommandFailed, match=said):
        fit_fusion(scores(**changes), Path("fusion.json"), "", 1.0, 1)
    assert not Path("fusion.json").exists()


@pytest.mark.usefixtures("two_detectors")
def test_a_detector_that_the_manifest_does_not_have_is_an_error() -> None:
    with pytest.raises(ManifestError, match="oracle"):
        fit_fusion(scores(names=np.array(["tiny", "oracle"])), Path("fusion.json"), "", 1.0, 1)


def test_a_file_that_is_no_archive_is_refused() -> None:
    Path("scores.npz").write_text("no")
    with pytest.raises(CommandFailed, match=r"is no \.npz"):
        fit_fusion(Path("scores.npz"), Path("fusion.json"), "", 1.0, 1)
