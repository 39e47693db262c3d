"""Networks of strangers, small ones that are right: ONNX files as others write them, and graphs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from fuzzing.samples import SPEC, Case

SIZE = 16


def foreign() -> list[Case]:
    """Return ONNX files: ours, one with what others have (shapes computed, idioms), tokens."""
    with tempfile.TemporaryDirectory() as folder:
        zoo.export(SPEC, Path(folder, "ours.onnx"), optimize=True, image_size=SIZE)
        ours = Path(folder, "ours.onnx").read_bytes()
    return [ours, theirs().SerializeToString(), tokens()]


def tokens() -> Case:
    """Return an ONNX file of a network of tokens: class token, attention with a mask, a roll."""
    import weights
    from backends.onnx import emit
    from zoo.arch import Graph, Node
    from zoo.arch.operators import (
        GELU,
        Add,
        Concat,
        Conv2d,
        Expand,
        Flatten,
        GroupNorm,
        Index,
        LayerNorm,
        Linear,
        Narrow,
        Normalize,
        Permute,
        Reshape,
        Roll,
        ScaledDotProductAttention,
        Weight,
    )  # fmt: skip

    def heads(name: str, start: int) -> list[Node]:
        part = Narrow(dim=2, start=start, stop=start + 8, step=1)
        return [
            Node(f"{name}.part", part, ("qkv",)),
            Node(f"{name}.heads", Reshape(shape=(17, 2, 4)), (f"{name}.part",)),
            Node(name, Permute(dims=(0, 2, 1, 3)), (f"{name}.heads",)),
        ]

    stem = Conv2d(
        in_channels=3, out_channels=8, kernel_size=(4, 4), stride=(4, 4), padding=(0, 0, 0, 0)
    )
    nodes = [
        Node("stem", stem, ("input",)),
        Node("groups", GroupNorm(num_groups=4, num_channels=8, eps=1e-5), ("stem",)),
        Node("roll", Roll(shifts=(1, -1), dims=(2, 3)), ("groups",)),
        Node("rows", Reshape(shape=(8, 16)), ("roll",)),
        Node("patches", Permute(dims=(0, 2, 1)), ("rows",)),
        Node("token", Weight(shape=(1, 1, 8), trainable=True), ()),
        Node("tokens", Expand(), ("token", "patches")),
        Node("all", Concat(), ("tokens", "patches")),
        Node("position", Weight(shape=(1, 17, 8), trainable=True), ()),
        Node("embedded", Add(), ("all", "position")),
        Node("norm", LayerNorm(normalized_shape=(8,), eps=1e-6, affine=True), ("embedded",)),
        Node("qkv", Linear(in_features=8, out_features=24, bias=True), ("norm",)),
        *heads("q", 0), *heads("k", 8), *heads("v", 16),
        Node("unit", Normalize(dim=3, eps=1e-6), ("q",)),
        Node("mask", Weight(shape=(1, 2, 17, 17), trainable=True), ()),
        Node("attention", ScaledDotProductAttention(scale=0.5), ("unit", "k", "v", "mask")),
        Node("together", Permute(dims=(0, 2, 1, 3)), ("attention",)),
        Node("joined", Reshape(shape=(17, 8)), ("together",)),
        Node("projection", Linear(in_features=8, out_features=8, bias=True), ("joined",)),
        Node("sum", Add(), ("embedded", "projection")),
        Node("gelu", GELU(approximate="none"), ("sum",)),
        Node("first", Index(dim=1, indices=(0, 3)), ("gelu",)),
        Node("flat", Flatten(), ("first",)),
        Node("fc", Linear(in_features=16, out_features=3, bias=True), ("flat",)),
    ]  # fmt: skip
    graph = Graph(3, (SIZE, SIZE), tuple(nodes), ("fc",))
    return emit(graph, weights.randomize(graph)).SerializeToString()


def theirs() -> Any:
    """Return a model with a shuffle by computed shapes, a swish by hand, constants, a gate."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)

    def held(name: str, *shape: int) -> TensorProto:
        values = rng.standard_normal(shape).astype(np.float32) if shape else np.zeros(0, np.float32)
        return numpy_helper.from_array(values, name)

    def whole(name: str, values: list[int]) -> TensorProto:
        return numpy_helper.from_array(np.array(values, np.int64), name)

    def node(kind: str, inputs: str, output: str, **attributes: Any) -> Any:
        return helper.make_node(
            kind, inputs.split(), output.split(), name=f"/{output}", **attributes
        )

    nodes = [
        node("Conv", "images stem.weight stem.bias", "stem", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("BatchNormalization", "stem bn.weight bn.bias bn.running_mean bn.running_var", "bn"),
        node("Sigmoid", "bn", "gate"),
        node("Mul", "gate bn", "swish"),
        node("Shape", "swish", "shape"),
        node("Gather", "shape zero", "n", axis=0),
        node("Unsqueeze", "n axes", "batch"),
        node("Constant", "", "groups", value=whole("groups", [2, 4, 8, 8])),
        node("Concat", "batch groups", "split", axis=0),
        node("Reshape", "swish split", "grouped"),
        node("Transpose", "grouped", "turned", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "turned back", "shuffled"),
        node("Split", "shuffled", "left right", axis=1, num_outputs=2),
        node("Clip", "left low high", "clipped"),
        node("MaxPool", "right", "pooled", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Concat", "clipped pooled", "both", axis=1),
        node("Slice", "both starts ends channels", "some"),
        node("GlobalAveragePool", "some", "mean"),
        node("Flatten", "mean", "flat"),
        node("Gemm", "flat fc.weight fc.bias", "logits", transB=1),
    ]  # fmt: skip
    arrays = [
        held("stem.weight", 8, 3, 3, 3), held("stem.bias", 8),
        *(held(f"bn.{role}", 8) for role in ("weight", "bias", "running_mean")),
        numpy_helper.from_array(np.ones(8, np.float32), "bn.running_var"),
        held("fc.weight", 3, 6), held("fc.bias", 3),
        whole("axes", [0]), whole("back", [-1, 8, 8, 8]), whole("starts", [0]), whole("ends", [6]),
        whole("channels", [1]), numpy_helper.from_array(np.array(0), "zero"),
        *(numpy_helper.from_array(np.float32(v), n) for n, v in (("low", 0), ("high", 6))),
    ]  # fmt: skip
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph(nodes, "theirs", [images], [logits], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def graphs() -> list[Case]:
    """Return specs of networks that are their graph, as JSON."""
    from zoo.families.graph import GraphSpec

    small = GraphSpec.of(SPEC.graph, "small")
    own = zoo.spec("shufflenet_v1_0.5x_g3", stage_repeats=(1, 1, 1), image_size=32)
    return [small.to_json().encode(), GraphSpec.of(own.graph, "other").to_json().encode()]


GOLDEN = Path(__file__).parents[1] / "golden"


def mindirs() -> list[Case]:
    """Return MINDIR files as MindSpore wrote them once: it writes no bytes twice."""
    return [(GOLDEN / f"{name}.mindir").read_bytes() for name in ("network", "tokens")]


def write_mindirs(folder: Path) -> None:
    """Write the files that `mindirs` reads."""
    import mindspore as ms
    from mindspore import Parameter, nn, ops

    class Network(nn.Cell):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, 2, pad_mode="pad", padding=1, has_bias=True)
            self.bn, self.relu, self.pool = nn.BatchNorm2d(8), nn.ReLU6(), nn.MaxPool2d(2, 2)
            self.fc = nn.Dense(8, 3)

        def construct(self, x: Any) -> Any:
            x = self.relu(self.bn(self.conv(x)))
            left, right = ms.ops.split(self.pool(x * ms.ops.sigmoid(x)), 4, axis=1)
            return self.fc(ms.ops.cat((right, left), 1).mean((2, 3)))

    class Tokens(nn.Cell):
        def __init__(self) -> None:
            super().__init__()
            self.patch, self.norm = nn.Conv2d(3, 8, 4, 4), nn.GroupNorm(2, 8)
            self.token = Parameter(ms.Tensor(np.zeros((1, 1, 8), np.float32)), "token")
            self.qkv, self.normal = nn.Dense(8, 24), nn.LayerNorm((8,))
            self.act, self.fc = nn.LeakyReLU(), nn.Dense(8, 3)
            self.pool, self.order = nn.AdaptiveAvgPool2d(2), ms.Tensor([3, 1, 0, 2])

        def construct(self, x: Any) -> Any:
            x = ops.pad(self.act(self.norm(self.patch(x))), [0, 1, 1, 0], mode="reflect")
            x = self.pool(ops.interpolate(x, size=(10, 10), mode="bilinear"))
            x = ops.gather(x.reshape(x.shape[0], 8, -1), self.order, 2).transpose(0, 2, 1)
            x = ops.cat((ops.tile(self.token, (x.shape[0], 1, 1)), x), 1)
            q, k, v = self.qkv(self.normal(x)).reshape(-1, 5, 3, 2, 4).transpose(2, 0, 3, 1, 4)
            a = ops.softmax(ops.matmul(q * 0.5, k.swapaxes(2, 3)), -1)
            x = x + ops.matmul(a, v).transpose(0, 2, 1, 3).reshape(-1, 5, 8)
            return self.fc(ops.gelu(ops.clamp(x[:, 0] - 0.1, -2, 2)))

    for name, kind in (("network", Network), ("tokens", Tokens)):
        network = kind().set_train(False)
        for i, parameter in enumerate(network.get_parameters()):
            values = np.random.default_rng(i).uniform(0.5, 1, parameter.shape)
            parameter.set_data(ms.Tensor(values.astype(np.float32)))
        images = ms.Tensor(np.zeros((2, 3, SIZE, SIZE), np.float32))
        ms.export(network, images, file_name=str(folder / f"{name}.mindir"), file_format="MINDIR")
