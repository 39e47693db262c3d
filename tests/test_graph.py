"""Graphs are checked once, and say which node breaks which rule with which values."""

from __future__ import annotations

import pytest

import zoo
from zoo.arch import Graph, Node
from zoo.arch.builder import GraphBuilder
from zoo.arch.operators import (
    ELU,
    GELU,
    Add,
    AddScalar,
    AvgPool2d,
    ChannelPermute,
    Clamp,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Mul,
    MulScalar,
    Pad2d,
    PReLU,
    Reduce,
    ReLU,
    Slice,
    Upsample,
)


def build(*nodes, outputs=None):
    return Graph(4, (8, 8), nodes, outputs or (nodes[-1].name,))


def pool(kind, padding, kernel=3, **more):
    return kind(kernel_size=(kernel, kernel), stride=(2, 2), padding=padding, **more)


def conv(**changes):
    values = dict(
        in_channels=4, out_channels=8, kernel_size=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0)
    )
    return Conv2d(**values | changes)


BROKEN = {
    "stem: reads 'nothing', which no earlier node makes":
        lambda: build(Node("stem", ReLU(), ("nothing",))),
    "relu: the name is taken by an earlier node":
        lambda: build(Node("relu", ReLU(), ("input",)), Node("relu", ReLU(), ("input",))),
    "'Stem conv' is not a dotted name of letters, digits, _ and -":
        lambda: build(Node("Stem conv", ReLU(), ("input",))),
    "add: Add takes 2 input(s), not 1": lambda: build(Node("add", Add(), ("input",))),
    "output 'nothing' is no node of the graph":
        lambda: build(Node("relu", ReLU(), ("input",)), outputs=("nothing",)),
    "in_channels (=58) must be divisible by groups (=4)":
        lambda: conv(in_channels=58, groups=4),
    "out_channels (=58) must be divisible by groups (=4)":
        lambda: conv(out_channels=58, groups=4),
    "groups (=0) must be at least 1": lambda: conv(groups=0),
    "stride (=(0, 1)) must be at least 1": lambda: conv(stride=(0, 1)),
    "padding (=(0, -1, 0, 0)) must not be negative": lambda: conv(padding=(0, -1, 0, 0)),
    "padding (=(0, 0, 1, 1)) must be alike on opposite sides":
        lambda: pool(MaxPool2d, (0, 0, 1, 1)),
    "padding (=(2, 2)) must be at most half of kernel_size (=(3, 3))":
        lambda: pool(MaxPool2d, (2, 2, 2, 2)),
    "count_include_pad (=True) must be False with padding (='SAME_UPPER')":
        lambda: pool(AvgPool2d, "SAME_UPPER", count_include_pad=True),
    "ceil_mode (=True) must be False with padding (='SAME_UPPER')":
        lambda: pool(MaxPool2d, "SAME_UPPER", ceil_mode=True),
    "approximate (='erf') must be none or tanh": lambda: GELU(approximate="erf"),
    "negative_slope (=-0.1) must not be negative": lambda: LeakyReLU(negative_slope=-0.1),
    "num_parameters (=0) must be at least 1": lambda: PReLU(num_parameters=0),
    "alpha (=0) must be positive": lambda: ELU(alpha=0),
    "min_val or max_val must be a number": lambda: Clamp(min_val=None, max_val=None),
    "min_val (=1) must be below max_val (=1)": lambda: Clamp(min_val=1, max_val=1),
    "value (=nan) must be finite": lambda: AddScalar(value=float("nan")),
    "value (=inf) must be finite": lambda: MulScalar(value=float("inf")),
    "kind (='max') must be mean, sum or amax": lambda: Reduce(kind="max", dim=(1,), keepdim=True),
    "dim (=(0, 1)) must be axes after that of the images, ascending":
        lambda: Reduce(kind="sum", dim=(0, 1), keepdim=True),
    "mode (='circular') must be one of constant, reflect, replicate":
        lambda: Pad2d(sides=(1, 1, 1, 1), mode="circular"),
    "value (=-inf) must be finite":
        lambda: Pad2d(sides=(1, 1, 1, 1), mode="constant", value=-float("inf")),
    "sides (=(8, 0, 0, 0)) must fit its input (shape (1, 4, 8, 8))":
        lambda: Pad2d(sides=(8, 0, 0, 0), mode="reflect").output_shape((1, 4, 8, 8)),
    "size (=None) or scale_factor (=None) must be given":
        lambda: Upsample(size=None, scale_factor=None, mode="nearest", align_corners=False),
    "align_corners (=True) must be False with mode nearest":
        lambda: Upsample(size=(2, 2), scale_factor=None, mode="nearest", align_corners=True),
    "output_padding (=(1, 1)) must be at most padding (=(0, 0))":
        lambda: ConvTranspose2d(
            in_channels=4, out_channels=4, kernel_size=(2, 2), stride=(2, 2), padding=(0, 0),
            output_padding=(1, 1), dilation=(1, 1), groups=1, bias=True,
        ),
    "indices must be a permutation of 0..2": lambda: ChannelPermute(indices=(0, 0, 2)),
    "p (=1.0) must be in [0, 1)": lambda: Dropout(p=1.0),
    "stem.conv: in_channels (=6) must equal the channels of its input (shape (1, 4, 8, 8))":
        lambda: build(Node("stem.conv", conv(in_channels=6), ("input",))),
    "fc: in_features (=4) must equal the last axis of its input (shape (1, 4, 8, 8))":
        lambda: build(Node("fc", Linear(in_features=4, out_features=2, bias=True), ("input",))),
    "part: start (=2) and stop (=9) must select some of the 4 channels":
        lambda: build(Node("part", Slice(start=2, stop=9), ("input",))),
    "pool: kernel_size (=(9, 9)) must fit the padded input (=(8, 8), shape (1, 4, 8, 8))":
        lambda: build(Node("pool", pool(MaxPool2d, (0, 0, 0, 0), 9), ("input",))),
    "sum: the inputs must have one shape, but for axes of 1 (shapes [(1, 4, 8, 8), (1, 8, 8, 8)])":
        lambda: build(Node("conv", conv(), ("input",)), Node("sum", Add(), ("input", "conv"))),
    "mul: the inputs must have one shape, but for axes of 1 "
    "(shapes [(1, 4, 8, 8), (1, 8, 8, 8)])":
        lambda: build(Node("conv", conv(), ("input",)), Node("mul", Mul(), ("input", "conv"))),
}  # fmt: skip


@pytest.mark.parametrize("message", list(BROKEN))
def test_a_broken_rule_is_named(message):
    with pytest.raises(zoo.GraphError) as error:
        BROKEN[message]()
    assert str(error.value) == message


def test_the_builder_names_the_node_while_it_is_written():
    g = GraphBuilder(58, 8)
    with g.scope("stage2.0"), g.scope("expand"), pytest.raises(zoo.GraphError) as error:
        g.conv(g.input, 60, groups=4)
    expected = "stage2.0.expand.conv: in_channels (=58) must be divisible by groups (=4)"
    assert str(error.value) == expected


def test_shapes_are_the_callers_own():
    graph = zoo.spec("shufflenet_v2_0.5x_cifar").graph
    before = dict(graph.shapes())
    graph.shapes().clear()
    assert graph.shapes() == before
    assert graph.shapes((2, 3, 64, 64)) != before


def test_outputs_are_nodes_or_scopes_and_dead_nodes_go():
    graph = zoo.spec("shufflenet_v1_1.0x_g3").graph
    part = graph.select(["stage2", "stage3.0.expand.bn"])
    assert part.outputs == ("stage2.3.relu", "stage3.0.expand.bn")
    names = [node.name for node in part.nodes]
    assert names[-1] == "stage3.0.expand.bn"
    assert "stage3.0.shortcut.pool" not in names
    with pytest.raises(zoo.UnknownNameError, match="unknown node 'stage5'; did you mean"):
        graph.select(["stage5"])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 224, 224), "input: rank (=3) must be 4, (N, 3, H, W), 224x224 nominally; "
         "got shape (3, 224, 224)"),
        ((2, 1, 224, 224), "input: channels (=1) must be 3, (N, 3, H, W), 224x224 nominally; "
         "got shape (2, 1, 224, 224)"),
        ((2, 3, 0, 224), "input: size 0x224 is not admitted: stem.conv: kernel_size (=(3, 3)) must "
         "fit the padded input (=(2, 226), shape (1, 3, 0, 224))"),
    ],
)  # fmt: skip
def test_inputs_are_checked(shape, message):
    with pytest.raises(zoo.InputError) as error:
        zoo.spec("shufflenet_v1_1.0x_g3").graph.check_input(shape)
    assert str(error.value) == message
