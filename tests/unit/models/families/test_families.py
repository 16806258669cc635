import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from models.checkpoints.reading import read_checkpoint, without_prefixes
from models.checkpoints.torch_files import Tensors
from models.exceptions import CheckpointError
from models.families.catalogue import ARCHITECTURES, Format, recognised
from models.families.state import StateDict
from tests.unit.models.families.numpy_layers import Array, Drawn
from tests.unit.models.families.references import REFERENCES, Reference

AGREEMENT = 1e-4
# MesoNet normalises behind a ReLU or a joint, where no convolution can take it in.
KEEPS_NORMS = {"meso4", "meso4Inception", "Meso4", "MesoInception4"}


@dataclass(frozen=True)
class Case:
    """A network of random tensors, two pictures, and what its reference says to them."""

    name: str
    tensors: Tensors
    pictures: Array
    wanted: Array


def drawn(name: str) -> Case:
    reference = REFERENCES[name]
    weights = Drawn(seed=3, gain=reference.gain)
    pictures = np.random.default_rng(5).uniform(-1, 1, (2, 3, reference.side, reference.side))
    pictures[1] = pictures[1] * 0.3 + 0.5
    wanted = reference.network(weights, pictures)
    return Case(name, weights.tensors, pictures, wanted)


@pytest.fixture(scope="module", params=REFERENCES)
def case(request: pytest.FixtureRequest) -> Case:
    return drawn(request.param)


@pytest.fixture(scope="module")
def meso4() -> Case:
    return drawn("meso4")


def built(name: str, tensors: Tensors, side: int | None = None) -> onnx.ModelProto:
    reference = REFERENCES[name]
    architecture = ARCHITECTURES[reference.source][name]
    model = architecture.build(StateDict(f"{name}.pth", tensors), side or reference.side)
    onnx.checker.check_model(model)
    return model


def answer(model: onnx.ModelProto, pictures: Array) -> NDArray[np.float32]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": pictures.astype(np.float32)})[0], np.float32)


def test_every_architecture_has_a_reference() -> None:
    known = {(source, name) for source, architectures in ARCHITECTURES.items() for name in architectures}
    assert known == {(reference.source, name) for name, reference in REFERENCES.items()}


def test_a_graph_agrees_with_the_public_definition(case: Case) -> None:
    model = built(case.name, case.tensors)
    # A network of random weights that says the same to every picture would agree with anything.
    assert np.abs(case.wanted[0] - case.wanted[1]).max() > 0.01
    np.testing.assert_allclose(answer(model, case.pictures), case.wanted, atol=AGREEMENT)
    norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    assert bool(norms) == (case.name in KEEPS_NORMS)


def test_what_is_missing_unexpected_or_misshapen_is_listed(case: Case) -> None:
    tensors = dict(case.tensors)
    shapes = {key: tensor.shape for key, tensor in tensors.items() if tensor.ndim > 1 and "adjust" not in key}
    missing, misshapen = list(shapes)[2], list(shapes)[-1]
    del tensors[missing]
    tensors["stranger.weight"] = np.zeros(3, np.float32)
    tensors[misshapen] = np.zeros((*shapes[misshapen][:-1], shapes[misshapen][-1] + 1), np.float32)
    with pytest.raises(CheckpointError) as raised:
        built(case.name, tensors)
    assert (raised.value.entry, raised.value.field) == (f"{case.name}.pth", "tensors")
    said = re.fullmatch(r"missing: (.*); unexpected: (.*); misshapen: (.*)", raised.value.problem)
    assert said is not None
    assert said.groups()[:2] == (missing, "stranger.weight")
    assert said[3].startswith(f"{misshapen} [")


def test_an_architecture_is_recognised_by_its_tensors(case: Case) -> None:
    state = StateDict("c.pth", case.tensors)
    assert recognised(state, REFERENCES[case.name].source) == case.name


def test_a_checkpoint_of_another_format_is_not_recognised(meso4: Case) -> None:
    with pytest.raises(CheckpointError, match="MiniFASNetV2"):
        recognised(StateDict("c.pth", meso4.tensors), Format.MINIFASNET)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("bn1.running_var", -1.0, "variances below 0"),
        ("conv1.weight", float("nan"), "NaN or infinity"),
        ("fc2.bias", float("inf"), "NaN or infinity"),
    ],
)
def test_numbers_that_no_network_has_are_refused(meso4: Case, key: str, value: float, said: str) -> None:
    tensors = dict(meso4.tensors)
    tensors[key] = np.full_like(tensors[key], value)
    with pytest.raises(CheckpointError, match=f"{key} with {said}"):
        built("meso4", tensors)


def test_a_quantised_tensor_is_refused(meso4: Case) -> None:
    tensors = dict(meso4.tensors)
    tensors["conv1.weight"] = tensors["conv1.weight"].astype(np.int8)
    with pytest.raises(CheckpointError, match=r"conv1\.weight of int8"):
        built("meso4", tensors)


def test_half_precision_is_taken(meso4: Case) -> None:
    halves: Tensors = {key: tensor.astype(np.float16) for key, tensor in meso4.tensors.items()}
    np.testing.assert_allclose(answer(built("meso4", halves), meso4.pictures), meso4.wanted, atol=0.05)


def test_xceptions_last_layer_may_follow_a_dropout() -> None:
    case = drawn("xception")
    renamed = {key.replace("last_linear", "last_linear.1"): tensor for key, tensor in case.tensors.items()}
    np.testing.assert_allclose(answer(built("xception", renamed), case.pictures), case.wanted, atol=AGREEMENT)


def test_a_classifier_has_as_many_classes_as_its_checkpoint() -> None:
    case = drawn("mobilenetv2_100")
    tensors = dict(case.tensors)
    for part in ("weight", "bias"):
        tensors[f"classifier.{part}"] = tensors[f"classifier.{part}"][:1]
    model = built("mobilenetv2_100", tensors)
    np.testing.assert_allclose(answer(model, case.pictures), case.wanted[:, :1], atol=AGREEMENT)


class Published(Drawn):
    """A published checkpoint in place of drawn tensors."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__(0)
        self.tensors = dict(tensors)


def agrees(name: str, tensors: Tensors, pictures: Array) -> None:
    reference: Reference = REFERENCES[name]
    wanted = reference.network(Published(tensors), pictures)
    np.testing.assert_allclose(answer(built(name, tensors, pictures.shape[2]), pictures), wanted, atol=AGREEMENT)


@pytest.mark.data
@pytest.mark.parametrize("file", ["Meso4_DF", "Meso4_F2F", "MesoInception_DF", "MesoInception_F2F"])
def test_the_mesonet_authors_weights_agree_with_keras_layers_in_numpy(data: Path, file: str) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra `convert` is not installed")
    path = data / "weights" / f"{file}.h5"
    by_layer: dict[tuple[str, int], dict[str, NDArray[np.generic]]] = {}
    with h5py.File(path) as stored:
        for layer in stored:
            kind, _, number = layer.rpartition("_")
            parts = {part.partition(":")[0]: stored[layer][layer][part][()] for part in stored[layer].get(layer, ())}
            if parts:
                by_layer[kind, int(number)] = parts
    tensors: Tensors = {}
    for kind in ("conv2d", "batch_normalization", "dense"):
        for place, number in enumerate(sorted(at for each, at in by_layer if each == kind), 1):
            tensors |= {f"{kind}_{place}.{part}": value for part, value in by_layer[kind, number].items()}
    read = read_checkpoint(path)
    assert read.keys() == tensors.keys()
    assert all((read[key] == tensors[key]).all() for key in tensors)
    pictures = np.random.default_rng(1).uniform(0, 1, (1, 3, 256, 256))
    agrees("Meso4" if file.startswith("Meso4") else "MesoInception4", tensors, pictures)


@pytest.mark.data
@pytest.mark.parametrize("file", ["2.7_80x80_MiniFASNetV2", "4_0_0_80x80_MiniFASNetV1SE"])
def test_the_published_minifasnets_agree_with_their_definition(data: Path, file: str) -> None:
    read = read_checkpoint(data / "weights" / f"{file}.pth")
    tensors = without_prefixes(file, read, ("module.",))
    pictures = np.random.default_rng(1).integers(0, 256, (3, 3, 80, 80)).astype(np.float64)
    agrees(file.rpartition("_")[2], tensors, pictures)
