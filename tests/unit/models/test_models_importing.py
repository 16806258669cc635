import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.checkpoints.reading import read_checkpoint
from models.checkpoints.torch_files import Tensors
from models.crops import cut_faces
from models.detectors import chosen_entries
from models.exceptions import CheckpointError, GraphInvalid, ImportIncomplete, ManifestError, ModelError, NonFiniteScore
from models.faces import FaceDetector
from models.families.catalogue import Format
from models.fitting.faces import read_group
from models.graph import prepare
from models.importing import Facts, import_checkpoint
from models.inference.provider_options import CPU
from models.inference.session import Session
from models.manifest import Entry, Family, FileSource, Manifest, Role
from models.sources import resolve
from tests.support.tiny_models import SIZE, write_brightness
from tests.unit.models.checkpoints.torch_bytes import as_zip, described, dictionary, number, storages, streamed, zipped
from tests.unit.models.families.numpy_layers import Drawn
from tests.unit.models.families.references import REFERENCES

GIVEN = Facts(licence="MIT", origin="https://example.org/detector")
CROPS = np.random.default_rng(9).integers(0, 256, (2, 256, 256, 3), np.uint8)


def drawn(name: str, side: int) -> Tensors:
    """Random tensors for pictures of that side."""
    weights = Drawn(seed=3, gain=REFERENCES[name].gain)
    REFERENCES[name].network(weights, np.zeros((1, 3, side, side)))
    return weights.tensors


@pytest.fixture(scope="module")
def meso4() -> Tensors:
    return drawn("meso4", 256)


@pytest.fixture
def bench_file(tmp_path: Path, meso4: Tensors) -> Path:
    """As DeepfakeBench saves a detector that several GPUs trained."""
    path = tmp_path / "meso4_best.pth"
    path.write_bytes(zipped({f"module.backbone.{key}": tensor for key, tensor in meso4.items()}))
    return path


@pytest.fixture(scope="module")
def mobilenet() -> Tensors:
    return drawn("mobilenetv2_100", 64)


def timm_file(folder: Path, tensors: Tensors) -> Path:
    """As timm saves a training: the state dict beside other things."""
    named = {f"module.{key}": tensor for key, tensor in tensors.items()}
    path = folder / "model_best.pth.tar"
    path.write_bytes(as_zip(dictionary({"epoch": number(9), "state_dict": described(named)}), storages(named)))
    return path


def bench(file: Path, into: Path, *, name: str = "meso", facts: Facts = GIVEN, **changes: Any) -> Entry:
    return import_checkpoint(file, Format.DEEPFAKEBENCH, name=name, into=into, facts=facts, **changes)


def served(entry: Entry, cache: Path, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The logits of "fake" of a worker that serves the entry."""
    graph = prepare(entry, resolve(entry, cache, offline=True), cache)
    return Session(entry, graph, provider=CPU, warm_up=False).run(crops)


def as_seen(name: str, tensors: Tensors, crops: NDArray[np.uint8], entry: Entry) -> NDArray[np.float64]:
    """What a reference network says to crops, normalised as the entry says."""
    weights = Drawn(0)
    weights.tensors = dict(tensors)
    spec = entry.input
    pixels = crops[..., ::-1] if spec.colour == "BGR" else crops
    normal = (pixels * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    return np.asarray(REFERENCES[name].network(weights, normal.transpose(0, 3, 1, 2)))


def test_a_deepfakebench_detector_is_served_as_it_was_trained(tmp_path: Path, bench_file: Path, meso4: Tensors) -> None:
    entry = bench(bench_file, tmp_path / "models")
    assert (entry.family, entry.role, entry.licence) == (Family.MESONET, Role.PRIMARY, "MIT")
    assert (entry.input.size, entry.input.mean, entry.input.std) == (256, (0.5,) * 3, (0.5,) * 3)
    assert (entry.input.crop.kind, entry.input.crop.margin) == ("aligned", 0.3)
    scores = as_seen("meso4", meso4, CROPS, entry)
    # softmax(scores)[1] as a logit.
    np.testing.assert_allclose(served(entry, tmp_path, CROPS), scores[:, 1] - scores[:, 0], atol=1e-4)


def test_the_folders_manifest_serves_the_whole_fleet(tmp_path: Path, bench_file: Path) -> None:
    entry = bench(bench_file, tmp_path / "models")
    manifest = Manifest.load(tmp_path / "models" / "manifest.yaml")
    assert manifest.entry("meso") == entry
    assert manifest.by_role("primary")[0] == entry
    names = [each.name for each in chosen_entries(manifest)]
    assert names[0] == "centerface"
    assert {"meso", "clip_synthetic"} <= set(names)
    source = entry.source
    assert isinstance(source, FileSource)
    assert source.path == tmp_path / "models" / "meso.onnx"
    assert hashlib.sha256(source.path.read_bytes()).hexdigest() == source.sha256


def test_a_second_import_replaces_its_namesake_and_leaves_the_rest_alone(tmp_path: Path, bench_file: Path) -> None:
    into = tmp_path / "models"
    first = bench(bench_file, into, name="first")
    bench(bench_file, into, name="second")
    path = into / "manifest.yaml"
    path.write_text(path.read_text().replace("  - name: second\n", "  - name: second\n    # Ours.\n"))
    bench(bench_file, into, name="first", facts=Facts(licence="GPL-3.0", origin="elsewhere"))
    manifest = Manifest.load(path)
    assert [each.name for each in manifest.entries][:2] == ["first", "second"]
    assert manifest.entry("first") == first.model_copy(update={"licence": "GPL-3.0", "origin": "elsewhere"})
    assert "# Ours." in path.read_text()


def test_the_same_checkpoint_gives_the_same_graph(tmp_path: Path, bench_file: Path) -> None:
    assert bench(bench_file, tmp_path / "a").source.sha256 == bench(bench_file, tmp_path / "b").source.sha256


def test_a_timm_checkpoint_is_served_with_the_facts_that_were_given(tmp_path: Path, mobilenet: Tensors) -> None:
    facts = Facts(licence="MIT", origin="ours", size=64, fake_index=0, mean=(0.5, 0.4, 0.3), crop="square", margin=0.1)
    file = timm_file(tmp_path, mobilenet)
    entry = import_checkpoint(file, Format.TIMM, name="mobile", role=Role.SCREEN, into=tmp_path / "m", facts=facts)
    assert (entry.family, entry.role, entry.input.size) == (Family.MOBILENET, Role.SCREEN, 64)
    assert (entry.input.mean, entry.input.std) == ((0.5, 0.4, 0.3), (0.229, 0.224, 0.225))
    assert (entry.input.crop.kind, entry.input.crop.margin) == ("square", 0.1)
    crops = CROPS[:, :64, :64]
    scores = as_seen("mobilenetv2_100", mobilenet, crops, entry)
    np.testing.assert_allclose(served(entry, tmp_path, crops), scores[:, 0] - scores[:, 1], atol=1e-4)


def test_a_timm_checkpoint_in_safetensors_gives_the_same_graph(tmp_path: Path, mobilenet: Tensors) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="the extra `convert` is not installed")
    facts = Facts(licence="MIT", origin="ours", size=64, fake_index=1)
    file = tmp_path / "model.safetensors"
    safetensors.save_file({key: np.ascontiguousarray(tensor) for key, tensor in mobilenet.items()}, file)
    digests = {
        import_checkpoint(each, Format.TIMM, name="mobile", into=tmp_path / "m", facts=facts).source.sha256
        for each in (file, timm_file(tmp_path, mobilenet))
    }
    assert len(digests) == 1


@pytest.mark.parametrize("name", ["Meso4", "MesoInception4"])
def test_a_keras_mesonets_score_grows_with_fake_though_the_network_answers_real(tmp_path: Path, name: str) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra `convert` is not installed")
    tensors = drawn(name, 256)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        for key, tensor in tensors.items():
            layer, part = key.split(".")
            file[f"{layer}/{layer}/{part}:0"] = tensor
    entry = import_checkpoint(tmp_path / "weights.h5", Format.MESONET_KERAS, name="meso", into=tmp_path / "m")
    assert (entry.output.layout, entry.output.fake_index, entry.licence) == ("logit", 0, "Apache-2.0")
    real = as_seen(name, tensors, CROPS, entry)
    np.testing.assert_allclose(served(entry, tmp_path, CROPS), -real[:, 0], atol=1e-3, rtol=1e-4)


def test_of_two_imports_of_a_role_the_first_serves_and_of_liveness_both(tmp_path: Path) -> None:
    for name in ("4_0_0_80x80_MiniFASNetV2.pth", "2.7_80x80_MiniFASNetV2.pth"):
        margin = "wide" if name.startswith("4") else "near"
        import_checkpoint(fas_file(tmp_path, name), Format.MINIFASNET, name=margin, into=tmp_path / "m")
    manifest = Manifest.load(tmp_path / "m" / "manifest.yaml")
    assert [each.name for each in manifest.by_role(Role.LIVENESS)] == ["wide", "near"]
    assert [each.name for each in chosen_entries(manifest) if each.role is Role.LIVENESS] == ["wide", "near"]
    primaries = Manifest.load().by_role(Role.PRIMARY)
    assert len(primaries) == 2
    assert Manifest.load().chosen([Role.PRIMARY]) == primaries[:1]


def test_a_timm_classifier_of_one_class_answers_one_logit(tmp_path: Path, mobilenet: Tensors) -> None:
    one = mobilenet | {f"classifier.{part}": mobilenet[f"classifier.{part}"][:1] for part in ("weight", "bias")}
    facts = Facts(licence="MIT", origin="ours", size=64, fake_index=1)
    entry = import_checkpoint(timm_file(tmp_path, one), Format.TIMM, name="mobile", into=tmp_path / "m", facts=facts)
    assert entry.output.layout == "logit"
    crops = CROPS[:, :64, :64]
    scores = as_seen("mobilenetv2_100", mobilenet, crops, entry)
    np.testing.assert_allclose(served(entry, tmp_path, crops), scores[:, 0], atol=1e-4)


def fas_file(folder: Path, name: str) -> Path:
    path = folder / name
    tensors = drawn("MiniFASNetV2", 80)
    path.write_bytes(streamed({f"module.{key}": tensor for key, tensor in tensors.items()}))
    return path


def test_a_minifasnets_score_grows_with_not_live(tmp_path: Path) -> None:
    file = fas_file(tmp_path, "2.7_80x80_MiniFASNetV2.pth")
    entry = import_checkpoint(file, Format.MINIFASNET, name="live", into=tmp_path / "m")
    assert (entry.role, entry.family, entry.licence) == (Role.LIVENESS, Family.MINIFASNET, "Apache-2.0")
    assert (entry.input.colour, entry.input.scale, entry.input.crop.kind) == ("BGR", 1.0, "inside")
    crops = CROPS[:, :80, :80]
    live = as_seen("MiniFASNetV2", drawn("MiniFASNetV2", 80), crops, entry)
    np.testing.assert_allclose(served(entry, tmp_path, crops), -live[:, 0], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "margin"),
    [("2.7_80x80_MiniFASNetV2.pth", 1.7), ("4_0_0_80x80_MiniFASNetV2.pth", 3.0), ("1_80x80_MiniFASNetV2.pth", 0.0)],
)
def test_a_minifasnets_file_name_says_how_much_around_the_face_it_sees(
    tmp_path: Path, name: str, margin: float
) -> None:
    entry = import_checkpoint(fas_file(tmp_path, name), Format.MINIFASNET, name="live", into=tmp_path / "m")
    assert entry.input.crop.margin == margin


def test_a_renamed_minifasnet_needs_its_margin(tmp_path: Path) -> None:
    file = fas_file(tmp_path, "liveness.pth")
    with pytest.raises(ImportIncomplete) as raised:
        import_checkpoint(file, Format.MINIFASNET, name="live", into=tmp_path / "m")
    assert raised.value.field == "margin"
    entry = import_checkpoint(file, Format.MINIFASNET, name="live", into=tmp_path / "m", facts=Facts(margin=3))
    assert entry.input.crop.margin == 3


def graph_file(folder: Path) -> Path:
    write_brightness(folder / "foreign.onnx")
    return folder / "foreign.onnx"


def test_a_graph_is_taken_as_it_is_with_what_is_said_of_it(tmp_path: Path) -> None:
    file = graph_file(tmp_path)
    facts = Facts(licence="MIT", origin="ours", layout="logit", fake_index=0)
    entry = import_checkpoint(
        file, Format.ONNX, architecture="efficientnet_b4", name="foreign", into=tmp_path / "m", facts=facts
    )
    assert (tmp_path / "m" / "foreign.onnx").read_bytes() == file.read_bytes()
    assert (entry.family, entry.input.size) == (Family.EFFICIENTNET_B4, SIZE)
    bright = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
    assert served(entry, tmp_path, bright)[0] < 0 < served(entry, tmp_path, bright * 0)[0]


@pytest.mark.parametrize(
    ("facts", "architecture", "field"),
    [
        (Facts(origin="o", layout="logit", fake_index=1), "mesonet", "licence"),
        (Facts(licence="l", layout="logit", fake_index=1), "mesonet", "origin"),
        (Facts(licence="l", origin="o", fake_index=1), "mesonet", "layout"),
        (Facts(licence="l", origin="o", layout="logit"), "mesonet", "fake_index"),
        (Facts(licence="l", origin="o", layout="logit", fake_index=1), None, "architecture"),
        (Facts(licence="l", origin="o", layout="logit", fake_index=1), "perceptron", "architecture"),
    ],
)
def test_a_fact_that_a_graph_does_not_say_has_to_be_said(
    tmp_path: Path, facts: Facts, architecture: str | None, field: str
) -> None:
    with pytest.raises(ImportIncomplete) as raised:
        import_checkpoint(
            graph_file(tmp_path), Format.ONNX, architecture=architecture, name="x", into=tmp_path / "m", facts=facts
        )
    assert raised.value.field == field
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("content", [b"", bytes(64), b"no graph", zipped({"w": np.ones(2, np.float32)})])
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.onnx"
    file.write_bytes(content)
    facts = Facts(licence="MIT", origin="ours", layout="logit", fake_index=1, size=64)
    with pytest.raises(CheckpointError, match="no ONNX graph"):
        import_checkpoint(file, Format.ONNX, architecture="mesonet", name="x", into=tmp_path / "m", facts=facts)
    assert not (tmp_path / "m").exists()


def test_which_class_of_a_timm_checkpoint_is_fake_has_to_be_said(tmp_path: Path, mobilenet: Tensors) -> None:
    facts = Facts(licence="MIT", origin="ours", size=64)
    with pytest.raises(ImportIncomplete) as raised:
        import_checkpoint(timm_file(tmp_path, mobilenet), Format.TIMM, name="x", into=tmp_path / "m", facts=facts)
    assert raised.value.field == "fake_index"


def test_an_architecture_of_one_size_takes_no_other(tmp_path: Path, bench_file: Path) -> None:
    with pytest.raises(ImportIncomplete, match="256 pixels only"):
        bench(bench_file, tmp_path / "m", facts=Facts(licence="l", origin="o", size=224))


@pytest.mark.parametrize(
    ("changes", "kind", "field"),
    [
        ({"architecture": "xception"}, CheckpointError, "tensors"),
        ({"architecture": "resnet"}, ImportIncomplete, "architecture"),
        ({"name": "../meso"}, ManifestError, "name"),
        ({"name": "Meso"}, ManifestError, "name"),
        ({"role": Role.FACES}, ManifestError, "output.layout"),
        ({"facts": Facts(licence="l", origin="o", margin=9)}, ManifestError, "input.crop.margin"),
        ({"facts": Facts(licence="l", origin="o", std=(0.0, 1.0, 1.0))}, ManifestError, "input.std"),
        ({"facts": Facts(licence="l", origin="o", fake_index=2)}, GraphInvalid, "output.fake_index"),
        ({"facts": Facts(licence="l", origin="o", scale=1e38)}, NonFiniteScore, "output"),
    ],
)
def test_nothing_is_written_of_what_cannot_be_served(
    tmp_path: Path, bench_file: Path, changes: dict[str, Any], kind: type[ModelError], field: str
) -> None:
    with pytest.raises(kind) as raised:
        bench(bench_file, tmp_path / "m", **changes)
    assert raised.value.field == field
    assert not (tmp_path / "m").exists()


def test_a_checkpoint_with_wrong_tensors_is_refused_with_the_list(tmp_path: Path, meso4: Tensors) -> None:
    file = tmp_path / "c.pth"
    wrong = {f"backbone.{key}": tensor for key, tensor in meso4.items() if key != "fc2.bias"}
    file.write_bytes(zipped(wrong | {"loss.weight": np.ones(2, np.float32)}))
    with pytest.raises(CheckpointError, match=r"missing: fc2\.bias; unexpected: loss\.weight"):
        bench(file, tmp_path / "m")


@pytest.mark.parametrize("text", ["entries: [", "entries:\n- name: x\n", "extends: none.yaml\nentries:\n"])
def test_a_manifest_that_cannot_be_added_to_is_left_as_it_is(tmp_path: Path, bench_file: Path, text: str) -> None:
    path = tmp_path / "m" / "manifest.yaml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ManifestError):
        bench(bench_file, tmp_path / "m")
    assert path.read_text() == text
    # Neither graph nor golden vector: those of an entry before would be refused by their hashes.
    assert [each.name for each in path.parent.iterdir() if not each.name.endswith(".lock")] == ["manifest.yaml"]


def published(data: Path, pattern: str) -> list[Path]:
    """The files of published weights of that name."""
    files = sorted((data / "weights").glob(pattern))
    if not files:
        pytest.skip(f"no {pattern} in {data / 'weights'}")
    return files


@pytest.mark.data
def test_the_published_minifasnets_call_most_faces_of_photographs_live(
    data: Path, detector: FaceDetector, tmp_path: Path
) -> None:
    faces = read_group(data, "val/real", detector, 30, lambda *_: None).faces
    for file in published(data, "*MiniFASNet*.pth"):
        name = file.stem.rpartition("_")[2].lower()
        entry = import_checkpoint(file, Format.MINIFASNET, name=name, into=tmp_path / "m")
        crops = [cut_faces(each.image, [each.face], entry.input.crop, 80) for each in faces]
        assert np.mean(served(entry, tmp_path, np.concatenate(crops)) < 0) > 0.8


@pytest.mark.data
@pytest.mark.parametrize("file", ["Meso4_DF", "Meso4_F2F", "MesoInception_DF", "MesoInception_F2F"])
def test_the_mesonet_authors_files_are_imported_with_their_label_turned_round(
    data: Path, tmp_path: Path, file: str
) -> None:
    pytest.importorskip("h5py", reason="the extra `convert` is not installed")
    (path,) = published(data, f"{file}.h5")
    entry = import_checkpoint(path, Format.MESONET_KERAS, name=file.lower(), into=tmp_path / "m")
    assert (entry.output.layout, entry.output.fake_index, entry.licence) == ("logit", 0, "Apache-2.0")
    name = "Meso4" if file.startswith("Meso4") else "MesoInception4"
    real = as_seen(name, read_checkpoint(path), CROPS[:1], entry)
    np.testing.assert_allclose(served(entry, tmp_path, CROPS[:1]), -real[:, 0], atol=1e-4)
