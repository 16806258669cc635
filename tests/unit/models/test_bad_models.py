"""Models that cannot serve are refused with an error that names the entry and the field, and in bounded time."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from models.exceptions import (
    GraphInvalid,
    InferenceTimeout,
    ModelError,
    OutOfMemory,
    WeightsTooLarge,
)
from models.families.catalogue import Format
from models.golden_making import make_golden
from models.graph import prepare
from models.importing import Facts, import_checkpoint
from models.inference.session import Session
from models.manifest import Entry
from models.sources import resolve
from tests.support.tiny_models import IR_VERSION, OPSET, SIZE, entry
from tests.unit.models.inference.test_watchdog import write_endless

FLOAT = TensorProto.FLOAT
MEAN = helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0)
ROOT = Path(__file__).parents[3]


def network(
    *nodes: NodeProto,
    constants: tuple[TensorProto, ...] = (),
    image: tuple[int, list[str | int]] = (FLOAT, ["N", 3, SIZE, SIZE]),
    answer: tuple[int, list[str | int]] = (FLOAT, ["N"]),
    opsets: tuple[tuple[str, int], ...] = (("", OPSET),),
) -> onnx.ModelProto:
    """A network that answers the mean, unless its nodes say otherwise."""
    used = nodes or (MEAN, helper.make_node("Identity", ["mean"], ["answer"]))
    graph = helper.make_graph(
        list(used),
        "bad",
        [helper.make_tensor_value_info("image", *image)],
        [helper.make_tensor_value_info("answer", *answer)],
        list(constants),
    )
    domains = [helper.make_opsetid(*each) for each in opsets]
    return helper.make_model(graph, opset_imports=domains, ir_version=IR_VERSION)


def kept(folder: Path, content: bytes, **fields: Any) -> Entry:
    path = folder / "tiny.onnx"
    path.write_bytes(content)
    return entry(path=path, sha256=hashlib.sha256(content).hexdigest(), **fields)


def opened(folder: Path, model: "onnx.ModelProto | bytes", **fields: Any) -> Session:
    content = model if isinstance(model, bytes) else model.SerializeToString()
    made = kept(folder, content, **fields)
    return Session(made, prepare(made, resolve(made, folder), folder / "cache"), threads=1, limit_s=0.5)


def external(location: str) -> TensorProto:
    """A weight whose bytes lie in another file."""
    tensor = TensorProto(name="weight", data_type=FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    entry_of = tensor.external_data.add()
    entry_of.key, entry_of.value = "location", location
    return tensor


def branching(node: NodeProto) -> onnx.ModelProto:
    """A network with a node in a branch of it."""
    value = helper.make_tensor_value_info("chosen", FLOAT, None)
    then = helper.make_graph([node, helper.make_node("Identity", ["weight"], ["chosen"])], "then", [], [value])
    other = helper.make_graph([helper.make_node("Identity", ["mean"], ["chosen"])], "else", [], [value])
    return network(
        MEAN,
        helper.make_node("If", ["yes"], ["either"], then_branch=then, else_branch=other),
        helper.make_node("Add", ["mean", "either"], ["answer"]),
        constants=(numpy_helper.from_array(np.array(True), "yes"),),
    )


ADD = helper.make_node("Add", ["mean", "weight"], ["answer"])
TALL: list[str | int] = ["N", SIZE, SIZE, 3]
CLASSES = helper.make_node("ReduceMean", ["image"], ["answer"], axes=[2, 3], keepdims=0)


@pytest.mark.parametrize("dtype", ["FLOAT16", "DOUBLE", "UINT8", "INT64"])
def test_a_network_of_another_dtype(tmp_path: Path, dtype: str) -> None:
    image: tuple[int, list[str | int]] = (getattr(TensorProto, dtype), ["N", 3, SIZE, SIZE])
    with pytest.raises(GraphInvalid, match=rf"tiny: input: wants a network of float32 \[N, 3, S, S\], has {dtype}"):
        opened(tmp_path, network(image=image))


@pytest.mark.parametrize(
    "shape", [TALL, ["N", 1, SIZE, SIZE], ["N", 4, SIZE, SIZE], ["N", 3, 64, 64]], ids=["NHWC", "1", "4", "64 px"]
)
def test_a_network_of_another_layout_channel_count_or_size(tmp_path: Path, shape: list[str | int]) -> None:
    with pytest.raises(GraphInvalid, match=r"tiny: input.size: the manifest says \[N, 3, 32, 32\], the network"):
        opened(tmp_path, network(image=(FLOAT, shape)))


def test_a_size_that_only_running_tells(tmp_path: Path) -> None:
    wide = numpy_helper.from_array(np.array([-1, 3 * 64 * 64]), "wide")
    nodes = (
        helper.make_node("Reshape", ["image", "wide"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["answer"], axes=[1], keepdims=0),
    )
    with pytest.raises(GraphInvalid, match="tiny: source: the first run failed"):
        opened(tmp_path, network(*nodes, constants=(wide,), image=(FLOAT, ["N", "C", "H", "W"])))


def test_inputs_that_are_not_one(tmp_path: Path) -> None:
    two = network()
    two.graph.input.append(helper.make_tensor_value_info("mask", FLOAT, [1]))
    with pytest.raises(GraphInvalid, match=r"tiny: input: wants a graph of one input, has \['image', 'mask'\]"):
        opened(tmp_path, two)
    none = network(helper.make_node("Identity", ["zero"], ["answer"]))
    del none.graph.input[:]
    with pytest.raises(GraphInvalid, match=r"tiny: input: wants a graph of one input, has \[\]"):
        opened(tmp_path, none)


@pytest.mark.parametrize(
    ("output", "answer", "said"),
    [
        ({"layout": "logit"}, ["N", 3], r"output.layout: logit is one score, the graph has \[3\]"),
        ({"layout": "logits", "fake_index": 5}, ["N", 3], "output.fake_index: is 5 of 3 classes"),
        ({"layout": "softmax", "fake_index": 3}, ["N", 3], "output.fake_index: is 3 of 3 classes"),
        ({"layout": "logits"}, ["N", "C"], r"output.layout: logits is \[N, K\], K ≥ 2, the graph has \['C'\]"),
        ({"layout": "logit", "name": "score"}, ["N"], r"output.name: say which of \['answer'\]"),
        (
            {"layout": "logit", "name": "answer", "heat": "map"},
            ["N"],
            r"output.heat: map must be an output \[N, S, S\]",
        ),
        ({"layout": "logit"}, ["N"], r"output.layout: the graph answered \(3,\) to 1 crops, instead of one logit each"),
    ],
)
def test_an_answer_that_is_not_what_the_manifest_says(
    tmp_path: Path, output: dict[str, object], answer: list[str | int], said: str
) -> None:
    with pytest.raises(GraphInvalid, match=f"tiny: {said}"):
        opened(tmp_path, network(CLASSES, answer=(FLOAT, answer)), output=output)


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/hostname"])
def test_weights_outside_the_file_wherever_they_are_named(tmp_path: Path, location: str) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(4))
    constant = helper.make_node("Constant", [], ["weight"], value=external(location))
    said = f"tiny: source: keeps weights outside its file, in {location}, where no hash covers them"
    sparse = network(MEAN, helper.make_node("Identity", ["mean"], ["answer"]))
    sparse.graph.sparse_initializer.add().values.CopyFrom(external(location))
    for model in (
        network(MEAN, ADD, constants=(external(location),)),
        network(constant, MEAN, ADD),
        branching(constant),
        sparse,
    ):
        with pytest.raises(GraphInvalid, match=said):
            opened(tmp_path, model)


def test_operators_that_nobody_here_has(tmp_path: Path) -> None:
    magic = helper.make_node("Magic", ["mean"], ["answer"], domain="com.example")
    inner = helper.make_node("Magic", ["mean"], ["weight"], domain="com.example")
    function = network(MEAN, helper.make_node("Twice", ["mean"], ["answer"], domain="local"))
    body = [helper.make_node("Magic", ["a"], ["b"], domain="com.example")]
    function.functions.append(helper.make_function("local", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    for model in (network(MEAN, magic, opsets=(("", OPSET), ("com.example", 1))), branching(inner), function):
        with pytest.raises(GraphInvalid, match=r"tiny: source: has the operator com\.example\.Magic, which is not"):
            opened(tmp_path, model)
    unknown = helper.make_node("NoSuchOperator", ["mean"], ["answer"])
    with pytest.raises(GraphInvalid, match=r"tiny: source: .*NoSuchOperator"):
        opened(tmp_path, network(MEAN, unknown))


def test_functions_of_the_graphs_own_are_only_its_nodes_in_other_words(tmp_path: Path) -> None:
    model = network(
        MEAN, helper.make_node("Same", ["mean"], ["answer"], domain="local"), opsets=(("", OPSET), ("local", 1))
    )
    body = [helper.make_node("Identity", ["a"], ["b"])]
    model.functions.append(helper.make_function("local", "Same", ["a"], ["b"], body, [helper.make_opsetid("", OPSET)]))
    assert opened(tmp_path, model).run(np.full((1, SIZE, SIZE, 3), 255, np.uint8)) == pytest.approx([1.0])


def test_versions_that_are_not_known_yet(tmp_path: Path) -> None:
    with pytest.raises(GraphInvalid, match="tiny: source"):
        opened(tmp_path, network(opsets=(("", 999),)))
    later = network()
    later.ir_version = 999
    with pytest.raises(GraphInvalid, match=r"tiny: source: .*ir_version 999"):
        opened(tmp_path, later)


@pytest.mark.parametrize(
    "content",
    [b"", b"no graph at all, but some text", b"PK\x03\x04" + bytes(200), network().SerializeToString()[:60]],
    ids=["empty", "text", "zip", "cut off"],
)
def test_files_that_are_no_graphs(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(GraphInvalid, match=r"tiny: source: .* is not an ONNX graph"):
        opened(tmp_path, content)


def test_a_file_that_is_larger_than_any_graph_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)
    large = entry(path=path, sha256="0" * 64)
    with pytest.raises(WeightsTooLarge, match=r"tiny: source: .* has 3\.0 GiB; a graph can have 2\.0 at most"):
        resolve(large, tmp_path)


def test_weights_that_claim_more_than_there_is(tmp_path: Path) -> None:
    claimed = TensorProto(name="weight", data_type=FLOAT, dims=[10**6, 10**6], raw_data=bytes(4))
    with pytest.raises(GraphInvalid, match=r"tiny: source: .*too small for the declared shape"):
        opened(tmp_path, network(MEAN, ADD, constants=(claimed,)))


def test_an_answer_that_needs_more_memory_than_there_is(tmp_path: Path) -> None:
    nodes = (
        MEAN,
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Mul", ["shape", "often"], ["vast"]),
        helper.make_node("ConstantOfShape", ["vast"], ["zeros"]),
        helper.make_node("ReduceMean", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("Add", ["mean", "zero"], ["answer"]),
    )
    often = numpy_helper.from_array(np.array([1, 1, 2**20, 2**20]), "often")
    with pytest.raises(OutOfMemory, match="tiny: run: a batch of 1 failed"):
        opened(tmp_path, network(*nodes, constants=(often,)))


def test_nodes_in_a_circle(tmp_path: Path) -> None:
    nodes = (
        helper.make_node("Add", ["image", "later"], ["sum"]),
        helper.make_node("Identity", ["sum"], ["later"]),
        helper.make_node("ReduceMean", ["sum"], ["answer"], axes=[1, 2, 3], keepdims=0),
    )
    with pytest.raises(GraphInvalid, match=r"tiny: source: .*topologically sorted"):
        opened(tmp_path, network(*nodes))


def endless(folder: Path) -> Entry:
    return entry(path=folder / "tiny.onnx", sha256=write_endless(folder / "tiny.onnx"))


def test_a_loop_without_end_makes_no_golden_vector_and_is_not_imported(tmp_path: Path) -> None:
    model = endless(tmp_path)
    with pytest.raises(InferenceTimeout, match=r"tiny: run: a batch of 4 was ended after 0\.3 s"):
        make_golden(model, tmp_path / "tiny.onnx", limit_s=0.3)
    facts = Facts(licence="MIT", origin="nowhere", layout="logit", fake_index=1)
    with pytest.raises(InferenceTimeout, match=r"loop: run: .* was ended after"):
        import_checkpoint(
            tmp_path / "tiny.onnx",
            Format.ONNX,
            architecture="mesonet",
            name="loop",
            into=tmp_path / "imported",
            facts=facts,
            limit_s=0.3,
        )
    assert not (tmp_path / "imported").exists()


def test_a_loop_of_constants_is_not_unrolled_when_it_is_loaded(tmp_path: Path) -> None:
    turn = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["sum", "one"], ["larger"])],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("larger", FLOAT, [1]),
        ],
    )
    nodes = (MEAN, helper.make_node("Loop", ["", "yes", "one"], ["weight"], body=turn), ADD)
    constants = (numpy_helper.from_array(np.array(True), "yes"), numpy_helper.from_array(np.ones(1, np.float32), "one"))
    with pytest.raises(GraphInvalid, match=r"the first run failed: a batch of 1 was ended after 0\.5 s"):
        opened(tmp_path, network(*nodes, constants=constants))


_FUZZ = """
import hashlib, sys
from pathlib import Path
import numpy as np
from models.exceptions import ModelError
from models.graph import prepare
from models.inference.session import Session
from tests.support.tiny_models import entry, write_mapping

folder = Path(sys.argv[1])
write_mapping(folder / "whole.onnx")
whole = np.frombuffer((folder / "whole.onnx").read_bytes(), np.uint8)
random = np.random.default_rng(int(sys.argv[2]))
refused = served = 0
for number in range(int(sys.argv[3])):
    content = whole.copy()
    places = random.integers(0, len(content), random.integers(1, 4))
    content[places] = random.integers(0, 256, len(places))
    path = folder / "tiny.onnx"
    path.write_bytes(content.tobytes())
    digest = hashlib.sha256(content.tobytes()).hexdigest()
    model = entry(path=path, sha256=digest, output={"layout": "logit", "name": "logit", "heat": "map"})
    try:
        graph = prepare(model, path, folder / "cache")
        Session(model, graph, threads=1, limit_s=2.0)
        served += 1
    except ModelError:
        refused += 1
print(refused, served)
"""


def test_damaged_files_are_refused_or_serve_and_never_end_the_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FUZZ, str(tmp_path), "7", "400"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    refused, served = map(int, done.stdout.split())
    assert refused + served == 400
    assert refused > 100


def test_every_refusal_names_entry_and_field(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        opened(tmp_path, network(CLASSES, answer=(FLOAT, ["N", 3])), output={"layout": "logits", "fake_index": 9})
    assert (caught.value.entry, caught.value.field) == ("tiny", "output.fake_index")
