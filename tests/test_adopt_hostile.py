"""ONNX files made to harm: each is refused by name, within the fuzzer's limits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fuzzing.networks import SIZE, theirs
from onnx import TensorProto, helper, numpy_helper

import zoo


def nodes_of(model, kind):
    return [node for node in model.graph.node if node.op_type == kind]


def held(model, name):
    (found,) = (t for t in model.graph.initializer if t.name == name)
    return found


def chain(model, count, *made):
    """Put functions between the last value and the output: each reads the one before."""
    last = model.graph.node[-1].output[0]
    for i in range(count):
        kind, more, attributes = made[i % len(made)]
        name = f"more{i}"
        reads = [last if x == "<" else x for x in more]
        model.graph.node.append(helper.make_node(kind, reads, [name], **attributes))
        last = name
    model.graph.output[0].name = last


def constant(model, name, values):
    model.graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))


def cycle(model):
    (conv,) = nodes_of(model, "Conv")
    conv.input[0] = "both"


def itself(model):
    (conv,) = nodes_of(model, "Conv")
    conv.input[0] = conv.output[0]


def later(model):
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))


def no_weight(model):
    model.graph.initializer.remove(held(model, "stem.weight"))


def negative(model):
    held(model, "stem.weight").dims[0] = -8


def gigantic(model):
    held(model, "stem.weight").dims[:] = [1 << 31, 1 << 31, 3, 3]


def no_data(model):
    weight = held(model, "stem.weight")
    weight.dims[:] = [1 << 13, 1 << 13, 3, 1]
    weight.ClearField("raw_data")


def gigantic_image(model):
    for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_value = 1 << 40


def gigantic_pads(model):
    (conv,) = nodes_of(model, "Conv")
    conv.attribute.append(helper.make_attribute("dilations", [1 << 40, 1 << 40]))


def gigantic_constant(model):
    (node,) = nodes_of(model, "Constant")
    node.attribute[0].t.dims[:] = [1 << 40]


def negative_constant(model):
    (node,) = nodes_of(model, "Constant")
    node.attribute[0].t.dims[:] = [-1]


def elsewhere(model):
    weight = held(model, "stem.weight")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../../../etc/passwd")


def control_flow(model):
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["more"], body=body))


def a_function(model):
    model.functions.add(name="deep", domain="other")


def deep(model):
    chain(model, 4_000, ("Relu", ["<"], {}))


def deeper(model):
    chain(model, 100_000, ("Identity", ["<"], {}))


def reshapes(model):
    """Each asks for the shape of the one before, which is not told before that is folded."""
    constant(model, "every", [-1])
    last = "logits"
    for i in range(1500):
        for kind, reads, made in (
            ("Shape", [last], f"s{i}"), ("Concat", [f"s{i}"], f"c{i}"),
            ("Reshape", [last, f"c{i}"], f"r{i}"),
        ):  # fmt: skip
            attributes = {"axis": 0} if kind == "Concat" else {}
            model.graph.node.append(helper.make_node(kind, reads, [made], **attributes))
        last = f"r{i}"
    model.graph.output[0].name = last


def doubling(model):
    """A shape subgraph that would be of 2^60 values."""
    chain(model, 60, ("Concat", ["<", "<"], {"axis": 0}))
    model.graph.node[-60].input[:] = ["axes", "axes"]


def wide(model):
    """Small constants, each product of two of which is not."""
    constant(model, "column", np.ones((4096, 1)))
    constant(model, "row", np.ones((1, 4096)))
    for i in range(300):
        model.graph.node.append(helper.make_node("Mul", ["column", "row"], [f"wide{i}"]))
        model.graph.node.append(helper.make_node("Gather", ["row", "column"], [f"far{i}"], axis=0))


def long(model):
    constant(model, "row", np.ones(4096))
    for i in range(20):
        model.graph.node.append(helper.make_node("Concat", ["row"] * 9000, [f"long{i}"], axis=0))


def twice(model):
    nodes_of(model, "Sigmoid")[0].output[0] = "bn"


def nothing(model):
    del model.graph.node[:]


def no_output(model):
    del model.graph.output[:]


def unmade(model):
    model.graph.output[0].name = "nobody"


def no_text(data):
    return data.replace(b"swish", b"sw\xffsh")


REFUSED = {
    cycle: "reads|contradict|not known",
    itself: "reads|contradict|not known",
    later: "which no call before makes|contradict|not known",
    no_weight: "stem.weight",
    negative: r"stem.weight: shape \[-8, 3, 3, 3\] is not possible",
    gigantic: r"stem.weight: shape \[2147483648, 2147483648, 3, 3\] is not possible",
    no_data: "stem.weight: is damaged",
    gigantic_image: "example: shape .* must be that of the file's input",
    gigantic_pads: "1099511627766",
    gigantic_constant: "groups|not known|constant",
    negative_constant: "groups|not known|constant|contradict",
    elsewhere: "stem.weight: its data are in another file",
    control_flow: "more: Loop is control flow",
    a_function: r"functions \(=1\) must be 0",
    deeper: r"nodes \(=100020\) must be at most 10000",
    twice: "bn: must be made by one node",
    nothing: "output logits is made by nothing",
    no_output: "it returns nothing",
    unmade: "output nobody is made by nothing",
    no_text: "must be UTF-8|is no ONNX model",
    doubling: "more",
}
READ = (deep, reshapes, wide, long)
"""These are networks all the same: what harms in them is not read."""


def written(change, path):
    model = theirs()
    if change is no_text:
        path.write_bytes(no_text(model.SerializeToString()))
        return path
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def test_the_file_is_a_network_without_the_harm(tmp_path):
    net = zoo.adopt(written(lambda model: None, tmp_path / "net.onnx"), example=(2, 3, SIZE, SIZE))
    assert [type(node.op).__name__ for node in net.graph.nodes] == [
        "Conv2d", "BatchNorm2d", "SiLU", "ChannelShuffle", "Slice", "Slice", "ReLU6", "MaxPool2d",
        "Concat", "Slice", "GlobalAvgPool2d", "Flatten", "Linear",
    ]  # fmt: skip


@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_it_is_refused_by_name(change, tmp_path):
    path = written(change, tmp_path / "net.onnx")
    with pytest.raises(zoo.ZooError, match=REFUSED[change]):
        zoo.adopt(path, example=(2, 3, SIZE, SIZE))
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


JUDGE = """
import json, sys
from pathlib import Path
from fuzzing.child import judged
from fuzzing.doors import read_adopted
read_adopted(Path(sys.argv[1]))
print(json.dumps([judged(read_adopted, Path(path))[:2] for path in sys.argv[2:]]))
"""


def test_none_takes_long_or_much(tmp_path):
    """One after the other in a process of its own, within the fuzzer's limits."""
    plain = written(lambda model: None, tmp_path / "plain.onnx")
    changes = [*REFUSED, *READ]
    files = [written(change, tmp_path / f"{change.__name__}.onnx") for change in changes]
    command = [sys.executable, "-c", JUDGE, str(plain), *map(str, files)]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    verdicts = dict(zip([c.__name__ for c in changes], json.loads(done.stdout), strict=True))
    failed = {name: found[1] for name, found in verdicts.items() if found[0] == "failed"}
    assert failed == {}
    expected = {c.__name__: "refused" for c in REFUSED} | {c.__name__: "read" for c in READ}
    assert {name: found[0] for name, found in verdicts.items()} == expected


def test_what_reads_nothing_before_it_is_no_image():
    """The negative control of the order: before it was asked for, such a value became the image."""
    from zoo.adoption.canonical import canonical
    from zoo.adoption.program import Call, Program

    def made(first, second):
        shape = (1, 3, 8, 8)
        calls = [Call("a", "relu", (first,), shape), Call("b", "relu", (second,), shape)]
        return Program("x", shape, calls, ("b",), False, {})

    assert len(canonical(made("x", "a")).graph.nodes) == 2
    for first, second in (("b", "x"), ("x", "c"), ("b", "a")):
        with pytest.raises(zoo.AdoptionError, match=r"relu reads \w, which no call before makes"):
            canonical(made(first, second))
