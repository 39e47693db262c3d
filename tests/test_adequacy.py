"""Adequacy: what the work of a proof could not have shown is named, and nothing else is."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

import backends
import zoo
from weights import initialize
from zoo.arch import INPUT, Graph
from zoo.arch.builder import GraphBuilder
from zoo.arch.operators import AdaptiveAvgPool2d, AvgPool2d, Upsample
from zoo.proof.adequacy import coverage, gradient_gaps
from zoo.proof.case import make_case

SIZE = 12


def network() -> Graph:
    """A little of everything: a filter whose taps see other pixels, two kinks, a pool, a sum."""
    g = GraphBuilder(3, SIZE)
    with g.scope("stem"):
        x = g.hard_swish(g.conv_bn(g.input, 8, kernel_size=3, stride=2))
        x = g.max_pool(x, kernel_size=2, stride=2, padding=(0, 0, 0, 0))
    with g.scope("unit"):
        y = g.relu(g.conv_bn(x, 8, kernel_size=3, groups=8))
        with g.scope("expand"):
            y = g.conv_bn(y, 8, bias=True)
        x = g.add(x, y)
    return g.build(g.linear(g.flatten(g.global_avg_pool(x)), 5, bias=True, name="classifier"))


@pytest.fixture(scope="module")
def case():
    return make_case(network(), seed=0, images=None, weights=None, steps=2)


def told(case, weights, images, training):
    """Return the coverage of what the float64 reference computes."""
    values, _ = backends.load("numpy").forward(
        case.graph, weights, images, training=training, dtype="float64"
    )
    return coverage(case.graph, weights, {INPUT: images, **values}, training=training)


def gradients(case, weights, images):
    torch = backends.load("torch")
    return [
        torch.gradients(
            case.graph, weights[mode], images, case.labels, training=mode, dtype="float64"
        )[1]
        for mode in (False, True)
    ]


@pytest.mark.parametrize("training", [False, True])
def test_well_conditioned_work_shows_all(case, training):
    found = told(case, case.weights[training], case.images, training)
    assert found.gaps == ()
    assert list(found.shares) == ["stem.hard_swish", "unit.relu"]
    for node, regions in (("stem.hard_swish", 3), ("unit.relu", 2)):
        assert len(found.shares[node]) == regions
        assert sum(found.shares[node].values()) == pytest.approx(1)
        assert min(found.shares[node].values()) > 0


def test_all_parameters_have_gradients(case):
    frozen, batch = gradients(case, case.weights, case.images)
    # The shift of a convolution before a batch norm has none with the statistics of the batch, nor
    # is it asked for; with frozen ones it has.
    assert np.abs(batch["unit.expand.conv.bias"]).max() < 1e-12
    assert np.abs(frozen["unit.expand.conv.bias"]).max() > 1e-4
    assert gradient_gaps(case.graph, frozen, batch) == ()


def scaled(name, factor, index=slice(None)):
    def change(weights, images):
        weights[name][index] *= np.float32(factor)

    return change


def copied(name, to, source):
    def change(weights, images):
        weights[name][to] = weights[name][source]

    return change


def filled(name, value):
    def change(weights, images):
        weights[name][:] = value

    return change


def small_scale(weights, images):
    weights["stem.bn.weight"] *= np.float32(0.05)
    weights["stem.bn.bias"] *= np.float32(0.05)


def odd_columns_of_zeros(weights, images):
    images[:, :, :, 1::2] = 0


def statistics_of_the_batch(weights, images):
    values, _ = backends.load("numpy").forward(
        network(), weights, images, training=True, dtype="float64"
    )
    weights["stem.bn.running_mean"][:] = values["stem.conv"].mean((0, 2, 3))
    weights["stem.bn.running_var"][:] = values["stem.conv"].var((0, 2, 3))


def constant_images(weights, images):
    images[:] = np.linspace(1, 2, len(images))[:, None, None, None]
    images *= np.array([1, 2, 3])[:, None, None]


def zeros(weights, images):
    images[:] = 0


def gray(weights, images):
    images[:, 1:] = images[:, :1]


def one_image_twice(weights, images):
    images[1] = images[0]


# What is changed, the mode, and a gap that is told.
GAPS = [
    (small_scale, False, "stem.hard_swish (evaluation): x > 3: 0 of "),
    (small_scale, True, "stem.hard_swish (training): x < -3: 0 of "),
    (scaled("unit.bn.bias", 0, ...), False, "unit.bn (evaluation): bias is 0 in every place"),
    (odd_columns_of_zeros, False,
     "stem.conv (evaluation): tap (0, 0) sees nothing, or one and the same, in 3 of 3 channels "
     "(0, 1, 2)"),
    (scaled("stem.conv.weight", 0, 2), False,
     "stem.conv (evaluation): 1 of 8 channels (2) vary by less than 0.0001 of the largest value"),
    (scaled("unit.conv.weight", 1e-7, 5), True,
     "unit.conv (training): 1 of 8 channels (5) vary by less than 0.0001 of the largest value"),
    (copied("stem.conv.weight", 3, 1), True,
     "stem.conv (training): 1 of 8 channels (3) are the same as another"),
    (statistics_of_the_batch, False,
     "stem.bn (evaluation): running_mean is that of the batch, or next to it, in all channels: "
     "which is read does not show"),
    (statistics_of_the_batch, True,
     "stem.bn (training): running_var is that of the batch, or next to it, in all channels: "
     "which is read does not show"),
    (filled("stem.bn.running_mean", 0), False,
     "stem.bn (evaluation): running_mean is 0, or next to it, in all channels: "
     "which is read does not show"),
    (filled("stem.bn.running_var", 1), False,
     "stem.bn (evaluation): running_var is 1, or next to it, in all channels: "
     "which is read does not show"),
    (filled("unit.bn.weight", 1), True, "unit.bn (training): weight is 1 in every place"),
    (constant_images, False,
     "input (evaluation): 2 of 2 images are constant (0, 1): where each pixel goes does not show"),
    (zeros, True, "input (training): images are the same (0 and 1): "
     "which is which does not show"),
    (zeros, False, "input (evaluation): 3 of 3 channels (0, 1, 2) vary by less than 0.0001 of the "
     "largest value"),
    (gray, False, "input (evaluation): 2 of 3 channels (1, 2) are the same as another"),
    (one_image_twice, False, "input (evaluation): images are the same (0 and 1): "
     "which is which does not show"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "training", "message"), GAPS)
def test_what_is_hidden_is_named(case, change, training, message):
    weights = {name: array.copy() for name, array in case.weights[training].items()}
    images = case.images.copy()
    change(weights, images)
    gaps = [str(gap) for gap in told(case, weights, images, training).gaps]
    assert any(gap.startswith(message) for gap in gaps), gaps


def test_a_summand_that_could_be_left_out_is_named(case):
    weights = dict(case.weights[False])
    for role in ("weight", "bias", "running_mean"):
        name = f"unit.expand.bn.{role}"
        weights[name] = weights[name] * np.float32(1e-6)
    weights["unit.expand.conv.weight"] = weights["unit.expand.conv.weight"] * np.float32(1e-3)
    gaps = [str(gap) for gap in told(case, weights, case.images, False).gaps]
    assert (
        "unit.add (evaluation): what unit.expand.bn adds is next to nothing: it could be left out"
    ) in gaps, gaps


def dead_before_the_relu(weights):
    weights["unit.bn.bias"][4] = -100


NO_GRADIENT = [
    (lambda w: w["classifier.weight"].__setitem__((slice(None), 3), 0),
     "unit.expand.bn (evaluation): weight: no gradient reaches 1 of 8 channels (3)"),
    (lambda w: w["classifier.weight"].fill(0),
     "unit.expand.conv (evaluation): weight: no gradient reaches it"),
    (dead_before_the_relu,
     "unit.conv (training): weight: no gradient reaches 1 of 8 output channels (4)"),
    (dead_before_the_relu,
     "unit.expand.conv (evaluation): weight: no gradient reaches 1 of 8 input channels (4)"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), NO_GRADIENT)
def test_parameters_that_no_gradient_reaches_are_named(case, change, message):
    weights = {
        mode: {name: array.copy() for name, array in found.items()}
        for mode, found in case.weights.items()
    }
    for found in weights.values():
        change(found)
    gaps = [str(gap) for gap in gradient_gaps(case.graph, *gradients(case, weights, case.images))]
    assert message in gaps, gaps


@pytest.mark.parametrize("draws", [False, True])
def test_the_shift_of_a_branch_that_may_be_dropped_meets_a_batch_norm(draws):
    """It has no gradient where nothing is dropped, nor is it asked for."""
    g = GraphBuilder(3, SIZE)
    with g.scope("stem"):
        x = g.conv_bn(g.input, 8, kernel_size=3, stride=2)
    with g.scope("branch"):
        y = g.relu(g.conv_bn(x, 8, kernel_size=3))
        with g.scope("project"):
            y = g.stochastic_depth(g.conv_bn(y, 8), 0.2)
    with g.scope("next"):
        x = g.relu(g.conv_bn(g.add(x, y), 12))
    graph = g.build(g.linear(g.flatten(g.global_avg_pool(x)), 5, bias=True, name="classifier"))
    case = make_case(graph, seed=0, images=None, weights=None, steps=2)
    found = gradients(dataclasses.replace(case, graph=case.settled), case.weights, case.images)
    assert np.abs(found[1]["branch.project.bn.bias"]).max() < 1e-12
    gaps = [str(gap) for gap in gradient_gaps(case.graph if draws else case.settled, *found)]
    missing = "branch.project.bn (training): bias: no gradient reaches it"
    assert gaps == ([missing] if draws else [])


def avg_pool(g, x, border=0, counted=True):
    pool = AvgPool2d(
        kernel_size=(2, 2), stride=(2, 2), padding=(border,) * 4, ceil_mode=False,
        count_include_pad=counted,
    )  # fmt: skip
    return g.add_node("pool", lambda: pool, x)


LARGER = Upsample(size=None, scale_factor=(2, 2), mode="bilinear", align_corners=False)
POOLS = {
    "mean": (avg_pool, False),
    "mean of a border that counts": (lambda g, x: avg_pool(g, x, 1), True),
    "mean of a border that does not": (lambda g, x: avg_pool(g, x, 1, False), False),
    "maximum": (lambda g, x: g.max_pool(x, kernel_size=3, stride=1, padding=(1, 1, 1, 1)), False),
    "mean to a size": (
        lambda g, x: g.add_node("pool", lambda: AdaptiveAvgPool2d(output_size=(4, 4)), x), False,
    ),
    "larger": (lambda g, x: g.add_node("pool", lambda: LARGER, x), False),
}  # fmt: skip


@pytest.mark.parametrize("name", POOLS)
def test_the_shift_of_what_is_pooled_meets_a_batch_norm(name):
    make, reaches = POOLS[name]
    g = GraphBuilder(3, SIZE)
    with g.scope("stem"):
        x = make(g, g.conv_bn(g.input, 8, kernel_size=3, stride=2))
    with g.scope("next"):
        x = g.relu(g.conv_bn(x, 12))
    graph = g.build(g.linear(g.flatten(g.global_avg_pool(x)), 5, bias=True, name="classifier"))
    case = make_case(graph, seed=0, images=None, weights=None, steps=2)
    found = gradients(case, case.weights, case.images)
    assert (np.abs(found[1]["stem.bn.bias"]).max() > 1e-6) == reaches
    assert gradient_gaps(case.graph, *found) == ()


def test_what_geometry_alone_hides_is_no_gap():
    """Taps in the padding, negative values behind a ReLU: no image could show them."""
    g = GraphBuilder(3, 2)
    x = g.relu(g.conv_bn(g.input, 6, kernel_size=5, stride=2))
    x = g.relu(g.global_avg_pool(x), name="again")
    graph = g.build(g.linear(g.flatten(x), 5, bias=True, name="classifier"))
    case = make_case(graph, seed=0, images=None, weights=None, steps=2)
    gaps = told(case, case.weights[False], case.images, False)
    assert gaps.gaps == ()
    assert gaps.shares["again"]["x < 0"] == 0


def test_an_offset_that_never_holds_the_maximum_is_named(rng):
    g = GraphBuilder(3, 8)
    x = g.max_pool(g.input, kernel_size=2, stride=2, padding=(0, 0, 0, 0))
    graph = g.build(g.linear(g.flatten(x), 5, bias=True, name="classifier"))
    images = rng.standard_normal((2, 3, 8, 8))
    darker = images - 100 * (np.arange(8) % 2)
    case = make_case(graph, seed=0, images=None, weights=None, steps=2)
    assert told(case, case.weights[False], images, False).gaps == ()
    gaps = [str(gap) for gap in told(case, case.weights[False], darker, False).gaps]
    assert gaps == [
        f"pool (evaluation): offset {offset} holds the maximum of 0 of 96 windows"
        for offset in ((0, 1), (1, 1))
    ]


def test_too_few_values_for_statistics_are_named(rng):
    graph = zoo.spec("shufflenet_v1_0.5x_g3", image_size=32).graph
    images = rng.standard_normal((2, 3, 32, 32)).astype(np.float32)
    case = make_case(graph, seed=0, images=images, weights=None, steps=2)
    gaps = [str(gap) for gap in told(case, case.weights[True], images, True).gaps]
    assert "stage4.3.expand.bn (training): 2 values a channel, at least 8 are needed" in gaps


def test_initial_weights_hide_what_they_are_known_to_hide(case):
    weights = initialize(case.graph)
    gaps = told(case, weights, case.images, False).gaps
    assert {"parameter", "statistics"} <= {gap.what for gap in gaps}
    assert "stem.bn (evaluation): bias is 0 in every place" in map(str, gaps)


def test_weights_that_do_not_reach_leave_gaps():
    """The negative control of the conditioning: without its reach, as weights were drawn before."""
    from zoo.proof.conditioning import well_conditioned_weights

    graph = zoo.spec("shufflenet_v2_plus_small", image_size=64).graph
    case = make_case(graph, seed=0, images=None, weights=None, steps=2, modes=(False,))
    assert told(case, case.weights[False], case.images, False).gaps == ()
    before = well_conditioned_weights(graph, case.images, 0, training=False, reach=False)
    gaps = [gap for gap in told(case, before, case.images, False).gaps if gap.what == "region"]
    hidden = Counter(gap.detail.split(":")[0] for gap in gaps)
    sigmoids = [node for node in graph.nodes if node.name.endswith("hard_sigmoid")]
    assert hidden["x > 3"] > len(sigmoids)
    assert {gap.node for gap in gaps} >= {node.name for node in sigmoids}
