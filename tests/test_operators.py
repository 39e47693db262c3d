"""One table of operators, driven through every backend: values, training mode, gradients, split."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import BACKENDS, FRAMEWORKS, RUNTIMES

import backends
import weights
from zoo.arch import Graph, Node, Operator, operators, windows
from zoo.arch.operators import (
    Add,
    BatchNorm2d,
    ChannelPermute,
    ChannelShuffle,
    Concat,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    Linear,
    Mul,
    ReLU,
    Sigmoid,
    Slice,
)
from zoo.arch.windows import AvgPool2d, Conv2d, MaxPool2d
from zoo.passes import split_group_conv
from zoo.proof.measure import relative_maximum

# Even and odd: SAME_UPPER and symmetric padding differ on the former only.
SIZES = [(8, 8), (9, 7)]


def conv(kernel, stride, padding, **more):
    return Conv2d(
        kernel_size=kernel, stride=stride, padding=padding, in_channels=12, out_channels=24, **more
    )


def pool(kind, padding, kernel=(3, 3), stride=(2, 2), **more):
    return kind(kernel_size=kernel, stride=stride, padding=padding, **more)


# name → operator with 12 channels in, applied to (a batch norm of) the input.
TABLE: dict[str, Operator] = {
    "conv 3x3": conv((3, 3), (1, 1), (1, 1, 1, 1)),
    "conv 3x3 stride 2, bias": conv((3, 3), (2, 2), (1, 1, 1, 1), bias=True),
    "conv 1x3 stride 2x1": conv((1, 3), (2, 1), (0, 1, 0, 1)),
    "conv dilated": conv((3, 3), (1, 1), (2, 2, 2, 2), dilation=(2, 2)),
    "conv padding per side": conv((3, 3), (2, 2), (0, 1, 2, 0)),
    "conv SAME_UPPER": conv((3, 3), (2, 2), "SAME_UPPER"),
    "group conv 1x1": conv((1, 1), (1, 1), (0, 0, 0, 0), groups=3),
    "group conv 3x3, bias": conv((3, 3), (2, 2), (1, 1, 1, 1), groups=4, bias=True),
    "depthwise conv": conv((3, 3), (2, 2), (1, 1, 1, 1), groups=12),
    "max pool": pool(MaxPool2d, (1, 1, 1, 1)),
    "max pool 2x3": pool(MaxPool2d, (0, 1, 0, 1), (2, 3), (2, 1)),
    "max pool SAME_UPPER": pool(MaxPool2d, "SAME_UPPER"),
    "avg pool": pool(AvgPool2d, (1, 1, 1, 1), count_include_pad=True),
    "avg pool without padding": pool(AvgPool2d, (0, 0, 0, 0), count_include_pad=True),
    "avg pool, padding not counted": pool(AvgPool2d, (1, 1, 1, 1), count_include_pad=False),
    "avg pool SAME_UPPER": pool(AvgPool2d, "SAME_UPPER", count_include_pad=False),
    "batch norm": BatchNorm2d(num_features=12, eps=1e-3, momentum=0.3),
    "relu": ReLU(),
    "hard swish": HardSwish(),
    "hard sigmoid": HardSigmoid(),
    "sigmoid": Sigmoid(),
    "dropout": Dropout(p=0.4),
    "global avg pool": GlobalAvgPool2d(),
    "shuffle gn": ChannelShuffle(groups=3, order="gn"),
    "shuffle ng": ChannelShuffle(groups=3, order="ng"),
    "permute": ChannelPermute(indices=(5, 3, 1, 11, 9, 7, 0, 2, 4, 6, 8, 10)),
    "slice": Slice(start=3, stop=8),
    "concat": Concat(),
    "add": Add(),
    "mul": Mul(),
    "flatten": Flatten(),
    "linear": Linear(in_features=12, out_features=5, bias=False),
    "linear with bias": Linear(in_features=12, out_features=5, bias=True),
}


def network(op: Operator, size: tuple[int, int]) -> Graph:
    """Put an operator between a convolution and a classifier, so that it has a gradient too."""
    nodes = [
        Node("stem.conv", Conv2d(
            in_channels=3, out_channels=12, kernel_size=(3, 3), stride=(1, 1),
            padding=(1, 1, 1, 1), bias=True,
        ), ("input",)),
        Node("stem.bn", BatchNorm2d(num_features=12, eps=1e-5, momentum=0.1), ("stem.conv",)),
        Node("other.sigmoid", Sigmoid(), ("stem.bn",)),
    ]  # fmt: skip
    if isinstance(op, Linear):
        nodes += [
            Node("to_linear.pool", GlobalAvgPool2d(), ("stem.bn",)),
            Node("to_linear.flatten", Flatten(), ("to_linear.pool",)),
        ]
    inputs = ("stem.bn", "other.sigmoid")[: op.arity or 2]
    nodes.append(Node("tested", op, ("to_linear.flatten",) if isinstance(op, Linear) else inputs))
    shape = Graph(3, size, tuple(nodes), ("tested",)).shapes()["tested"]
    if len(shape) == 4:
        nodes.append(Node("head.flatten", Flatten(), ("tested",)))
    features = int(np.prod(shape[1:]))
    head = Linear(in_features=features, out_features=4, bias=True)
    nodes.append(Node("head.linear", head, (nodes[-1].name,)))
    return Graph(3, size, tuple(nodes), ("head.linear",))


@pytest.fixture(params=list(TABLE))
def op(request):
    return TABLE[request.param]


def test_every_operator_has_a_row_and_every_backend_an_entry():
    kinds = {
        kind
        for module in (operators, windows)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Operator)
    } - {Operator, windows.Window, windows.Pool}
    assert {type(op) for op in TABLE.values()} == kinds
    from backends.mindspore.operators import CELLS
    from backends.numpy.operators import apply
    from backends.onnx.operators import OPERATORS
    from backends.torch.operators import FUNCTIONS, MODULES

    assert set(CELLS) == kinds
    assert set(OPERATORS) == kinds
    assert set(MODULES) | set(FUNCTIONS) == kinds
    assert not set(MODULES) & set(FUNCTIONS)
    assert set(apply.registry) - {object} == kinds


@pytest.mark.parametrize("name", [*FRAMEWORKS, *RUNTIMES])
def test_values_and_gradients_equal_the_float64_reference(name, op, rng):
    engine, numpy, torch = (backends.load(n) for n in (name, "numpy", "torch"))
    for size in SIZES:
        graph = network(op, size)
        arrays = weights.randomise(graph)
        x = rng.standard_normal((3, 3, *size)).astype(np.float32)
        y = np.array([0, 3, 1])
        for training in (False, True):
            if training and (isinstance(op, Dropout) or name in RUNTIMES):
                continue  # masks are the framework's own: see test_dropout
            exact = numpy.forward(graph, arrays, x, training=training, dtype="float64")
            found = engine.forward(graph, arrays, x, training=training, dtype="float32")
            for a, b in zip(found, exact, strict=True):
                errors = {key: relative_maximum(a[key], b[key]) for key in a}
                assert max(errors.values(), default=0) < 2e-6, (size, training, errors)
            if training == (size == SIZES[1]) or name in RUNTIMES:
                continue  # each size in one mode: compiling is what takes the time
            _, exact = torch.gradients(graph, arrays, x, y, training=training, dtype="float64")
            _, found = engine.gradients(graph, arrays, x, y, training=training, dtype="float32")
            scale = max(np.abs(g).max() for g in exact.values())
            for key, gradient in exact.items():
                assert np.abs(found[key] - gradient).max() < 5e-6 * scale, (size, training, key)


@pytest.mark.parametrize("name", BACKENDS)
def test_split_group_convolution_is_the_same_function(name, rng):
    engine = backends.load(name)
    for key in ("group conv 1x1", "group conv 3x3, bias"):
        graph = network(TABLE[key], (9, 8))
        arrays = weights.randomise(graph)
        split, split_arrays = split_group_conv(graph, arrays)
        assert len(split.nodes) > len(graph.nodes)
        x = rng.standard_normal((2, 3, 9, 8)).astype(np.float32)
        whole, _ = engine.forward(graph, arrays, x, training=False, dtype="float32")
        parts, _ = engine.forward(split, split_arrays, x, training=False, dtype="float32")
        assert relative_maximum(parts["tested"], whole["tested"]) < 1e-6


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_dropout_zeroes_and_scales_in_training(name, rng, graph_mode):
    engine = backends.load(name)
    graph = network(Dropout(p=0.4), (32, 32))
    arrays = weights.randomise(graph)
    x = rng.standard_normal((2, 3, 32, 32)).astype(np.float32)
    values, _ = engine.forward(graph, arrays, x, training=True, dtype="float32")
    dropped = values["tested"] == 0
    assert 0.37 < dropped.mean() < 0.43
    kept = values["stem.bn"] / 0.6
    np.testing.assert_allclose(values["tested"][~dropped], kept[~dropped], rtol=1e-5)


THINNED = [
    conv((3, 3), (2, 2), (1, 1, 1, 1), groups=12),
    conv((3, 5), (2, 3), (0, 2, 0, 2), groups=12, bias=True, dilation=(2, 1)),
]


@pytest.mark.parametrize("op", [*THINNED, TABLE["group conv 3x3, bias"]])
def test_a_trainers_depthwise_convolutions_with_a_stride_are_the_same_function(op, rng):
    import torch

    from backends.torch.model import build
    from backends.torch.parameters import set_parameters
    from backends.torch.strided import ThinnedConv2d, thin

    for size in [*SIZES, (11, 10)]:
        graph = network(op, size)
        found = []
        for change in (lambda module: module, thin):
            module = build(graph)
            set_parameters(module, weights.randomise(graph))
            layer = change(module.double()).get_submodule("tested")
            x = torch.from_numpy(np.random.default_rng(3).standard_normal((2, 12, *size)))
            x.requires_grad_()
            y = layer(x)
            (
                y * torch.from_numpy(np.random.default_rng(4).standard_normal(y.shape))
            ).sum().backward()
            found.append([y, x.grad, *(p.grad for p in layer.parameters())])
        # only depthwise ones gain by it
        assert isinstance(layer, ThinnedConv2d) == (op in THINNED)
        for there, here in zip(*found, strict=True):
            assert relative_maximum(here.detach().numpy(), there.detach().numpy()) < 1e-14
