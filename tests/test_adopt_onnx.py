"""ONNX files as networks: our own come back as they were, PyTorch's exporters' are understood."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from catalog_rows import EACH_KIND, small
from fuzzing import networks
from onnx import TensorProto, helper, numpy_helper
from operator_table import TABLE, arrays_for, network
from test_adopt import SIZE, Theirs, randomized

import backends
import backends.numpy as numpy_backend
import zoo
from backends.onnx import emit
from zoo.arch.operators import BatchNorm2d, ChannelShuffle, Upsample
from zoo.passes import split_group_conv
from zoo.proof.measure import relative_maximum

QUICK = [
    "shufflenet_v1_0.5x_g3-*", "shufflenet_v2_0.5x-*", "shufflenet_v2_plus_small-*", "resnet9-*",
]  # fmt: skip


@pytest.mark.sweep(quick=["shufflenet_v1_0.5x_g3-split", "resnet9-*"])
@pytest.mark.parametrize("group_conv", ["native", "split"])
@pytest.mark.parametrize("name", EACH_KIND)
def test_what_we_export_comes_back_as_an_equal_graph(name, group_conv, tmp_path):
    spec = small(name)
    dropped = [field for field in ("dropout", "stochastic_depth") if hasattr(spec, field)]
    spec = spec.replace(**dict.fromkeys(dropped, 0.0))  # which files for inference do not have
    graph, size = spec.graph, spec.image_size
    if group_conv == "split":
        graph, _ = split_group_conv(graph)
    zoo.export(spec, tmp_path / "net.onnx", group_conv=group_conv)
    net = zoo.adopt(tmp_path / "net.onnx", example=(2, 3, size, size))
    momentum = {n.name: n.op.momentum for n in graph.nodes if hasattr(n.op, "momentum")}
    assert net.graph.outputs == graph.outputs
    assert len(net.graph.nodes) == len(graph.nodes)
    for theirs in graph.nodes:
        ours, op = net.graph.by_name[theirs.name], theirs.op
        if theirs.name in momentum:  # which ONNX says in training alone: ours is not written
            op = dataclasses.replace(op, momentum=ours.op.momentum, initial_weight=1.0)
        if getattr(op, "ceil_mode", False):  # which hangs over by nothing at this size
            op = dataclasses.replace(op, ceil_mode=False)
        if isinstance(op, Upsample):  # to a size, which is said as a factor
            by = (
                s // r for s, r in zip(op.size, graph.shapes()[theirs.inputs[0]][2:], strict=True)
            )
            op = dataclasses.replace(op, size=None, scale_factor=tuple(by))
        if isinstance(op, ChannelShuffle):  # two ways to say the same, if groups are many
            channels = graph.shapes()[theirs.name][1]
            assert ours.op.indices(channels) == op.indices(channels)
            op = ours.op
        assert (ours.op, ours.inputs) == (op, theirs.inputs)
    wanted = zoo.get_weights(zoo.create(spec, backend="numpy"))
    if group_conv == "native":
        assert all(np.array_equal(net[key], array) for key, array in wanted.items())


LOSSY = {
    "conv SAME_UPPER": "the padding of this size",
    "max pool SAME_UPPER": "the padding of this size",
    "avg pool SAME_UPPER": "the padding of this size",
    "avg pool without padding": "count_include_pad where nothing is padded",
    "mean over the map": "a GlobalAvgPool2d",
    "mul": "a SiLU, with the sigmoid before",
    "concat along channels": "a Concat",
    "dropout": "nothing is dropped",
    "dropout of channels": "nothing is dropped",
    "stochastic depth": "nothing is dropped",
    "constant": "what is not trained",
    "expand": "whose images are counted",
}
"""Operator of the table → what a file does not tell of it, or in which of two ways it was said."""
QUICK_OPERATORS = [
    "attention*",
    "adaptive*",
    "group norm",
    "layer norm*",
    "roll",
    "upsample nearest*",
    "we*",
]


@pytest.mark.sweep(quick=QUICK_OPERATORS)
@pytest.mark.parametrize("name", TABLE)
def test_every_operator_that_we_export_comes_back(name, tmp_path, rng):
    graph = network(TABLE[name], (8, 8))
    arrays = arrays_for(graph)
    (tmp_path / "net.onnx").write_bytes(emit(graph, arrays).SerializeToString())
    net = zoo.adopt(tmp_path / "net.onnx", example=(2, 3, 8, 8), recognize=False)
    read = set(graph.outputs).union(*(node.inputs for node in graph.nodes))
    ours = {n.name: (n.op, n.inputs) for n in graph.nodes if n.name in read}
    found = {n.name: (n.op, n.inputs) for n in net.graph.nodes}
    for name_of, (op, _) in list(ours.items()):
        if isinstance(op, BatchNorm2d):  # whose momentum only training knows
            ours.pop(name_of), found.pop(name_of, None)
    assert (ours == found) == (name not in LOSSY)
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(run(net.graph, net.weights, x), run(graph, arrays, x))


@pytest.mark.parametrize("opset", [11, 22])
@pytest.mark.parametrize(
    "name", ["upsample bilinear", "softmax", "group norm", "normalize", "sum over rows"]
)
def test_what_older_and_newer_opsets_write_differently_comes_back(name, opset, tmp_path, rng):
    graph = network(TABLE[name], (8, 8))
    arrays = arrays_for(graph)
    made = emit(graph, arrays, opset=opset).SerializeToString()
    (tmp_path / "net.onnx").write_bytes(made)
    net = zoo.adopt(tmp_path / "net.onnx", example=(2, 3, 8, 8))
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    (wanted,) = onnxruntime.InferenceSession(made).run(None, {"input": x})
    found = run(net.graph, net.weights, x)
    np.testing.assert_array_equal(found, run(graph, arrays, x))
    assert relative_maximum(found, wanted) < 2e-6


def run(graph, arrays, x):
    model = numpy_backend.build(graph)
    numpy_backend.set_parameters(model, dict(arrays))
    return numpy_backend.predict(model, x)[0]


def test_a_network_that_was_adopted_comes_back_by_name(tmp_path, rng):
    (tmp_path / "first.onnx").write_bytes(networks.tokens())
    first = zoo.adopt(tmp_path / "first.onnx", example=(2, 3, networks.SIZE, networks.SIZE))
    zoo.export(first, tmp_path / "again.onnx")
    again = zoo.adopt(tmp_path / "again.onnx", example=(2, 3, networks.SIZE, networks.SIZE))
    assert again.graph == first.graph
    x = rng.standard_normal((3, 3, networks.SIZE, networks.SIZE)).astype(np.float32)
    session = onnxruntime.InferenceSession(networks.tokens())
    (wanted,) = session.run(None, {"input": x})
    assert relative_maximum(run(first.graph, first.weights, x), wanted) < 2e-6
    kinds = Counter(type(node.op).__name__ for node in first.graph.nodes)
    assert kinds["ScaledDotProductAttention"] == kinds["Roll"] == kinds["GroupNorm"] == 1


class Tokens(torch.nn.Module):
    """Patches, a class token, windows that are moved, attention, and a mask by hand."""

    def __init__(self):
        super().__init__()
        self.patches = torch.nn.Conv2d(3, 8, 4, 4)
        self.groups = torch.nn.GroupNorm(2, 8)
        self.token = torch.nn.Parameter(torch.randn(1, 1, 8))
        self.position = torch.nn.Parameter(torch.randn(1, 17, 8))
        self.norm = torch.nn.LayerNorm(8)
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp = torch.nn.Sequential(
            torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 8)
        )
        self.register_buffer("mask", torch.randn(17, 17))
        self.head = torch.nn.Linear(8, 5)

    def forward(self, x):
        x = self.groups(self.patches(x)).roll((1, -1), (2, 3)).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        scores = y @ y.transpose(1, 2) * 0.3 + self.mask
        x = x + scores.softmax(-1) @ x
        x = x + self.mlp(torch.nn.functional.normalize(x, dim=2))
        return self.head(x[:, 0])


@pytest.mark.sweep(quick=["False-14-0"])
@pytest.mark.parametrize(
    ("dynamo", "opset", "fixed"),
    [(False, 14, 0), (False, 18, 1), (False, 18, 2), (True, 18, 2), (True, 20, 0)],
)
def test_token_networks_of_pytorchs_exporters(dynamo, opset, fixed, tmp_path, rng):
    module = randomized(Tokens()).eval()
    x = torch.from_numpy(rng.standard_normal((2, 3, 16, 16)).astype(np.float32))
    written(module, x[: fixed or 2], tmp_path / "net.onnx", dynamo, opset, fixed)
    net = zoo.adopt(tmp_path / "net.onnx", example=(2, 3, 16, 16))
    with torch.no_grad():
        wanted = module(x).numpy()
    assert relative_maximum(run(net.graph, net.weights, x.numpy()), wanted) < 2e-6
    kinds = Counter(type(node.op).__name__ for node in net.graph.nodes)
    assert (kinds["ScaledDotProductAttention"], kinds["LayerNorm"], kinds["GELU"]) == (2, 1, 1)
    assert (kinds["GroupNorm"], kinds["Roll"], kinds["Normalize"], kinds["Mul"]) == (1, 1, 1, 0)


def written(module, x, path, dynamo, opset, fixed=0):
    how = {"external_data": False} if dynamo else {}
    how |= (
        {}
        if fixed
        else (
            {"dynamic_shapes": ({0: torch.export.Dim.AUTO},)}
            if dynamo
            else {"dynamic_axes": {"images": {0: "batch"}}, "input_names": ["images"]}
        )
    )
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), path, dynamo=dynamo, opset_version=opset, **how)


@pytest.mark.parametrize(("dynamo", "opset"), [(False, 9), (False, 17), (True, 20)])
def test_files_of_pytorchs_exporters(dynamo, opset, tmp_path, rng):
    module = randomized(Theirs()).eval()
    module.body[0].drop_path.p = module.body[1].drop_path.p = 0.0
    x = torch.from_numpy(rng.standard_normal((2, 3, SIZE, SIZE)).astype(np.float32))
    module.pool = torch.nn.AdaptiveAvgPool2d((4, 1))  # of which the older exporter makes windows
    module.fc = torch.nn.Linear(32, 7)
    written(module, x, tmp_path / "net.onnx", dynamo, opset)
    net = zoo.adopt(tmp_path / "net.onnx", example=(2, 3, SIZE, SIZE))
    with torch.no_grad():
        wanted = module(x).numpy()
    for backend in ("numpy", "torch"):
        model = zoo.create(net, backend=backend)
        (found,) = backends.backend_of(model).predict(model, x.numpy())
        np.testing.assert_allclose(found, wanted, atol=2e-6 * np.abs(wanted).max())
    assert {"body.unit-0.conv", "fc"} <= set(net.graph.by_name)
    assert any("if they were folded into the convolutions" in note for note in net.notes)


def model(nodes, arrays=(), inputs=(("x", (1, 3, 8, 8)),), opset=17):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def node(kind, *inputs, **values):
    return helper.make_node(kind, inputs, ["y"], name="odd", **values)


def external():
    made = model([node("Add", "x", "held")], [("held", np.ones((1, 3, 8, 8), np.float32))])
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    return made


def gigantic():
    made = model([node("Add", "x", "held")], [("held", np.ones(1, np.float32))])
    made.graph.initializer[0].dims[:] = [1 << 40]
    return made


def damaged():
    made = model([node("Add", "x", "held")], [("held", np.ones(4, np.float32))])
    made.graph.initializer[0].raw_data = b"123"
    return made


def chain(*steps, **held):
    """Return nodes, each (operator, what it reads, its attributes), the value before called "_"."""
    nodes, before = [], "x"
    for i, (kind, inputs, *values) in enumerate(steps):
        made = "y" if i == len(steps) - 1 else f"v{i}"
        read = [before if name == "_" else name for name in inputs.split()]
        nodes.append(helper.make_node(kind, read, [made], name=made, **(values or [{}])[0]))
        before = made
    arrays = [
        (name, np.asarray(a, None if np.asarray(a).dtype.kind in "ib" else np.float32))
        for name, a in held.items()
    ]
    return nodes, arrays


LAST, DRAW = {"axes": [-1]}, np.random.default_rng(0)
MEANS = (("ReduceMean", "x", LAST), ("Sub", "x _"))
ATTENTION = (("Transpose", "x", {"perm": [0, 1, 3, 2]}), ("Mul", "_ scale"), ("MatMul", "x _"))
GROUPS = (
    ("Reshape", "x apart"), ("InstanceNormalization", "_ ones zeros", {"epsilon": 1e-3}),
    ("Reshape", "_ back"), ("Mul", "_ weight"), ("Add", "_ bias"),
)  # fmt: skip
OF_GROUPS = {
    "apart": [0, 2, -1], "ones": np.ones(2), "zeros": np.zeros(2), "back": [0, 4, 6, 6],
    "weight": DRAW.normal(size=(4, 1, 1)), "bias": DRAW.normal(size=(4, 1, 1)),
}  # fmt: skip
ROLL = {"a": [2], "b": [6], "o": [0], "axis": [3]}
# name → opset, nodes and arrays, and the operators that they are.
WRITTEN = {
    "layer norm by a power": (13, chain(
        *MEANS, ("Pow", "_ two"), ("ReduceMean", "_", LAST), ("Add", "_ eps"), ("Sqrt", "_"),
        ("Div", "v1 _"), ("Mul", "_ w"), ("Add", "_ b"),
        two=2.0, eps=1e-3, w=DRAW.normal(size=6), b=DRAW.normal(size=6)), "LayerNorm"),
    "layer norm by a product": (13, chain(
        *MEANS, ("Mul", "_ _"), ("ReduceMean", "_", LAST), ("Add", "_ eps"), ("Sqrt", "_"),
        ("Div", "v1 _"), eps=1e-3), "LayerNorm"),
    "layer norm by a sum of squares": (11, chain(
        *MEANS, ("ReduceSumSquare", "_", LAST), ("Div", "_ n"), ("Add", "_ eps"), ("Sqrt", "_"),
        ("Div", "v1 _"), n=6.0, eps=1e-3), "LayerNorm"),
    "no layer norm: the sum is over another number": (11, chain(
        *MEANS, ("ReduceSumSquare", "_", LAST), ("Div", "_ n"), ("Add", "_ eps"), ("Sqrt", "_"),
        ("Div", "v1 _"), n=5.0, eps=1e-3),
        "Reduce MulScalar Add Mul Reduce MulScalar AddScalar Pow Pow Mul"),
    "attention scaled at the keys": (17, chain(
        *ATTENTION, ("Softmax", "_", {"axis": -1}), ("MatMul", "_ x"), scale=0.3),
        "ScaledDotProductAttention"),
    "a softmax along rows is none": (17, chain(
        *ATTENTION, ("Softmax", "_", {"axis": 2}), ("MatMul", "_ x"), scale=0.3),
        "Permute MulScalar MatMul Softmax MatMul"),
    "group norm": (17, chain(*GROUPS, **OF_GROUPS), "GroupNorm"),
    "another group norm": (18, chain(
        ("GroupNormalization", "x w b", {"num_groups": 2}), w=[0.5, 2.0], b=[-1.0, 3.0]),
        "GroupNorm"),
    "instance norm": (17, chain(
        ("InstanceNormalization", "x w b"), w=[0.5, 2.0, 1.0, 3.0], b=[-1.0, 3.0, 0.0, 1.0]),
        "GroupNorm"),
    "roll": (17, chain(
        ("Slice", "x o a axis"), ("Slice", "x a b axis"), ("Concat", "v1 v0", {"axis": 3}), **ROLL),
        "Roll"),
    "halves as they are": (17, chain(
        ("Slice", "x o a axis"), ("Slice", "x a b axis"), ("Concat", "v0 v1", {"axis": 3}), **ROLL),
        "Narrow Narrow ConcatAlong"),
    "linear of a turned weight": (13, chain(
        ("MatMul", "x w"), ("Add", "b _"), w=DRAW.normal(size=(6, 5)), b=DRAW.normal(size=5)),
        "Linear"),
    "a sum that is no bias": (13, chain(
        ("MatMul", "x w"), ("Add", "_ b"), w=DRAW.normal(size=(6, 5)), b=DRAW.normal(size=(6, 1))),
        "Linear Weight Add"),
    "difference and quotient of arrays": (13, chain(
        ("Sub", "x m"), ("Div", "_ s"), m=DRAW.normal(size=(4, 1, 1)),
        s=DRAW.uniform(1, 2, (4, 1, 1))),
        "Weight Add Weight Mul"),
    "space to depth and back": (13, chain(
        ("SpaceToDepth", "x", {"blocksize": 2}), ("Relu", "_"),
        ("DepthToSpace", "_", {"blocksize": 2, "mode": "CRD"})),
        "Reshape Permute Reshape ReLU Reshape Permute Reshape"),
    "hard sigmoid of another slope": (13, chain(("HardSigmoid", "x")),
        "MulScalar AddScalar Clamp"),
    "where": (13, chain(("Where", "c x o"), c=[[True], [False]] * 3, o=-2.0),
        "Weight Mul Weight Add"),
    "sum of three": (13, chain(("Relu", "x"), ("Tanh", "x"), ("Sum", "x v0 v1")),
        "ReLU Tanh Add Add"),
    "bounds": (13, chain(("Max", "x l"), ("Min", "h _"), l=-0.5, h=0.25), "Clamp Clamp"),
    "two axes, the last places": (13, chain(
        ("Slice", "x from to over"), **{"from": [-3, 1], "to": [99, 5], "over": [2, 3]}),
        "Narrow Narrow"),
    "one place from the end": (13, chain(("Gather", "x i", {"axis": 2}), i=-2), "Narrow Reshape"),
    "einsum": (13, chain(("Einsum", "x x", {"equation": "bhid,bhjd->bhij"})),
        "Permute MatMul"),
    "same padding": (13, chain(
        ("MaxPool", "x", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"})),
        "MaxPool2d"),
    "upsample of old": (9, chain(("Upsample", "x s"), s=[1.0, 1.0, 2.0, 2.0]), "Upsample"),
    "indices, sizes and masks are folded": (17, chain(
        ("Shape", "x"), ("Gather", "_ last"), ("Range", "o _ one"), ("Mod", "_ two"),
        ("Equal", "_ o"), ("Where", "_ low high"), ("Add", "x _"),
        last=3, o=0, one=1, two=2, low=-1.0, high=1.0), "Weight Add"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_in_other_ways_is_understood(name, tmp_path):
    opset, (nodes, arrays), kinds = WRITTEN[name]
    made = model(nodes, arrays, (("x", ("N", 4, 6, 6)),), opset)
    made.ir_version = 8
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    net = zoo.adopt(tmp_path / "net.onnx", example=(2, 4, 6, 6))
    assert [type(node.op).__name__ for node in net.graph.nodes] == kinds.split()
    x = np.random.default_rng(1).standard_normal((3, 4, 6, 6)).astype(np.float32)
    (wanted,) = onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"x": x})
    assert relative_maximum(run(net.graph, net.weights, x), wanted) < 2e-6


@pytest.mark.parametrize("dims", [(1, 8, 8, 4), ("N", 8, 8, 4), ("N", "H", "W", 4)])
def test_images_with_channels_last_of_the_size_that_a_file_states(dims, tmp_path, rng):
    """As TensorFlow's networks are written."""
    nodes, arrays = chain(
        ("Transpose", "x", {"perm": [0, 3, 1, 2]}),
        ("Conv", "_ w b", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}), ("Clip", "_ low high"),
        ("Transpose", "_", {"perm": [0, 2, 3, 1]}), ("ReduceMean", "_", {"axes": [1, 2]}),
        w=DRAW.normal(size=(5, 4, 3, 3)), b=DRAW.normal(size=5), low=0.0, high=6.0,
    )  # fmt: skip
    made = model(nodes, arrays, (("x", dims),), 13)
    made.ir_version = 8
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    net = zoo.adopt(tmp_path / "net.onnx")
    size = (8, 8) if dims[1] == 8 else (224, 224)
    assert net.graph.input_shape == (1, 4, *size)
    assert "the file takes images (N, H, W, C); here they are (N, C, H, W)" in net.notes
    x = rng.standard_normal((1, *size, 4)).astype(np.float32)
    (wanted,) = onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"x": x})
    found = run(net.graph, net.weights, np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    assert relative_maximum(found.reshape(wanted.shape), wanted) < 2e-6


def test_arrays_in_a_file_beside_are_read(tmp_path):
    made = external()
    made.graph.initializer[0].external_data[0].value = "beside"
    values = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    values.tofile(tmp_path / "beside")
    net = zoo.adopt(tmp_path / "net.onnx", example=(2, 3, 8, 8))
    assert np.array_equal(net["held.weight"], values)
    values[:, :2].tofile(tmp_path / "beside")
    with pytest.raises(zoo.AdoptionError, match=r"held: is damaged: beside is too short"):
        zoo.adopt(tmp_path / "net.onnx", example=(2, 3, 8, 8))


REFUSED = {
    "several inputs": (
        lambda: model([node("Add", "x", "z")], inputs=(("x", (1, 3, 8, 8)), ("z", (1, 3, 8, 8)))),
        r"it must take one input, of images, not x, z",
    ),
    "no image": (lambda: model([node("Relu", "x")], inputs=(("x", (1, 3)),)), "must be float32 im"),
    "unknown operator": (lambda: model([node("Sin", "x")]), "odd: Sin is no operator of the zoo"),
    "another domain": (
        lambda: model([node("Gelu", "x", domain="com.microsoft")]),
        r"its shapes contradict: .*No opset import for domain com\.microsoft",
    ),
    "control flow": (
        lambda: model([node("If", "c", then_branch=_branch(), else_branch=_branch())],
                      [("c", np.array(True))]),
        "If is control flow",
    ),
    "by a constant": (
        lambda: model([node("Mul", "x", "held")], [("held", np.float32([2, 3]))]),
        "odd: mul: the shape of y is not known",
    ),
    "a quotient": (
        lambda: model([node("Div", "held", "x")], [("held", np.float32(1))]),
        "odd: Div: a number by a value",
    ),
    "a mask of what is not finite": (
        lambda: model([node("Where", "mask", "x", "held")],
                      [("mask", np.eye(8) > 0), ("held", np.float32(-np.inf))]),
        "odd: Where: what is put there must be finite",
    ),
    "weights that are computed": (
        lambda: model([helper.make_node("Relu", ["w"], ["v"]), node("Conv", "x", "v")],
                      [("w", np.ones((4, 3, 1, 1), np.float32))]),
        r"odd: Conv: the weight \(=v\) must be constant",
    ),
    "external data": (
        external,
        r"held: its data are in another file \(=\.\./\.\./secret\), which must be beside it",
    ),
    "a gigantic array": (gigantic, r"held: shape \[1099511627776\] is not possible"),
    "a damaged array": (damaged, "held: is damaged: "),
    "a cycle": (
        lambda: model([helper.make_node("Relu", ["y"], ["v"]), node("Relu", "v")]),
        "v: Relu reads y, which no node before makes",
    ),
}  # fmt: skip


def _branch():
    value = helper.make_tensor_value_info("b", TensorProto.FLOAT, (1,))
    held = numpy_helper.from_array(np.ones(1, np.float32))
    return helper.make_graph(
        [helper.make_node("Constant", [], ["b"], value=held)], "g", [], [value]
    )


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_no_networks_of_ours_are_refused(name, tmp_path):
    make, message = REFUSED[name]
    (tmp_path / "net.onnx").write_bytes(make().SerializeToString())
    with pytest.raises(zoo.AdoptionError, match=message):
        zoo.adopt(tmp_path / "net.onnx", example=(2, 3, 8, 8))


def test_what_is_no_file_of_onnx_is_told(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x07\x12\xff\xff\xff")
    with pytest.raises(zoo.AdoptionError, match=r"bad\.onnx: is no ONNX model: "):
        zoo.adopt(tmp_path / "bad.onnx")
    with pytest.raises(zoo.AdoptionError, match=r"none\.onnx: cannot be read: No such file"):
        zoo.adopt(tmp_path / "none.onnx")
    onnx.save(model([node("Relu", "x")]), tmp_path / "net.onnx")
    with pytest.raises(zoo.InputError, match=r"must be that of the file's input, \(1, 3, 8, 8\)"):
        zoo.adopt(tmp_path / "net.onnx", example=(2, 3, 16, 16))
