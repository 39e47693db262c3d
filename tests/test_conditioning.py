"""Well-conditioned weights: all regions reached, kinks and ties kept clear of, float32 exact."""

from __future__ import annotations

import numpy as np
import pytest

import backends
import zoo
from weights import randomize
from zoo.arch import INPUT, Graph
from zoo.arch.builder import GraphBuilder
from zoo.arch.operators import MaxPool2d, ReLU6
from zoo.proof import conditioning, ties
from zoo.proof.adequacy import coverage, gradient_gaps
from zoo.proof.case import make_case
from zoo.proof.conditioning import (
    well_conditioned_batch,
    well_conditioned_images,
    well_conditioned_weights,
)
from zoo.proof.measure import relative_maximum


def values_of(graph, weights, images, training, dtype="float64"):
    found, _ = backends.load("numpy").forward(
        graph, weights, images, training=training, dtype=dtype
    )
    return {INPUT: images, **found}


def clipped() -> Graph:
    """ReLU6 behind a batch norm, a convolution with a bias, and a linear layer with none."""
    g = GraphBuilder(3, 16)
    x = g.conv_bn(g.input, 16, kernel_size=3, stride=2)
    x = g.add_node("first", ReLU6, x)
    x = g.add_node("second", ReLU6, g.conv(x, 16, kernel_size=3, bias=True, name="biased"))
    x = g.linear(g.flatten(g.global_avg_pool(x)), 60, bias=False, name="hidden")
    x = g.add_node("third", ReLU6, x)
    return g.build(g.linear(x, 7, bias=True, name="classifier"))


def gated() -> Graph:
    """Gates of linear layers, whose branch is the first summand: behind the other is no bias."""
    g = GraphBuilder(3, 64)
    x = g.relu(g.conv_bn(g.input, 32, kernel_size=3, stride=2))
    x = g.max_pool(x, kernel_size=2, stride=2, padding=(0, 0, 0, 0), name="max_pool")
    for name in "unit0", "unit1":
        with g.scope(name):
            with g.scope("first"):
                y = g.relu(g.conv_bn(x, 32, kernel_size=3))
            y = g.conv_bn(y, 32, kernel_size=3)
            z = g.linear(g.flatten(g.global_avg_pool(y)), 8, bias=True, name="reduce")
            z = g.linear(g.relu(z, "gate_relu"), 32, bias=True, name="expand")
            x = g.relu(g.add(g.mul(y, g.reshape(g.sigmoid(z), 32, 1, 1)), x), "out")
    return g.build(g.linear(g.flatten(g.global_avg_pool(x)), 7, bias=True, name="classifier"))


def joined() -> Graph:
    """Max pools over what several convolutions made, and over each other."""
    g = GraphBuilder(3, 64)
    with g.scope("stem"):
        x = g.relu(g.conv_bn(g.input, 24, kernel_size=3, stride=2))
    parts = [g.relu(g.conv(x, n, bias=True, name=f"part{n}"), f"relu{n}") for n in (40, 56)]
    x = g.concat(parts)
    for stride in (2, 1):
        pool = {"kernel_size": 3, "stride": stride, "padding": (1, 1, 1, 1)}
        x = g.max_pool(x, **pool, name=f"pool{stride}")
    return g.build(
        g.linear(g.flatten(g.global_avg_pool(x, "mean")), 7, bias=True, name="classifier")
    )


def shared() -> Graph:
    """A sum whose only bias is that of a shortcut, which the branch has read as well."""
    g = GraphBuilder(3, 16)
    with g.scope("stem"):
        x = g.conv_bn(g.input, 4, kernel_size=3, stride=2)
    y = g.relu(g.conv_bn(x, 2048, kernel_size=3))
    x = g.relu(g.add(x, g.conv(y, 4, name="project")), "out")
    return g.build(g.linear(g.flatten(g.global_avg_pool(x)), 7, bias=True, name="classifier"))


def strided() -> Graph:
    """Many channels, of which a projection sees every fourth pixel, as shortcuts of ResNets do."""
    g = GraphBuilder(3, 4)
    with g.scope("stem"):
        x = g.relu(g.conv_bn(g.input, 2048, kernel_size=3, stride=2))
    with g.scope("shortcut"):
        x = g.relu(g.conv_bn(x, 8, stride=2))
    return g.build(g.linear(g.flatten(g.global_avg_pool(x)), 7, bias=True, name="classifier"))


def flattened() -> Graph:
    """A classifier that reads the pixels of a map one by one, as VGG's does."""
    g = GraphBuilder(3, 28)
    x = g.relu(g.conv(g.input, 256, kernel_size=3, stride=4, bias=True, name="conv"))
    return g.build(g.linear(g.flatten(x), 7, bias=True, name="classifier"))


def plain() -> Graph:
    """No norms, by which values grow from layer to layer; the classifier is pooled."""
    g = GraphBuilder(3, 32)
    x = g.input
    for i in range(28):
        x = g.conv(x, 24, stride=1 + (i == 0), bias=True, name=f"conv{i}")
        x = g.relu(x, f"relu{i}")
    x = g.relu(g.conv(x, 40, bias=True, name="classifier"))
    return g.build(g.flatten(g.global_avg_pool(x)))


NETWORKS = [
    (zoo.spec("shufflenet_v1_0.5x_g3", image_size=64).graph, 0),
    (zoo.spec("shufflenet_v1_0.5x_g3", image_size=64, conventions="mindcv").graph, 1),
    (zoo.spec("shufflenet_v2_0.5x_cifar").graph, 2),
    (zoo.spec("shufflenet_v2_plus_small", image_size=64).graph, 3),
    (zoo.spec("resnet9").graph, 5),
    (clipped(), 0),
    (gated(), 0),
    (joined(), 0),
    (shared(), 0),
    (strided(), 0),
    (flattened(), 0),
]
IDS = [
    "v1", "mindcv", "v2_cifar", "v2_plus", "resnet9", "relu6", "gated", "joined", "shared",
    "strided", "flattened",
]  # fmt: skip


@pytest.fixture(scope="module", params=NETWORKS, ids=IDS)
def case(request):
    graph, seed = request.param
    return make_case(graph, seed=seed, images=None, weights=None, steps=2)


def gaps_of(case):
    gaps = []
    for training in (False, True):
        weights = case.weights[training]
        values = values_of(case.graph, weights, case.images, training)
        gaps += coverage(case.graph, weights, values, training=training).gaps
    torch = backends.load("torch")
    found = [
        torch.gradients(
            case.graph, case.weights[mode], case.images, case.labels, training=mode,
            dtype="float64",
        )[1]
        for mode in (False, True)
    ]  # fmt: skip
    return [*gaps, *gradient_gaps(case.graph, *found)]


def test_nothing_is_hidden(case):
    assert gaps_of(case) == []


def test_nothing_hides_behind_a_saturated_softmax():
    assert gaps_of(make_case(plain(), seed=0, images=None, weights=None, steps=2)) == []


def test_float32_is_as_exact_as_it_can_be(case):
    """Stretching a channel that is next to dead, say, magnifies rounding a hundredfold."""
    for training, limit in ((False, 5e-6), (True, 1e-4)):
        weights = case.weights[training]
        exact = values_of(case.graph, weights, case.images, training)
        found = values_of(case.graph, weights, case.images, training, "float32")
        errors = {name: relative_maximum(found[name], value) for name, value in exact.items()}
        assert max(errors.values()) < limit, max(errors, key=errors.__getitem__)


@pytest.mark.exhaustive
def test_no_channel_sleeps(monkeypatch):
    """Of a GELU's hundreds, some are drawn where it is next to zero for every image."""
    spec = zoo.spec("convnext_atto", image_size=64, stage_repeats=(1, 1, 1, 1))
    assert gaps_of(make_case(spec.graph, seed=0, images=None, weights=None, steps=2)) == []
    monkeypatch.setattr(conditioning, "AWAKE", 0)
    found = gaps_of(make_case(spec.graph, seed=0, images=None, weights=None, steps=2))
    assert {gap.node.rpartition(".")[2] for gap in found} == {"gelu"}


def closest(graph, weights, images, training):
    """Return how near a value comes to a kink, and two to being the largest of a window."""
    values = values_of(graph, weights, images, training)
    near = []
    for node in graph.nodes:
        x = values[node.inputs[0]]
        for kink in node.op.kinks:
            away = np.abs(x - kink)
            # A mean of values that were all clipped is exactly 0, for everyone.
            near.append(away[away > 0].min() / np.abs(x).max())
    same = [
        ties.closest(node.op, values[node.inputs[0]]).min()
        for node in graph.nodes
        if isinstance(node.op, MaxPool2d)
    ]
    return min(near), min(same, default=np.inf)


def test_no_value_hangs_on_rounding(case):
    for training in (False, True):
        kink, tie = closest(case.graph, case.weights[training], case.images, training)
        assert kink > 3e-6
        assert tie > ties.GAP


def test_drawn_weights_do(rng):
    """The negative control: a kink is met within a few roundings, and so is a tie."""
    graph = zoo.spec("shufflenet_v1_0.5x_g3").graph
    images = well_conditioned_images(graph, 2, rng)
    kink, tie = closest(graph, randomize(graph), images, True)
    assert kink < 1e-6
    assert tie < ties.GAP / 4


def test_images_differ_as_a_whole(rng):
    graph = zoo.spec("shufflenet_v1_0.5x_g3", image_size=64).graph
    images = well_conditioned_images(graph, 4, rng)
    assert images.dtype == np.float32
    assert images.shape == (4, 3, 64, 64)
    means, deviations = images.mean((2, 3)), images.std((1, 2, 3))
    assert np.diff(np.sort(means, axis=0), axis=0).min() > 0.01
    assert np.diff(np.sort(deviations)).min() > 0.01


BATCHES = [
    ("shufflenet_v1_0.5x_g3", 224, 2),
    ("shufflenet_v1_0.5x_g3", 64, 4),
    ("shufflenet_v1_0.5x_g3", 32, 8),
    ("shufflenet_v2_plus_small", 224, 8),
    ("vgg11", 224, 8),
]


@pytest.mark.parametrize(("name", "size", "count"), BATCHES)
def test_batches_are_as_large_as_batch_norm_needs(name, size, count):
    assert well_conditioned_batch(zoo.spec(name, image_size=size).graph) == count


ODD = {
    "zeros": lambda x: x * 0,
    "constant": lambda x: x * 0 + 1,
    "the same": lambda x: x[:1].repeat(len(x), 0),
    "one": lambda x: x[:1],
    "none": lambda x: x[:0],
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
@pytest.mark.parametrize("graph", [NETWORKS[3][0], clipped()], ids=["v2_plus", "relu6"])
@pytest.mark.filterwarnings("error")
def test_weights_are_made_for_any_images(rng, graph, change):
    """What they cannot show is told by adequacy; here nothing grows beyond all bounds."""
    images = change(well_conditioned_images(graph, 4, rng))
    weights = well_conditioned_weights(graph, images, 0, training=False)
    assert weights.keys() == graph.parameters.keys()
    for name, array in weights.items():
        assert np.isfinite(array).all(), name
        assert np.abs(array).max() < 1e4, name


def test_weights_are_the_same_again():
    graph = clipped()
    first, second = (
        make_case(graph, seed=3, images=None, weights=None, steps=2).weights for _ in range(2)
    )
    other = make_case(graph, seed=4, images=None, weights=None, steps=2).weights
    for mode in (False, True):
        assert all(np.array_equal(first[mode][n], second[mode][n]) for n in first[mode])
        assert not any(np.array_equal(first[mode][n], other[mode][n]) for n in first[mode])
