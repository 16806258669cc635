import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.exceptions import GraphInvalid, HashMismatch, WeightsMissing
from models.graph import fold, fold_encoder, prepare
from models.heads import Head, load_head
from models.manifest import Entry, HeadSpec, Manifest
from tests.support.tiny_models import SIZE, constant, entry, save, write_brightness

RANDOM = np.random.default_rng(7)
IMAGES = RANDOM.integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def run(model: onnx.ModelProto | Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    content = model if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0], np.float32)


def write_linear(path: Path, outputs: int, *, size: int = SIZE) -> tuple[str, NDArray[np.float32]]:
    """A network that answers one weighted sum over all pixels for each output; return sha256 and weights."""
    weights = RANDOM.normal(0, 0.02, (3 * size * size, outputs)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["answer"]),
    ]
    return save(path, nodes, [constant("weights", weights)], image=["N", 3, size, size], answer=["N", outputs]), weights


def expected(weights: NDArray[np.float32], colour: str = "RGB") -> NDArray[np.float64]:
    """What a network of `write_linear` answers to IMAGES, normalised by MEAN and STD."""
    pixels = IMAGES[:, :, :, ::-1] if colour == "BGR" else IMAGES
    normalised = (pixels / 255 - np.array(MEAN)) / np.array(STD)
    return np.asarray(normalised.transpose(0, 3, 1, 2).reshape(len(IMAGES), -1) @ weights)


def linear_entry(path: Path, outputs: int, *, colour: str = "RGB", **changes: Any) -> tuple[Entry, NDArray[np.float64]]:
    sha256, weights = write_linear(path, outputs)
    spec = {"size": SIZE, "mean": MEAN, "std": STD, "colour": colour}
    return entry(path=path, sha256=sha256, **({"input": spec} | changes)), expected(weights, colour)


def logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(probability) - np.log1p(-probability))


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_pixels_are_normalised_as_by_numpy(tmp_path: Path, colour: str) -> None:
    model, answers = linear_entry(tmp_path / "m.onnx", 1, colour=colour)
    np.testing.assert_allclose(run(fold(model, tmp_path / "m.onnx"), IMAGES), answers[:, 0], atol=1e-5)


def test_bgr_differs_from_rgb(tmp_path: Path) -> None:
    sha256, _ = write_linear(tmp_path / "m.onnx", 1)
    rgb, bgr = (
        entry(path=tmp_path / "m.onnx", sha256=sha256, input={"size": SIZE, "colour": c}) for c in ("RGB", "BGR")
    )
    flipped = np.ascontiguousarray(IMAGES[:, :, :, ::-1])
    weights = tmp_path / "m.onnx"
    np.testing.assert_allclose(run(fold(bgr, weights), IMAGES), run(fold(rgb, weights), flipped), atol=1e-5)
    assert np.abs(run(fold(bgr, weights), IMAGES) - run(fold(rgb, weights), IMAGES)).max() > 0.01


def test_one_score_that_grows_with_real_is_turned_round(tmp_path: Path) -> None:
    model, answers = linear_entry(tmp_path / "m.onnx", 1, output={"layout": "logit", "fake_index": 0})
    np.testing.assert_allclose(run(fold(model, tmp_path / "m.onnx"), IMAGES), -answers[:, 0], atol=1e-5)


def test_the_calibration_is_in_the_graph(tmp_path: Path) -> None:
    model, answers = linear_entry(tmp_path / "m.onnx", 1, output={"layout": "logit", "temperature": 2, "bias": -0.5})
    np.testing.assert_allclose(run(fold(model, tmp_path / "m.onnx"), IMAGES), answers[:, 0] / 2 - 0.5, atol=1e-5)


@pytest.mark.parametrize("fake_index", [0, 2])
@pytest.mark.parametrize("classes", [3, 4])
def test_the_logit_of_one_class_of_many_is_against_all_others(tmp_path: Path, classes: int, fake_index: int) -> None:
    output = {"layout": "logits", "fake_index": fake_index}
    model, answers = linear_entry(tmp_path / "m.onnx", classes, output=output)
    powers = np.exp(answers)
    probability = powers[:, fake_index] / powers.sum(1)
    np.testing.assert_allclose(run(fold(model, tmp_path / "m.onnx"), IMAGES), logit(probability), atol=1e-5)


def test_the_logit_of_two_classes_is_their_difference(tmp_path: Path) -> None:
    model, answers = linear_entry(tmp_path / "m.onnx", 2, output={"layout": "logits"})
    difference = answers[:, 1] - answers[:, 0]
    np.testing.assert_allclose(run(fold(model, tmp_path / "m.onnx"), IMAGES), difference, atol=1e-5)


@pytest.mark.parametrize(("layout", "op", "outputs"), [("sigmoid", "Sigmoid", 1), ("softmax", "Softmax", 3)])
def test_probabilities_become_logits(tmp_path: Path, layout: str, op: str, outputs: int) -> None:
    path = tmp_path / "m.onnx"
    weights = RANDOM.normal(0, 0.02, (3 * SIZE * SIZE, outputs)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["raw"]),
        helper.make_node(op, ["raw"], ["answer"]),
    ]
    sha256 = save(path, nodes, [constant("weights", weights)], image=["N", 3, SIZE, SIZE], answer=["N", outputs])
    spec = {"size": SIZE, "mean": MEAN, "std": STD}
    model = entry(path=path, sha256=sha256, input=spec, output={"layout": layout})
    raw = expected(weights)
    wanted = raw[:, 0] if outputs == 1 else raw[:, 1] - np.log(np.exp(raw[:, [0, 2]]).sum(1))
    np.testing.assert_allclose(run(fold(model, path), IMAGES), wanted, atol=1e-5)


@pytest.mark.parametrize(("brightness", "sign"), [(0, -1), (255, 1)])
def test_a_saturated_probability_has_a_finite_logit(tmp_path: Path, brightness: int, sign: int) -> None:
    path = tmp_path / "m.onnx"
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["mean", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "gain"], ["raw"]),
        helper.make_node("Sigmoid", ["raw"], ["answer"]),
    ]
    constants = [constant("middle", 0.5), constant("gain", 1e4)]
    sha256 = save(path, nodes, constants, image=["N", 3, SIZE, SIZE], answer=["N"])
    model = entry(path=path, sha256=sha256, output={"layout": "sigmoid"})
    images = np.full((1, SIZE, SIZE, 3), brightness, np.uint8)
    assert sign * run(fold(model, path), images)[0] == pytest.approx(13.8, abs=0.1)


def with_head(tmp_path: Path, width: int = 8, head: Head | None = None, **changes: Any) -> tuple[Entry, Head, Any]:
    head = head or Head(RANDOM.normal(size=width).astype(np.float32), 0.25)
    (tmp_path / "head.npz").write_bytes(head.to_bytes())
    sha256 = hashlib.sha256(head.to_bytes()).hexdigest()
    spec = {"path": tmp_path / "head.npz", "sha256": sha256} | changes
    model, answers = linear_entry(tmp_path / "m.onnx", 8, output={"layout": "embedding"}, head=spec)
    return model, head, answers / np.linalg.norm(answers, axis=1, keepdims=True)


def test_a_head_scores_the_unit_embedding(tmp_path: Path) -> None:
    model, head, units = with_head(tmp_path)
    np.testing.assert_allclose(run(fold_encoder(model, tmp_path / "m.onnx"), IMAGES), units, atol=1e-5)
    logits = units @ head.weight + head.bias
    np.testing.assert_allclose(run(fold(model, tmp_path / "m.onnx"), IMAGES), logits, atol=1e-5)


def test_an_embedding_of_nothing_has_a_finite_logit(tmp_path: Path) -> None:
    head = Head(np.ones(1, np.float32), 0.25)
    (tmp_path / "head.npz").write_bytes(head.to_bytes())
    sha256 = write_brightness(tmp_path / "m.onnx", gain=0.0)
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["answer"])]
    weights = constant("w", np.zeros((3 * SIZE * SIZE, 1)))
    sha256 = save(tmp_path / "m.onnx", nodes, [weights], image=["N", 3, SIZE, SIZE], answer=["N", 1])
    spec = HeadSpec(path=tmp_path / "head.npz", sha256=hashlib.sha256(head.to_bytes()).hexdigest())
    model = entry(path=tmp_path / "m.onnx", sha256=sha256, output={"layout": "embedding"}, head=spec.model_dump())
    np.testing.assert_allclose(run(fold(model, tmp_path / "m.onnx"), IMAGES), 0.25)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (Head(np.zeros(8, np.float32), 0.0), "not all zero"),
        (Head(np.full(8, np.nan, np.float32), 0.0), "finite"),
        (Head(np.ones(9, np.float32), 0.0), "9 weights"),
    ],
)
def test_a_head_that_cannot_be_is_refused(tmp_path: Path, head: Head, said: str) -> None:
    model, _, _ = with_head(tmp_path, head=head)
    with pytest.raises(GraphInvalid, match=said) as raised:
        fold(model, tmp_path / "m.onnx")
    assert raised.value.field == "head.path"


def test_a_missing_head_and_a_changed_head_are_told_apart(tmp_path: Path) -> None:
    model, _, _ = with_head(tmp_path, sha256="1" * 64)
    with pytest.raises(HashMismatch, match=r"head\.sha256"):
        fold(model, tmp_path / "m.onnx")
    (tmp_path / "head.npz").unlink()
    with pytest.raises(WeightsMissing, match=r"head\.path"):
        fold(model, tmp_path / "m.onnx")


def test_a_head_file_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    head = Head(np.arange(4, dtype=np.float32), -1.5)
    (tmp_path / "head.npz").write_bytes(head.to_bytes())
    spec = HeadSpec(path=tmp_path / "head.npz", sha256=hashlib.sha256(head.to_bytes()).hexdigest())
    read = load_head("tiny", spec)
    assert (read.weight == head.weight).all()
    assert read.bias == head.bias


def tokens_entry(path: Path, *tokens: dict[str, str]) -> tuple[Entry, NDArray[np.float32]]:
    """A network with tokens [N, 5, 8] within; return its entry, and the tokens of IMAGES."""
    weights = RANDOM.normal(0, 0.02, (3 * SIZE * SIZE, 40)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["forty"]),
        helper.make_node("Reshape", ["forty", "shape"], ["tokens"]),
        helper.make_node("MatMul", ["forty", "last"], ["answer"]),
    ]
    shape = onnx.numpy_helper.from_array(np.array([-1, 5, 8]), "shape")
    constants = [constant("weights", weights), shape, constant("last", np.ones((40, 2)))]
    sha256 = save(path, nodes, constants, image=["N", 3, SIZE, SIZE], answer=["N", 2])
    head = {"path": str(path.with_name("head.npz")), "sha256": "0" * 64}
    model = entry(path=path, sha256=sha256, output={"layout": "embedding", "tokens": tokens}, head=head)
    flat = (IMAGES / 255).transpose(0, 3, 1, 2).reshape(len(IMAGES), -1)
    return model, np.asarray(flat @ weights, np.float32).reshape(len(IMAGES), 5, 8)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_the_tokens_of_an_inner_tensor_become_one_embedding(tmp_path: Path, pooling: str) -> None:
    model, tokens = tokens_entry(tmp_path / "m.onnx", {"tensor": "tokens", "pooling": pooling})
    pooled = {"cls": tokens[:, 0], "mean": tokens.mean(1), "max": tokens.max(1)}[pooling]
    folded = fold_encoder(model, tmp_path / "m.onnx")
    np.testing.assert_allclose(run(folded, IMAGES), unit(pooled), atol=1e-5)
    assert not {"last", "answer"} & {name for node in folded.graph.node for name in (*node.input, *node.output)}


def test_a_head_scores_several_kinds_of_tokens_side_by_side(tmp_path: Path) -> None:
    kinds = ("mean", "cls")
    model, tokens = tokens_entry(tmp_path / "m.onnx", *({"tensor": "tokens", "pooling": kind} for kind in kinds))
    side_by_side = np.concatenate([unit(tokens.mean(1)), unit(tokens[:, 0])], axis=1) / np.sqrt(2)
    head = Head(RANDOM.normal(size=16).astype(np.float32), 0.25)
    (tmp_path / "head.npz").write_bytes(head.to_bytes())
    spec = HeadSpec(path=tmp_path / "head.npz", sha256=hashlib.sha256(head.to_bytes()).hexdigest())
    logits = run(fold(model.model_copy(update={"head": spec}), tmp_path / "m.onnx"), IMAGES)
    np.testing.assert_allclose(logits, side_by_side @ head.weight + head.bias, atol=1e-5)


@pytest.mark.parametrize(
    ("tensor", "said"), [("token", "computes no token"), ("forty", r"forty must be \[N, T, D\], is \[.*40\]")]
)
def test_an_inner_tensor_that_has_no_tokens_is_refused(tmp_path: Path, tensor: str, said: str) -> None:
    model, _ = tokens_entry(
        tmp_path / "m.onnx", {"tensor": "tokens", "pooling": "cls"}, {"tensor": tensor, "pooling": "cls"}
    )
    with pytest.raises(GraphInvalid, match=said) as raised:
        fold_encoder(model, tmp_path / "m.onnx")
    assert (raised.value.entry, raised.value.field) == ("tiny", "output.tokens.1.tensor")


@pytest.mark.parametrize("other", [{"layout": "logit"}, {"layout": "embedding", "name": "answer"}])
def test_tokens_stand_for_an_embedding_and_for_the_graphs_output(tmp_path: Path, other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="tokens go with layout embedding, and without name"):
        entry(path=tmp_path / "m", sha256="0" * 64, output=other | {"tokens": [{"tensor": "t", "pooling": "cls"}]})


def test_a_small_crop_is_enlarged_as_opencv_does(tmp_path: Path) -> None:
    path, small = tmp_path / "m.onnx", SIZE // 2
    sha256, weights = write_linear(path, 1)
    model = entry(path=path, sha256=sha256, input={"size": small, "enlarge_to": SIZE, "mean": MEAN, "std": STD})
    crop = IMAGES[0, :small, :small]
    large = cv2.resize(crop.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    wanted = ((large / 255 - MEAN) / STD).transpose(2, 0, 1).ravel() @ weights[:, 0]
    np.testing.assert_allclose(run(fold(model, path), crop[None]), wanted, atol=1e-4)


def broken(path: Path, kind: str) -> str:
    """Write a graph that does not do, in one way; return its sha256."""
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["answer"])]
    image: list[Any] = ["N", 3, SIZE, SIZE]
    if kind == "size":
        image = ["N", 3, SIZE * 2, SIZE]
    if kind == "channels":
        image = ["N", 1, SIZE, SIZE]
    if kind == "rank":
        image = ["N", 3]
    outputs = {"two scores": 2}.get(kind, 1)
    weights = constant("w", np.ones((int(np.prod([d for d in image if d != "N"])), outputs)))
    if kind == "outside":
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value="../../etc/passwd")
        weights.ClearField("raw_data")
    if kind == "operator":
        nodes[0].op_type = "Flattten"
    sha256 = save(path, nodes, [weights], image=image, answer=["N", outputs])
    if kind == "junk":
        path.write_bytes(b"\xff" * 1000)
    if kind == "two inputs":
        model = onnx.load(path)
        model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
        onnx.save(model, path)
    return sha256


@pytest.mark.parametrize(
    ("kind", "output", "field"),
    [
        ("junk", {"layout": "logit"}, "source"),
        ("outside", {"layout": "logit"}, "source"),
        ("operator", {"layout": "logit"}, "source"),
        ("two inputs", {"layout": "logit"}, "input"),
        ("rank", {"layout": "logit"}, "input"),
        ("size", {"layout": "logit"}, "input.size"),
        ("channels", {"layout": "logit"}, "input.size"),
        ("two scores", {"layout": "logit"}, "output.layout"),
        ("two scores", {"layout": "softmax", "fake_index": 2}, "output.fake_index"),
        ("one score", {"layout": "softmax"}, "output.layout"),
        ("one score", {"layout": "logit", "name": "other"}, "output.name"),
    ],
)
def test_a_network_that_is_not_what_the_manifest_says_is_refused(
    tmp_path: Path, kind: str, output: dict[str, Any], field: str
) -> None:
    model = entry(path=tmp_path / "m.onnx", sha256=broken(tmp_path / "m.onnx", kind), output=output)
    with pytest.raises(GraphInvalid) as raised:
        fold(model, tmp_path / "m.onnx")
    assert (raised.value.entry, raised.value.field) == ("tiny", field)


def test_a_prepared_graph_is_kept_and_a_damaged_one_built_again(tmp_path: Path) -> None:
    sha256 = write_brightness(tmp_path / "m.onnx")
    model = entry(path=tmp_path / "m.onnx", sha256=sha256)
    kept = prepare(model, tmp_path / "m.onnx", tmp_path / "cache")
    content, written = kept.read_bytes(), kept.stat().st_mtime_ns
    assert prepare(model, tmp_path / "m.onnx", tmp_path / "cache") == kept
    assert kept.stat().st_mtime_ns == written
    kept.write_bytes(content[:100])
    assert prepare(model, tmp_path / "m.onnx", tmp_path / "cache").read_bytes() == content
    other = entry(path=tmp_path / "m.onnx", sha256=sha256, output={"layout": "logit", "bias": 1})
    assert prepare(other, tmp_path / "m.onnx", tmp_path / "cache") != kept


def test_a_weight_that_was_listed_as_an_input_is_none(tmp_path: Path) -> None:
    sha256 = write_brightness(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    model.graph.input.append(helper.make_tensor_value_info("gain", TensorProto.FLOAT, []))
    model.graph.initializer.append(constant("unused", [1]))
    onnx.save(model, tmp_path / "m.onnx")
    folded = fold(entry(path=tmp_path / "m.onnx", sha256=sha256), tmp_path / "m.onnx")
    assert [value.name for value in folded.graph.input] == ["fleet/images"]
    assert "unused" not in {tensor.name for tensor in folded.graph.initializer}


def test_clips_preprocessing_equals_numpy(tmp_path: Path, manifest: Manifest) -> None:
    spec = manifest.entry("clip_synthetic").input
    size, side = spec.size or 0, spec.enlarge_to or 0
    sha256, weights = write_linear(tmp_path / "m.onnx", 1, size=side)
    model = entry(path=tmp_path / "m.onnx", sha256=sha256, input=spec.model_dump())
    image = RANDOM.integers(0, 256, (size, size, 3), np.uint8)
    large = cv2.resize(image.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    # The figures of https://github.com/openai/CLIP, clip/clip.py.
    pixels = (large / 255 - (0.48145466, 0.4578275, 0.40821073)) / (0.26862954, 0.26130258, 0.27577711)
    wanted = pixels.transpose(2, 0, 1).ravel() @ weights[:, 0]
    np.testing.assert_allclose(run(fold(model, tmp_path / "m.onnx"), image[None]), wanted, atol=1e-3)
