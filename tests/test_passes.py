"""Rewrites keep names, arrays and the function; there and back is exact."""

from __future__ import annotations

import numpy as np
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import backends
import weights
import zoo
from zoo.arch import Graph, Node
from zoo.arch.operators import Concat, Conv2d, Slice
from zoo.passes import merge_group_conv, split_group_conv


@settings(max_examples=examples(25), deadline=None)
@given(name=st.sampled_from(zoo.list_models("shufflenet_v1*")), seed=st.integers(0, 2**32))
def test_split_and_merge_are_inverse(name, seed):
    graph = zoo.spec(name).graph
    arrays = weights.randomize(graph, seed)
    split, pieces = split_group_conv(graph, arrays)
    assert list(pieces) == list(split.parameters)
    assert {n: a.shape for n, a in pieces.items()} == {
        n: p.shape for n, p in split.parameters.items()
    }
    assert not any(
        isinstance(n.op, Conv2d) and 1 < n.op.groups < n.op.in_channels for n in split.nodes
    )
    again, whole = merge_group_conv(split, pieces)
    assert again == graph
    assert list(whole) == list(arrays)
    assert all(np.array_equal(whole[n], arrays[n]) for n in arrays)


def test_the_split_network_is_the_same_function():
    graph = zoo.spec("shufflenet_v1_0.5x_g8", image_size=32).graph
    arrays = weights.randomize(graph)
    split, pieces = split_group_conv(graph, arrays)
    numpy = backends.load("numpy")
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32))
    whole, _ = numpy.forward(graph, arrays, x, training=False, dtype="float64")
    parts, _ = numpy.forward(split, pieces, x, training=False, dtype="float64")
    for node in graph.nodes:
        np.testing.assert_allclose(parts[node.name], whole[node.name], rtol=1e-9, atol=1e-9)


def test_arguments_are_left_alone_and_partial_weights_move():
    graph = zoo.spec("shufflenet_v1_0.5x_g3").graph
    arrays = {"stage2.1.expand.conv.weight": np.arange(120 * 10.0).reshape(120, 10, 1, 1)}
    _, pieces = split_group_conv(graph, arrays)
    assert list(arrays) == ["stage2.1.expand.conv.weight"]
    assert [pieces[f"stage2.1.expand.conv.convs.{j}.weight"][0, 0, 0, 0] for j in range(3)] == [
        0, 400, 800,
    ]  # fmt: skip


def test_what_only_looks_like_a_split_convolution_is_left():
    one = dict(out_channels=3, kernel_size=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0))

    def graph(stops, second):
        nodes = [
            Node("a", Slice(start=0, stop=stops), ("input",)),
            Node("b", Slice(start=stops, stop=6), ("input",)),
            Node("conv_a", Conv2d(in_channels=stops, **one), ("a",)),
            Node("conv_b", Conv2d(in_channels=6 - stops, **one, **second), ("b",)),
            Node("join", Concat(), ("conv_a", "conv_b")),
        ]
        return Graph(6, (4, 4), tuple(nodes), ("join",))

    assert len(merge_group_conv(graph(3, {}))[0].nodes) == 1
    for other in (graph(2, {}), graph(3, {"bias": True})):
        assert merge_group_conv(other)[0] == other
