"""Parity of every network on every backend, and sabotage that each level must catch and name."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from catalog_rows import EACH_FAMILY, EACH_KIND, SHORT, SMALL, small
from conftest import BACKENDS, FRAMEWORKS

import backends
import zoo
from zoo.arch import Graph, Node
from zoo.arch.operators import BatchNorm2d, ChannelShuffle, MaxPool2d
from zoo.families.registry import FAMILIES
from zoo.passes import split_group_conv
from zoo.proof import tolerances
from zoo.proof.candidate import Candidate
from zoo.proof.case import make_case
from zoo.proof.levels import References
from zoo.proof.prove import prove

V1 = "shufflenet_v1_0.5x_g3_cifar"


def all_but_coarse(name, gated):
    """Return a network's backends: run-times add up maps that gates read with larger errors."""
    return FRAMEWORKS if name.startswith(gated) else BACKENDS


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", sorted({*EACH_KIND} - {*SHORT}))
def test_forward_of_a_network_of_each_kind(name):
    names = all_but_coarse(name, ("efficientnet_b", "mobilenet_v3"))
    report = zoo.parity(small(name), backends=names, level="forward")
    assert report.passed, str(report)
    rows = [f for f in report.findings if (f.level, f.measure) == ("forward", "every node")]
    assert [f.backend for f in rows] == list(names)
    # Means of maps that hardly vary, which V3's gates read, multiply what float32 loses.
    assert name.startswith("mobilenet_v3") or all(f.tolerance == 5e-6 for f in rows)
    assert all(len(f.errors) == len(zoo.spec(name).graph.nodes) for f in rows)


@pytest.mark.sweep(quick=[*(f"{name}-some" for name in EACH_FAMILY.values()), "resnet9-all"])
@pytest.mark.parametrize("names", [("numpy", "torch", "onnx"), BACKENDS], ids=["some", "all"])
@pytest.mark.parametrize("name", SHORT)
def test_forward_of_a_short_network_of_each_kind(name, names):
    admitted = all_but_coarse(name, "mobilenet_v3")
    names = [backend for backend in names if backend in admitted]
    report = zoo.parity(name, backends=names, level="forward", **SHORT[name])
    assert report.passed, str(report)


@pytest.mark.exhaustive
@pytest.mark.parametrize("preset", ["mindcv", "paper", "mindspore_tutorial", "kuangliu"])
@pytest.mark.parametrize("form", ["native", "split"])
def test_forward_of_every_preset(preset, form):
    report = zoo.parity(
        "shufflenet_v1_0.5x_g3",
        backends=FRAMEWORKS, conventions=preset, group_conv=form, image_size=48,
    )  # fmt: skip
    assert report.passed, str(report)


def test_each_family_has_a_network_that_is_proven_at_every_level():
    assert {*EACH_FAMILY} == {*FAMILIES} - {"graph"}


@pytest.mark.sweep(quick=["short-shufflenet_v1"])
@pytest.mark.parametrize(
    ("name", "form", "options"),
    [
        *(
            pytest.param(name, "native", SHORT[name], id=f"short-{family}")
            for family, name in EACH_FAMILY.items()
        ),
        pytest.param(V1, "split", SHORT[V1], id="short-split"),
        pytest.param("shufflenet_v1_0.5x_g3", "native", SMALL, id="whole"),
    ],
)
def test_every_level(name, form, options):
    report = zoo.parity(name, backends=FRAMEWORKS, level="training", group_conv=form, **options)
    assert report.passed, str(report)
    measures = {(f.level, f.measure): f for f in report.findings if f.backend.startswith("mind")}
    frozen = measures["gradients", "frozen batch norm"]
    # V3's gates multiply what float32 itself loses.
    assert frozen.tolerance == 1e-5 or name.startswith("mobilenet_v3")
    assert measures["training", "loss of each step"].tolerance == 1e-5
    for f in measures.values():
        if f.floor is not None:
            assert 0 < f.floor < 0.5


# Sabotage: a network with one mistake takes the place of the candidate's.


def change(graph: Graph, wanted, make) -> Graph:
    """Replace the operator of the first node for which ``wanted`` holds."""
    nodes = list(graph.nodes)
    i = next(i for i, node in enumerate(nodes) if wanted(node))
    nodes[i] = Node(nodes[i].name, make(nodes[i].op), nodes[i].inputs)
    return replace(graph, nodes=tuple(nodes))


def wrong_shuffle(graph):
    return change(
        graph,
        lambda n: isinstance(n.op, ChannelShuffle) and n.name.startswith("stage3"),
        lambda op: replace(op, order="gn" if op.order == "ng" else "ng"),
    )


def wrong_padding(graph):
    return change(
        graph, lambda n: isinstance(n.op, MaxPool2d), lambda op: replace(op, padding="SAME_UPPER")
    )


def wrong_eps(graph):
    return change(graph, lambda n: n.name == "stage2.1.expand.bn", lambda op: replace(op, eps=1e-3))


def wrong_momentum(graph):
    return change(
        graph, lambda n: n.name == "stage2.1.expand.bn", lambda op: replace(op, momentum=0.9)
    )


class Sabotaged:
    """A backend that makes one mistake; everything else is the real one's."""

    def __init__(self, engine, **methods):
        self.engine, self.methods = engine, methods

    def __getattr__(self, name):
        return self.methods.get(name) or getattr(self.engine, name)


def swapped_gamma_and_beta(engine, layer="stage3.2.compress.bn"):
    def forward(graph, weights, x, **kwargs):
        weights = dict(weights)
        a, b = f"{layer}.weight", f"{layer}.bias"
        weights[a], weights[b] = weights[b], weights[a]
        return engine.forward(graph, weights, x, **kwargs)

    return Sabotaged(engine, forward=forward)


def scaled_gradient(engine):
    def gradients(*args, **kwargs):
        loss, found = engine.gradients(*args, **kwargs)
        found["stage3.2.depthwise.conv.weight"] = found["stage3.2.depthwise.conv.weight"] * 1.001
        return loss, found

    return Sabotaged(engine, gradients=gradients)


SABOTAGE = [
    ("wrong shuffle order", "forward", "stage3.0.shuffle", wrong_shuffle, None),
    ("SAME_UPPER for symmetric padding", "forward", "stem.pool", wrong_padding, None),
    ("another eps", "forward", "stage2.1.expand.bn", wrong_eps, None),
    ("swapped gamma and beta", "forward", "stage3.2.compress.bn", None, swapped_gamma_and_beta),
    ("running statistics with 1 - momentum", "batch_statistics",
     "stage2.1.expand.bn.running_mean", wrong_momentum, None),
    ("one gradient off by a thousandth", "gradients",
     "stage3.2.depthwise.conv.weight", None, scaled_gradient),
]  # fmt: skip


@pytest.fixture(scope="module")
def references():
    spec = zoo.spec("shufflenet_v1_0.5x_g3", image_size=48)
    case = make_case(spec.graph, seed=0, images=None, weights=None)
    return References(case)


@pytest.mark.parametrize(
    ("level", "where", "network", "engine"),
    [row[1:] for row in SABOTAGE],
    ids=[row[0] for row in SABOTAGE],
)
def test_sabotage_is_caught_and_named(references, level, where, network, engine):
    graph, torch = references.case.graph, backends.load("torch")
    honest = Candidate("honest", torch, graph)
    liar = Candidate(
        "liar", engine(torch) if engine else torch, network(graph) if network else graph
    )
    about = {"model": "m", "spec": {}, "made_with": {}}
    report = prove([honest, liar], references, level, **about)
    assert {f.backend for f in report.failures} == {"liar"}
    assert {f.level for f in report.failures} == {level}
    assert re.fullmatch(where, report.first_divergence)
    assert f"liar diverges at {report.first_divergence} ({level}, " in report.summary()


def test_sabotage_of_the_structure_is_caught(references):
    other = zoo.spec("shufflenet_v1_0.5x_g3", image_size=48, classifier_bias=True).graph

    class Larger(Candidate):
        def parameters(self, weights):
            bias = {"classifier.bias": np.ones(1000, np.float32)}
            return super().parameters(weights | bias)

    liar = Larger("liar", backends.load("numpy"), other)
    report = prove([liar], references, "structure", model="m", spec={}, made_with={})
    assert report.first_divergence == "classifier.bias"


def test_nan_and_missing_shapes_never_pass(references):
    numpy = backends.load("numpy")

    def forward(graph, weights, x, **kwargs):
        values, buffers = numpy.forward(graph, weights, x, **kwargs)
        values["stage2.2.add"] = values["stage2.2.add"] * np.nan
        return values, buffers

    liar = Candidate("liar", Sabotaged(numpy, forward=forward), references.case.graph)
    report = prove([liar], references, "forward", model="m", spec={}, made_with={})
    assert report.first_divergence == "stage2.2.add"
    assert json.loads(report.to_json())["passed"] is False


def test_a_split_candidate_is_compared_under_canonical_names(references):
    split = Candidate("split", backends.load("torch"), references.case.graph, split_group_conv)
    report = prove([split], references, "training", model="m", spec={}, made_with={})
    assert report.passed, str(report)
    graph = references.case.graph
    each = next(f for f in report.findings if f.measure == "frozen batch norm, each")
    assert set(each.errors) == {n for n, p in graph.parameters.items() if p.trainable}


def test_well_conditioned_weights_tell(references):
    """No array is constant, and no ReLU sees a value that float32 could get the wrong sign of."""
    case = references.case
    for training in (False, True):
        assert all(a.std() > 0 for a in case.weights[training].values())
        values, _ = backends.load("numpy").forward(
            case.graph, case.weights[training], case.images, training=training, dtype="float64"
        )
        closest = min(
            np.abs(values[node.inputs[0]]).min() / np.abs(values[node.inputs[0]]).max()
            for node in case.graph.nodes
            if node.name.endswith("relu")
        )
        assert closest > 1e-6
    norms = [n for n in case.graph.nodes if isinstance(n.op, BatchNorm2d)]
    assert len(norms) == 49


def test_report_files(tmp_path):
    engines = ["numpy", "onnx"]
    report = zoo.parity("shufflenet_v1_0.5x_g3", backends=engines, level="forward", **SMALL)
    report.save(tmp_path / "report.json")
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved["passed"] is True
    assert saved["spec"]["sha256"] == zoo.spec("shufflenet_v1_0.5x_g3", **SMALL).sha256
    every = next(row for row in saved["findings"] if row["measure"] == "every node")
    assert every["errors"]["stem.conv"] < 5e-6
    assert (every["status"], every["power"]) == ("passed", 5e-6)
    assert saved["made_with"]["numpy"] == np.__version__
    assert saved["made_with"]["backends"]["onnx"]["version"] == onnxruntime.__version__
    assert saved["made_with"]["backends"]["onnx"]["onnx"] == onnx.__version__
    report.plot(tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_progress_is_told():
    told = []
    zoo.parity(
        "shufflenet_v1_0.5x_g3", backends=["numpy"], level="forward",
        progress=lambda *step: told.append(step), **SMALL,
    )  # fmt: skip
    assert told == [("structure: numpy", 0, 2), ("forward: numpy", 1, 2), ("done", 2, 2)]


G3 = "shufflenet_v1_0.5x_g3"
REQUESTS = [
    (dict(level="fwd"), zoo.UnknownNameError, "unknown level 'fwd'; did you mean 'forward'?"),
    (dict(backends=["torch", "jax"]), zoo.UnknownNameError, "unknown backend 'jax'; known: "),
    (dict(backends=[]), zoo.UnknownNameError, "backends must name at least one backend"),
    (dict(backends=["numpy"], level="gradients"), zoo.UnknownNameError,
     "backend 'numpy' does no level 'gradients'; it does structure, forward, batch_statistics"),
    (dict(group_conv="s"), zoo.UnknownNameError, "unknown group_conv 's'; known: native, split"),
    (dict(images=np.ones((2, 1, 64, 64))), zoo.InputError, "input: channels (=1) must be 3"),
    (dict(images=np.ones((1, 3, 64, 64))), zoo.InputError, "images: N (=1) must be at least 2"),
    (dict(weights={}, **SMALL), zoo.WeightsError, "the weights do not fit the network:\n  246 "),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "kind", "message"), REQUESTS)
def test_bad_requests(request_, kind, message):
    with pytest.raises(kind) as error:
        zoo.parity(G3, **request_)
    assert str(error.value).startswith(message)


def test_weights_of_the_user_are_used_and_told_what_they_can_not_show(tmp_path):
    model = zoo.create(G3, backend="numpy", seed=11)
    zoo.save(model, tmp_path / "mine.safetensors")
    reports = [
        zoo.parity(G3, backends=["numpy", "torch"], weights=given, **SMALL)
        for given in (zoo.get_weights(model), tmp_path / "mine.safetensors")
    ]
    for report in reports:
        assert not report.failures, str(report)
        assert not report.passed
        assert report.summary() == (
            "shufflenet_v1_0.5x_g3 (image_size=64): not proven: numpy, forward, each operator: "
            "stem.bn (evaluation): weight is 0.365148 in every place "
            f"(and {len(report.gaps) - 1} more)"
        )
    assert reports[0].gaps == reports[1].gaps
    errors = [[f.error for f in report.findings] for report in reports]
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    ("images", "gap"),
    [
        (np.zeros((2, 3, 64, 64)), "input (evaluation): 2 of 2 images are constant (0, 1)"),
        (np.ones((2, 3, 64, 64)), "input (evaluation): 2 of 2 images are constant (0, 1)"),
        (
            np.random.default_rng(0).standard_normal((1, 3, 64, 64)).repeat(2, 0),
            "input (evaluation): images are the same (0 and 1)",
        ),
    ],
    ids=["zeros", "ones", "one image twice"],
)
def test_images_that_show_nothing_prove_nothing(images, gap):
    report = zoo.parity(G3, backends=["numpy"], images=images, **SMALL)
    assert not report.failures
    assert any(told.startswith(gap) for told in report.gaps), report.gaps[:5]
    assert ": not proven: " in report.summary()
    assert "agree" not in report.summary()


def test_tolerances_are_those_of_the_docs():
    assert tolerances.FORWARD.admits() == 5e-6
    assert tolerances.FROZEN_GRADIENT.admits(floor=5e-6) == 1e-5
    assert tolerances.FROZEN_GRADIENT.admits(floor=1e-3) == 2e-3
    assert tolerances.BATCH_GRADIENT.admits(floor=1e-3) == 2e-3
    assert tolerances.LOSSES.admits(floor=1e-3) == tolerances.UPDATE.admits(floor=1e-3) == 3e-3
