"""A whole model set that costs next to nothing, for tests of the fleet's machinery with hundreds of streams.

Its face detector finds a face around every white mark, and its detector calls bright faces altered. It says nothing of
accuracy.
"""

import hashlib
from functools import cache
from math import log
from pathlib import Path

import cv2
import numpy as np
from onnx import TensorProto, helper

from models.face_maps.centerface import CELL, HEAT, LANDMARKS, OFFSETS, SIZES
from tests.support.tiny_models import IR_VERSION, OPSET, constant, entry_fields, write_brightness, write_entries

SIDE = 128
"""Sides of the stills, pixels."""
_FACE = 72
"""Sides of a face, pixels."""
_MARK = 8
_LANDMARKS = (0.35, 0.3, 0.35, 0.7, 0.55, 0.5, 0.75, 0.35, 0.75, 0.65)
"""y and x of eyes, nose and mouth corners in a face that looks at the camera, as shares of its box."""
_WHITE = 250.0


def write_marked_manifest(folder: Path, *, latency_s: float = 0.0) -> Path:
    """Write both models and a manifest with them; return its path.

    Args:
        folder: where to.
        latency_s: each batch of the detector, of any size, takes about so long more.
    """
    tiny = write_brightness(folder / "tiny.onnx", latency_s=latency_s)
    finder = entry_fields(
        path="finder.onnx",
        sha256=_write_finder(folder / "finder.onnx"),
        name="finder",
        role="faces",
        family="centerface",
        input={"colour": "RGB", "scale": 1.0},
        output={"layout": "centerface"},
    )
    del finder["buckets"]
    detector = entry_fields(path="tiny.onnx", sha256=tiny, role="screen", buckets=[1, 4, 16])
    write_entries(folder / "manifest.yaml", [finder, detector])
    return folder / "manifest.yaml"


@cache
def marked(altered: bool) -> bytes:
    """A JPEG with one marked face, about 4 KB."""
    texture = np.random.default_rng(7).integers(0, 30, (SIDE, SIDE), np.uint8)
    grey = texture + np.uint8(190 if altered else 50)
    middle = SIDE // 2
    mark = slice(middle - _MARK // 2, middle + _MARK // 2)
    grey[mark, mark] = 255
    _, encoded = cv2.imencode(".jpg", np.repeat(grey[:, :, None], 3, 2), [cv2.IMWRITE_JPEG_QUALITY, 92])
    return encoded.tobytes()


def _write_finder(path: Path) -> str:
    cells = (log(_FACE / CELL),) * 2
    shapes = {HEAT: 1, SIZES: 2, OFFSETS: 2, LANDMARKS: 10}
    nodes = [
        helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[CELL] * 2, strides=[CELL] * 2),
        helper.make_node("ReduceMean", ["pooled"], ["cell"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["cell", "white"], ["over"]),
        helper.make_node("Sigmoid", ["over"], [HEAT]),
        helper.make_node("Mul", ["cell", "nothing"], ["nought"]),
        *(helper.make_node("Add", ["nought", f"as_{name}"], [name]) for name in (SIZES, OFFSETS, LANDMARKS)),
    ]
    constants = [
        constant("white", _WHITE),
        constant("nothing", 0.0),
        constant(f"as_{SIZES}", np.reshape(cells, (1, 2, 1, 1))),
        constant(f"as_{OFFSETS}", np.zeros((1, 2, 1, 1))),
        constant(f"as_{LANDMARKS}", np.reshape(_LANDMARKS, (1, 10, 1, 1))),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "H", "W"])
    answers = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", count, "h", "w"]) for name, count in shapes.items()
    ]
    graph = helper.make_graph(nodes, "finder", [image], answers, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    content = model.SerializeToString()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
