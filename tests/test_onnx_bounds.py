"""ONNX files of strangers that would loop for ever or take all memory never reach the run-time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import zoo
from backends.onnx import bounds, file

LARGE = 1 << 20


def ints(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def values(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def body() -> onnx.GraphProto:
    """A step of a loop that goes on."""
    return helper.make_graph(
        [helper.make_node("Identity", ["more"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
            helper.make_tensor_value_info("more", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )


node = helper.make_node
ALWAYS = numpy_helper.from_array(np.array(True), "always")
SPARSE = helper.make_sparse_tensor(values("sparse", 1), ints("where", 0), [LARGE, LARGE])
CASES = {
    "a loop": (
        [node("Loop", ["", "always"], [], "forever", body=body())],
        [ALWAYS],
        "forever: Loop must not be there: control flow may have no end",
    ),
    "a branch": (
        [node("If", ["always"], ["a"], then_branch=body(), else_branch=body())],
        [ALWAYS],
        "a: If must not be there: control flow may have no end",
    ),
    "a constant": (
        [node("ConstantOfShape", ["shape"], ["a"])],
        [ints("shape", LARGE, LARGE)],
        f"a: values (={LARGE**2}) must be at most {1 << 30}",
    ),
    "a constant of a computed shape": (
        [node("Mul", ["shape", "shape"], ["square"]), node("ConstantOfShape", ["square"], ["a"])],
        [ints("shape", LARGE, 4)],
        f"a: values (={16 * LARGE**2}) must be at most {1 << 30}",
    ),
    "constants that are many": (
        [node("ConstantOfShape", ["shape"], [f"a{i}"]) for i in range(5)],
        [ints("shape", LARGE, 1 << 8)],
        f"a4: values that no input is needed for (={5 * LARGE << 8}) must be at most {1 << 30}",
    ),
    "an array of the image": (
        [node("Expand", ["image", "shape"], ["a"])],
        [ints("shape", LARGE, 3, 224, 224)],
        f"a: values (={3 * 224 * 224 * LARGE}) must be at most {1 << 30}",
    ),
    "a convolution's padding": (
        [node("Conv", ["image", "filters"], ["a"], pads=[LARGE, 0, LARGE, 0])],
        [values("filters", 3, 3, 1, 1)],
        f"a: values (={3 * 224 * (224 + 2 * LARGE)}) must be at most {1 << 30}",
    ),
    "random numbers": (
        [node("RandomNormal", [], ["a"], shape=[LARGE, LARGE])],
        [],
        f"a: values (={LARGE**2}) must be at most {1 << 30}",
    ),
    "an array that is nearly empty": (
        [],
        [SPARSE],
        f"sparse: values (={LARGE**2}) must be at most {1 << 30}",
    ),
}


def written(path: Path, nodes: list, arrays: list, functions: list | None = None) -> Path:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, ["n", 3, "h", "w"])
    graph = helper.make_graph(
        [*nodes, node("Relu", ["image"], ["result"])],
        "g",
        [image],
        [result],
        [a for a in arrays if isinstance(a, onnx.TensorProto)],
        # Whoever lies about a size is not believed.
        value_info=[helper.make_tensor_value_info("a", TensorProto.FLOAT, [1])],
        sparse_initializer=[a for a in arrays if not isinstance(a, onnx.TensorProto)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=functions or [], ir_version=9)
    onnx.save(model, path)
    return path


def refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(file, "session", lambda *_: pytest.fail("ONNX Runtime has opened it"))
    with pytest.raises(zoo.WeightsError) as error:
        zoo.open_exported(path)
    return str(error.value)


@pytest.mark.parametrize("case", CASES)
def test_what_is_without_bound_is_refused(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes, arrays, text = CASES[case]
    path = written(tmp_path / "a.onnx", nodes, arrays)
    assert refused(path, monkeypatch) == f"{path}: {text}"


def test_functions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = helper.make_function(
        "own",
        "twice",
        ["x"],
        ["y"],
        [node("Add", ["x", "x"], ["y"])],
        [helper.make_opsetid("", 17)],
    )
    path = written(tmp_path / "a.onnx", [], [], [twice])
    assert "functions (=1) must be 0" in refused(path, monkeypatch)


def test_what_is_no_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no model")
    assert refused(path, monkeypatch).startswith(f"{path}: is no ONNX model: ")


def test_just_below_the_bound_a_file_is_opened(tmp_path: Path) -> None:
    nodes = [node("ConstantOfShape", ["shape"], [f"a{i}"]) for i in range(4)]
    path = written(tmp_path / "a.onnx", nodes, [ints("shape", LARGE, 1 << 8)])
    bounds.require_bounded(path)
    few = [node("ConstantOfShape", ["shape"], ["a"])]
    path = written(tmp_path / "b.onnx", few, [ints("shape", 4, 4)])
    assert zoo.open_exported(path)(-np.ones((1, 3, 5, 5))).max() == 0


def test_shapes_that_cannot_be_told_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = helper.make_node("Foreign", ["image"], ["a"], domain="nobodys")
    path = written(tmp_path / "a.onnx", [foreign], [])
    assert refused(path, monkeypatch).startswith(f"{path}: its shapes cannot be inferred: ")
