"""What a finding is worth: named at the very operator, with its power, never passed for nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

import backends
import zoo
from backends.numpy.operators import apply
from zoo.arch.builder import GraphBuilder
from zoo.proof import kernels
from zoo.proof.candidate import Candidate
from zoo.proof.case import make_case
from zoo.proof.finding import Finding
from zoo.proof.local import magnitude
from zoo.proof.prove import prove
from zoo.proof.references import References
from zoo.proof.report import ParityReport

NODE = "stage3.1.depthwise.conv"
ABOUT = {"model": "m", "spec": {}, "made_with": {}}


class Engine:
    """The NumPy backend in float32 whose forward pass is tampered with, under any name."""

    def __init__(self, tamper, name="backends.numpy"):
        self.__name__, self.tamper, self.numpy = name, tamper, backends.load("numpy")

    def __getattr__(self, name):
        return getattr(self.numpy, name)

    def forward(self, graph, weights, x, **kwargs):
        values, buffers = self.numpy.forward(graph, weights, x, **kwargs)
        return self.tamper(dict(values), graph) or values, buffers


@pytest.fixture(scope="module")
def references():
    graph = zoo.spec("shufflenet_v1_0.5x_g3", image_size=64).graph
    return References(make_case(graph, seed=0, images=None, weights=None, steps=2))


def judged(references, tamper, level="forward"):
    """Return the report on a tampered candidate."""
    liar = Candidate("liar", Engine(tamper), references.case.graph)
    return prove([liar], references, level, **ABOUT)


def replaced(make, node=NODE):
    return lambda values, graph: values | {node: make(values[node])}


def first_channel(factor):
    """Return a tampering with one channel alone."""

    def make(x):
        x = x.copy()
        x[:, 0] *= np.float32(factor)
        return x

    return replaced(make)


MISTAKES = [
    ("a whole value", replaced(lambda x: x * np.float32(1 + 3e-6))),
    ("one channel", first_channel(1 + 3e-6)),
    (
        "one value",
        replaced(
            lambda x: x + 1e-5 * x.max() * (np.arange(x.size).reshape(x.shape) == 7).astype("f4")
        ),
    ),
    ("two channels", replaced(lambda x: x[:, np.r_[1, 0, 2 : x.shape[1]]])),
]


@pytest.mark.parametrize("tamper", [t for _, t in MISTAKES], ids=[name for name, _ in MISTAKES])
def test_a_mistake_is_named_at_its_own_node_however_small(references, tamper):
    report = judged(references, tamper)
    assert report.first_divergence == NODE
    own = report.failures[0]
    assert own.measure == "each operator"
    # The node itself, and its reader, which did not make of this value what it should have.
    reader = next(n.name for n in references.case.graph.nodes if NODE in n.inputs)
    beyond = [n for n, e in own.errors.items() if e > own.admitted[n]]
    assert beyond in ([NODE], [NODE, reader])


def test_what_rounding_alone_makes_is_admitted(references):
    """The negative control: half a unit in the last place is no mistake."""
    report = judged(references, replaced(lambda x: x * np.float32(1 + 6e-8)))
    assert report.passed, str(report)


# Candidates that hand out something else than was asked for: what they are told.
STRANGE = [
    (replaced(lambda x: x.astype(np.float64)), "dtype (=float64) must be float32"),
    (replaced(lambda x: (x * 1000).astype(np.int64)), "dtype (=int64) must be float32"),
    (replaced(lambda x: x[:1]), "shape (=(1, 60, 4, 4)) must be (4, 60, 4, 4)"),
    (replaced(lambda x: x[..., None]), "shape (=(4, 60, 4, 4, 1)) must be (4, 60, 4, 4)"),
    (replaced(lambda x: x * np.float32(np.nan)), "it is not finite"),
    (replaced(lambda x: x + np.float32(np.inf)), "it is not finite"),
    (lambda values, graph: values.pop(NODE) is None or values, "it is missing"),
    (
        lambda values, graph: {name: v[:1] for name, v in values.items()},
        "shape (=(1, 12, 32, 32)) must be (4, 12, 32, 32)",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("tamper", "message"), STRANGE, ids=[text for _, text in STRANGE])
@pytest.mark.parametrize("level", ["forward", "batch_statistics"])
def test_what_can_not_be_compared_is_named_and_never_passes(references, tamper, message, level):
    report = judged(references, tamper, "forward")
    if level == "batch_statistics":
        report = ParityReport(
            level=level,
            findings=tuple(
                f for f in judged(references, tamper, level).findings if f.level == level
            ),
            **ABOUT,
        )
    assert not report.passed
    where = "stem.conv" if "12, 32, 32" in message else NODE
    assert report.summary().endswith(
        f"liar diverges at {where} ({level}, each operator: {message})"
    )


def test_gradients_that_can_not_be_compared_never_pass(references):
    torch = backends.load("torch")

    class Fewer:
        def __getattr__(self, name):
            return getattr(torch, name)

        def gradients(self, *args, **kwargs):
            loss, found = torch.gradients(*args, **kwargs)
            del found["stage2.0.expand.bn.bias"]
            return loss, found

    liar = Candidate("liar", Fewer(), references.case.graph)
    report = prove([liar], references, "gradients", **ABOUT)
    assert report.summary() == (
        "m: liar diverges at stage2.0.expand.bn.bias "
        "(gradients, frozen batch norm, each: it is missing)"
    )


def finding(tolerance=1e-5, error=0.0, **more):
    return Finding("training", "torch", "update, each", error, tolerance, worst="a", **more)


FINDINGS = [
    (finding(), "passed", 1e-5),
    (finding(error=2e-5), "failed", 1e-5),
    (finding(error=float("nan")), "failed", 1e-5),
    (finding(0.11), "uninformative", 0.11),
    (finding(admitted={"a": 1e-5, "b": 3.9}), "uninformative", 3.9),
    (finding(gap="x > 3: 0 of 12 values"), "not proven", 1e-5),
    (finding(0.11, error=0.2, gap="x > 3: 0 of 12 values"), "failed", 0.11),
]


@pytest.mark.parametrize(("found", "status", "power"), FINDINGS)
def test_status_and_power(found, status, power):
    assert (found.status, found.power) == (status, power)
    assert found.passed == (status == "passed")
    report = ParityReport(level="training", findings=(finding(), found), **ABOUT)
    assert report.passed == (status == "passed")
    assert ("agree" in report.summary()) == (status == "passed")
    saved = json.loads(report.to_json())
    assert saved["passed"] == report.passed
    assert saved["findings"][1]["status"] == status


def test_what_admits_a_tenth_says_so():
    report = ParityReport(
        level="training", findings=(finding(admitted={"a": 1e-5, "b": 3.9}),), **ABOUT
    )
    assert report.summary() == (
        "m: not proven: torch, training, update, each: uninformative, b could be off by 390%"
    )
    assert report.first_divergence is None
    assert report.unproven == report.findings


def test_a_reference_that_is_not_finite_is_named():
    graph = zoo.spec("shufflenet_v1_0.5x_g3", image_size=64).graph
    given = zoo.get_weights(zoo.create("shufflenet_v1_0.5x_g3", backend="numpy"))
    given["stage2.1.compress.bn.running_var"][3] = -1.0
    case = make_case(graph, seed=0, images=None, weights=given, steps=2)
    numpy = Candidate("numpy", backends.load("numpy"), graph)
    with pytest.raises(zoo.WeightsError) as error, np.errstate(invalid="ignore"):
        prove([numpy], References(case), "forward", **ABOUT)
    assert str(error.value) == (
        "stage2.1.compress.bn: the float64 reference is not finite in evaluation mode under these "
        "weights and images: there is nothing to compare with"
    )


def test_the_references_own_gradients_are_held_against_the_loss(references, monkeypatch):
    numpy64 = references.gradients(True)
    report = prove(
        [Candidate("torch", backends.load("torch"), references.case.graph)],
        references, "gradients", **ABOUT,
    )  # fmt: skip
    assert report.passed, str(report)
    slope = report.findings[-1]
    assert (slope.backend, slope.measure) == ("reference", "slope of the loss")
    assert slope.error < 1e-6
    assert report.summary() == "m: torch agree, gradients and below"
    # PyTorch's float64 gradients with one array off by a thousandth.
    exact, *floors = numpy64
    name = "stage3.2.expand.bn.weight"
    monkeypatch.setitem(references._gradients, True, (exact | {name: exact[name] * 1.001}, *floors))
    report = prove(
        [Candidate("torch", backends.load("torch"), references.case.graph)],
        references, "gradients", **ABOUT,
    )  # fmt: skip
    assert "reference diverges at batch statistics (gradients, slope of the loss: error " in str(
        report.failures[-1].told()
    )


@pytest.mark.parametrize(
    ("errors", "counts"),
    [([1e-7], 1e-7), ([5e-5, 1e-9, 2e-9], 2e-9), ([5e-5, 3e-5, 1e-9], 3e-5)],
    ids=["no kink", "a kink along one direction", "wrong along most"],
)
def test_a_step_across_a_kink_is_no_wrong_gradient(references, monkeypatch, errors, counts):
    left = list(errors)
    monkeypatch.setattr(References, "_slope_error", lambda *_: left.pop(0))
    assert references.slope_error(training=False) == counts
    assert not left


@pytest.fixture(scope="module")
def gated():
    """A chain of twenty gated convolutions, as in EfficientNet: 20 sigmoids one after the other."""
    g = GraphBuilder(3, 16)
    x = g.conv_bn(g.input, 12, kernel_size=3)
    for i in range(20):
        with g.scope(f"unit{i}"):
            y = g.conv_bn(x, 12)
            x = g.mul(y, g.sigmoid(y))
    with g.scope("head"):
        x = g.linear(g.flatten(g.global_avg_pool(x)), 10, bias=True, name="linear")
    return References(make_case(g.build(x), seed=0, images=None, weights=None, steps=2))


def approximate(error):
    """Return a tampering that makes every sigmoid as coarse as a kernel with an approximation."""

    def tamper(values, graph):
        # The network again, node by node, so that what follows reads the coarse values.
        state, found = {"input": tamper.images}, {}
        rng = np.random.default_rng(0)
        for node in graph.nodes:
            held = {role: tamper.weights[f"{node.name}.{role}"] for role in node.op.parameters()}
            value = apply(node.op, [state[name] for name in node.inputs], held, False)
            if type(node.op).__name__ == "Sigmoid":
                value = value * (1 + error * rng.uniform(0.3, 1, value.shape))
            found[node.name] = state[node.name] = value.astype(np.float32)
        return found

    return tamper


@pytest.mark.parametrize(
    ("engine", "error", "status"),
    [
        ("backends.mindspore", 3.1e-6, "passed"),  # a coarse kernel, and known to be
        ("backends.mindspore", 2e-5, "failed"),
        ("backends.torch", 3.1e-6, "failed"),  # whose sigmoid is exact
        ("backends.torch", 1e-7, "passed"),
    ],
)
def test_a_coarse_kernel_has_the_bound_that_it_earns(gated, engine, error, status):
    tamper = approximate(error)
    tamper.images, tamper.weights = gated.case.images, gated.case.weights[False]
    liar = Candidate("liar", Engine(tamper, engine), gated.case.graph)
    report = prove([liar], gated, "forward", **ABOUT)
    assert report.passed == (status == "passed"), str(report)
    every = next(f for f in report.findings if f.measure == "every node")
    if (error, status) == (3.1e-6, "passed"):
        assert 5e-6 < every.error <= every.tolerance < 1e-3
    elif status == "passed":
        assert every.power == 5e-6
    else:
        assert report.first_divergence == "unit0.sigmoid"


@pytest.fixture(scope="module")
def cancelling():
    """Channels that are nearly the same, and a convolution that is left with their difference."""
    g = GraphBuilder(3, 16)
    x = g.conv(g.input, 12, kernel_size=3, bias=True, name="alike")
    x = g.conv(x, 6, kernel_size=1, name="difference")
    graph = g.build(g.linear(g.flatten(g.global_avg_pool(x)), 10, bias=True, name="linear"))
    drawn = np.random.default_rng(0)
    weights = {n: drawn.standard_normal(p.shape, "f4") for n, p in graph.parameters.items()}
    weights["alike.bias"] += 3000
    weights["difference.weight"][:, 6:] = -weights["difference.weight"][:, :6]
    return References(make_case(graph, seed=0, images=None, weights=weights, steps=2))


def test_what_kernels_lose_is_admitted_where_it_adds_up_and_no_mistake_is(cancelling):
    report = judged(cancelling, lambda values, graph: values)
    every = next(f for f in report.findings if f.measure == "every node")
    assert not report.failures
    assert 5e-6 < every.error <= every.tolerance < 1e-2
    tampered = replaced(lambda x: x * np.float32(1.01), "difference")
    assert judged(cancelling, tampered).first_divergence == "difference"
    # A candidate that hands out the last node alone: no operator is seen by itself.
    for factor, failed in ((1, False), (1.01, True)):
        liar = Ends("liar", Engine(replaced(lambda x, f=factor: x * np.float32(f), "linear")),
                    cancelling.case.graph)  # fmt: skip
        report = prove([liar], cancelling, "forward", **ABOUT)
        assert bool(report.failures) == failed, str(report)


def test_kernels_coarser_than_the_floors_are_admitted_what_they_add_up_to_in_training(cancelling):
    """The floor is what PyTorch's kernels lose; others may lose up to sixteen roundings."""

    def coarse(roundings, node):
        def tamper(values, graph):
            # The network again, so that what follows reads the coarse values.
            found, state = {}, {"input": cancelling.case.images.astype(np.float64)}
            rng = np.random.default_rng(1)
            for each in graph.nodes:
                held = {
                    role: cancelling.case.weights[True][f"{each.name}.{role}"].astype(np.float64)
                    for role in each.op.parameters()
                }
                inputs = [state[name] for name in each.inputs]
                value = apply(each.op, inputs, held, True)
                if each.name == node:
                    unit = magnitude(each.op, inputs, held, value, True)
                    value += roundings * 2.0**-24 * unit * rng.choice((-1, 1), value.shape)
                found[each.name] = state[each.name] = value.astype(np.float32)
            return found

        return tamper

    def every(report):
        (found,) = (f for f in report.findings if f.level == "batch_statistics"
                    and f.measure == "every node")  # fmt: skip
        return found

    honest = every(judged(cancelling, coarse(12, "alike"), "batch_statistics"))
    assert honest.status != "failed"
    assert 2 * honest.floor < honest.error <= honest.tolerance < 1e-1
    # What no kernel loses is named at its node, and admitted nowhere behind it.
    report = judged(cancelling, coarse(50, "alike"), "batch_statistics")
    assert report.first_divergence == "alike"
    assert every(report).status == "failed"
    floor = cancelling.forward_floor[0]["difference"]
    assert every(report).admitted["difference"] <= max(5e-6, 2 * floor)


class Ends(Candidate):
    """Hands out the end alone."""

    def visible(self, case):
        return {"linear"}

    def forward(self, case, **kwargs):
        values, buffers = super().forward(case, **kwargs)
        return {"linear": values["linear"]}, buffers


def test_no_kernel_is_admitted_what_looks_like_a_fault():
    coarse = {**kernels.COARSE, **kernels.COARSE_IN_TRAINING}
    assert all(0 < error <= kernels.COARSEST for error in coarse.values())
    assert kernels.ordinary() < 1e-6


@pytest.mark.exhaustive
def test_dropout_is_looked_at_by_itself_and_left_out_beyond():
    network = {"dropout": 0.2, "num_classes": 10}
    name = "shufflenet_v2_0.5x_cifar"
    report = zoo.parity(name, backends=["torch"], level="gradients", **network)
    assert report.passed, str(report)
    assert report.made_with["dropout"] == "by itself; beyond it, and from gradients on, with p = 0"
    by_level = {(f.level, f.measure): f for f in report.findings}
    assert "dropout" in by_level["batch_statistics", "each operator"].errors
    assert "dropout" not in by_level["batch_statistics", "every node"].errors
    graph = zoo.spec(name, **network).graph
    dropout = next(n.name for n in graph.nodes if "dropout" in n.name)
    references = References(make_case(graph, seed=0, images=None, weights=None, steps=2))
    torch = backends.load("torch")

    def lying(change):
        class Lying:
            def __getattr__(self, attribute):
                return getattr(torch, attribute)

            def forward(self, *args, **kwargs):
                values, buffers = torch.forward(*args, **kwargs)
                if kwargs["training"]:
                    values[dropout] = change(values[dropout])
                return values, buffers

        candidate = Candidate("liar", Lying(), graph)
        return prove([candidate], references, "batch_statistics", **ABOUT)

    assert lying(lambda x: x).passed
    for change in (lambda x: x * np.float32(0.8), lambda x: x * np.float32(0), np.negative):
        assert lying(change).first_divergence == dropout


def test_the_last_node_of_a_network_without_classifier_is_judged_by_itself():
    graph = zoo.spec("shufflenet_v1_0.5x_g3_cifar", num_classes=0).graph
    work = References(make_case(graph, seed=0, images=None, weights=None, steps=2))
    last = graph.outputs[0]
    report = judged(work, replaced(lambda x: x * np.float32(1 + 3e-6), last))
    assert report.first_divergence == last  # from the image on, 5e-6 are admitted
