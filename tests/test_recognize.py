"""Adopted networks that are one of ours: found by structure, whatever they are called."""

from __future__ import annotations

import copy
import dataclasses
import re

import numpy as np
import pytest
import torch
import unseen
from test_adopt import agreement, randomized
from test_peers import NETWORKS, SIZES, mindcv, timm
from torch import nn

import backends
import zoo
from weights import randomize
from weights.dialects import find_dialect
from zoo.adoption.candidates import similar
from zoo.adoption.ranks import with_our_ranks
from zoo.errors import WeightsError
from zoo.families.graph import GraphSpec

SIZE = 64


@pytest.mark.sweep(quick=["torchvision-*x0_5-*", "pytorchcv-shufflenet_g3_wd4-*"])
@pytest.mark.parametrize(("peer", "theirs", "ours"), NETWORKS)
def test_networks_of_code_bases(peer, theirs, ours, tmp_path):
    """As by their dialects' tables, which are not asked."""
    made = peer(theirs, ours)
    path = tmp_path / f"theirs{made.suffix}"
    made.save(path)
    spec = zoo.load_weights(path).spec
    (dialect,) = find_dialect(peer.__name__, spec.family)
    made.fill(dialect.write(spec.graph, randomize(spec.graph, 1)))
    made.save(path)
    size = SIZES.get(peer, SIZE)
    expected, net = zoo.load_weights(path), zoo.adopt(made.net, example=(2, 3, size, size))
    assert (plain(net.spec), net.spec.image_size) == (plain(spec), size)
    # At some widths two code bases have one network: any of their names is right.
    assert net.spec.preset_name in net.spec.presets
    drops = {f: getattr(net.spec, f) for f in net.spec.weightless}  # which no weights tell
    assert net.spec.graph == spec.replace(**drops).graph
    assert net.recognized.values == {}
    by_names = zoo.load_weights(path, model=net)
    assert (by_names.spec, by_names.dialect) == (net.spec, type(made.net).__name__)
    for name, array in expected.items():
        assert np.array_equal(net[name], array)
        assert np.array_equal(by_names[name], array)
    assert {theirs: ours for ours, theirs in net.theirs.items()} == dialect.names(spec.graph)


TF = (
    ("tf_efficientnet_lite0", "efficientnet_lite0"),
    ("tf_mobilenetv3_small_075", "mobilenet_v3_small_0.75x"),
)
"""timm's networks with TensorFlow's padding, which it computes of the image's size → ours."""


@pytest.mark.sweep(quick=["tf_mobilenet*"])
@pytest.mark.parametrize(("theirs", "ours"), TF)
def test_padding_that_came_of_the_size(theirs, ours, tmp_path, rng):
    """Names do not tell it: a file is read so where that is asked for, or with what was adopted."""
    made = timm(theirs, ours)
    randomized(made.net)
    net = zoo.adopt(made.net, example=(2, 3, SIZE, SIZE))
    assert (net.model, net.spec.preset_name) == (ours, "timm_tf")
    assert net.notes[-1].startswith("stem.conv (conv_stem) and 4 more: padding of 64×64 alone: ")
    path = tmp_path / "theirs.pth"
    made.save(path)
    wanted = zoo.spec(ours, conventions="timm_tf")
    assert zoo.load_weights(path).spec.preset_name != "timm_tf"
    assert zoo.load_weights(path, model=wanted).dialect == "timm_tf"
    zoo.convert(path, tmp_path / "ours.safetensors", model=wanted)
    zoo.convert(tmp_path / "ours.safetensors", tmp_path / "back.pth", to_dialect="timm_tf")
    back, state = torch.load(tmp_path / "back.pth"), made.net.state_dict()
    assert all(torch.equal(back[name], state[name]) for name in back)
    half = wanted.replace(conventions="timm", bn_eps=1e-3)
    for size in (SIZE, 97):  # where half of the kernel is something else, and where it is not
        x = rng.standard_normal((2, 3, size, size)).astype(np.float32)
        models = zoo.create(tmp_path / "ours.safetensors"), zoo.create(half, weights=dict(net))
        (found,), (other,) = (backends.load("torch").predict(model, x) for model in models)
        largest = np.abs(made.logits(x)).max()
        assert np.abs(found - made.logits(x)).max() < 5e-6 * largest
        assert (np.abs(other - made.logits(x)).max() > 2e-5 * largest) == (size == SIZE)


def plain(spec):
    """Return the network in one and the same conventions and size, and dropping nothing."""
    left = {field: 0.0 for field in ("dropout", "stochastic_depth") if hasattr(spec, field)}
    return dataclasses.replace(
        spec, conventions=spec.presets[next(iter(spec.presets))], image_size=1, **left
    )


UNSEEN = {
    "grouped": ("shufflenet_v1_0.5x_g3", "megvii", True),
    "halved": ("shufflenet_v2_0.5x", "torchvision", True),
    "paired": ("shufflenet_v2_0.5x", "megvii", False),
}
"""Who made it → the network, the preset, and whether its channels are in another order."""


@pytest.fixture(scope="module", params=UNSEEN)
def stranger(request):
    """A network of names and orders that no table knows, and what it is adopted as."""
    torch.manual_seed(0)
    module = randomized(getattr(unseen, request.param)())
    return module, zoo.adopt(module, example=(2, 3, SIZE, SIZE)), *UNSEEN[request.param]


@pytest.mark.sweep(quick=["grouped"])
def test_a_code_base_that_was_never_seen(stranger, rng):
    module, net, name, preset, permuted = stranger
    assert (net.model, net.spec.preset_name) == (name, preset)
    assert net.spec == zoo.spec(name, conventions=preset, num_classes=10, image_size=SIZE)
    for backend in ("numpy", "torch"):
        assert agreement(module, net, backend, rng, SIZE) < 5e-6
    assert net.summary().splitlines()[1] == (
        f"recognized: {name}, conventions {preset}, 10 classes, 3 input channels"
    )
    assert bool(net.recognized.values) is permuted
    assert any("are in another order" in note for note in net.notes) is permuted


def test_further_files_of_the_code_base(stranger, tmp_path, rng):
    """Its channels move as those of the module did."""
    module, net, *_ = stranger
    later = randomized(copy.deepcopy(module), seed=7)
    path, ours = tmp_path / "epoch_90.pth", tmp_path / "ours.ckpt"
    torch.save({"epoch": 90, "state_dict": later.state_dict()}, path)
    found = zoo.load_weights(path, model=net)
    assert (found.spec, found.dialect) == (net.spec, "Net")
    zoo.convert(path, ours, model=net)
    assert zoo.load_weights(ours).spec == net.spec
    for source in (found, zoo.load_weights(ours)):
        assert agreement(later, source, "numpy", rng, SIZE) < 5e-6
    assert agreement(later, net, "numpy", rng, SIZE) > 1e-2  # which has the weights of before
    written = net.names.write(net.graph, dict(found))
    state = later.state_dict()
    assert set(written) == {name for name in state if not name.endswith("num_batches_tracked")}
    assert all(np.array_equal(array, state[name]) for name, array in written.items())
    with pytest.raises(WeightsError, match="are of no known dialect"):
        zoo.load_weights(path)


@pytest.mark.sweep(quick=["grouped"])
def test_its_source_has_its_own_names_and_order(stranger, tmp_path):
    """So that its files load; the spec is ours all the same."""
    module, net, *_ = stranger
    plain = zoo.adopt(module, example=(2, 3, SIZE, SIZE), recognize=False)
    assert (net.as_read.spec, net.as_read.theirs) == (plain.spec, plain.theirs)
    assert all(np.array_equal(net.as_read[name], plain[name]) for name in plain)
    assert plain.as_read is plain
    done = zoo.port(net, tmp_path, level="structure")
    assert net.model in (tmp_path / "README.md").read_text().splitlines()[0]
    state, held = module.state_dict(), torch.load(next(tmp_path.glob("*.pth")))
    assert set(held) == set(net.theirs.values())
    assert all(torch.equal(held[name], state[name]) for name in held)
    space: dict = {"__name__": "alone"}
    exec(compile(next(tmp_path.glob("*.py")).read_text(), "alone", "exec"), space)
    alone = space["Net"]().eval()
    alone.load_state_dict(state, strict=True)
    x = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        torch.testing.assert_close(alone(x), module.eval()(x), rtol=0, atol=1e-5)
    assert done.error < 5e-6
    with pytest.raises(zoo.UnknownNameError, match="unknown graph override 'dropout'"):
        zoo.write_source(net, tmp_path / "other.py", dropout=0.5)


def test_files_of_networks_that_are_none_of_ours(tmp_path):
    """By the same mechanism; what does not fit is told by their names."""
    module = randomized(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5)))
    net = zoo.adopt(module, example=(2, 3, 8, 8))
    state = dict(module.state_dict())
    torch.save(state, tmp_path / "again.pth")
    found = zoo.load_weights(tmp_path / "again.pth", model=net)
    assert (found.spec, found.dialect) == (net.spec, "Sequential")
    assert all(np.array_equal(found[name], net[name]) for name in net)
    torch.save(state | {"2.weight": torch.zeros(6, 144)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=re.escape("2.weight: shape (6, 144) must be (5, 144)")):
        zoo.load_weights(tmp_path / "other.pth", model=net)


@pytest.mark.sweep(quick=["grouped-forward", "paired-forward"])
@pytest.mark.parametrize("level", ["forward", "training"])
def test_the_original_is_judged_in_its_own_order(stranger, level):
    _, net, *_ = stranger
    report = zoo.parity(net, backends=["original"], level=level)
    assert report.passed


@pytest.mark.exhaustive
def test_a_cell_is_judged_under_our_names():
    net = zoo.adopt(mindcv("shufflenet_v1_g3_05", "").net, example=(2, 3, SIZE, SIZE))
    report = zoo.parity(net, backends=["original", "torch"], level="training")
    assert report.passed


def test_an_original_that_computes_something_else_is_named(stranger):
    module, net, *_ = stranger
    wrong = copy.deepcopy(module)
    unit = wrong.groups[1][2]
    norm = (unit.widen if hasattr(unit, "widen") else unit.work[3])[1]
    norm.eps = 0.1
    net = dataclasses.replace(net, original=wrong)
    report = zoo.parity(net, backends=["original"], level="forward")
    assert report.failures[0].diverges_at == "stage3.2.expand.bn"


def stride(net):
    first = net.groups[1][0]
    (first.spatial if hasattr(first, "spatial") else first.work[2])[0].stride = (1, 1)
    if hasattr(first, "pool"):
        first.pool = nn.AvgPool2d(3, 1, 1)
    else:
        first.keep[0][0].stride = (1, 1)


def shuffle(net):
    net.groups[0][2].rows = 2


def activation(net):
    unit = net.groups[2][1]
    setattr(unit, "act" if hasattr(unit, "act") else "last", nn.Identity())


def dropout(net):
    net.logits = nn.Sequential(nn.Dropout(0.1), net.logits)


def epsilon(net):
    unit = net.groups[0][1]
    (unit.widen if hasattr(unit, "widen") else unit.work[3])[1].eps = 1e-3


NEAR = {
    "grouped": "near shufflenet_v1_0.5x_g3 (megvii, concat_order='main_pool'): differs at ",
    "halved": "near shufflenet_v2_0.5x (torchvision): differs at ",
}


@pytest.mark.sweep(quick=["halved-epsilon-stage2.1.expand.bn"])
@pytest.mark.parametrize(
    ("make", "mistake", "told"),
    [
        ("grouped", stride, "stage3.0.depthwise.conv (groups.1.0.spatial.0): stride (="),
        ("grouped", shuffle, "stage2.2.expand.conv (groups.0.2.widen.0): group 0 must"),
        ("grouped", activation, "stage4.1.depthwise.conv (groups.2.1.spatial.0): reads"),
        ("grouped", epsilon, "stage2.1.expand.bn (groups.0.1.widen.1): eps (=0.001)"),
        ("grouped", dropout, "logits.0: it has no dropout"),
        ("halved", stride, "stage3.0.depthwise.conv (groups.1.0.work.2.0): stride (="),
        ("halved", shuffle, "stage2.3.compress.conv (groups.0.3.work.0.0): reads 12 channels of"),
        ("halved", activation, "stage4.2.compress.conv (groups.2.2.work.0.0): reads 24 channels"),
        ("halved", epsilon, "stage2.1.expand.bn (groups.0.1.work.3.1): eps (=0.001)"),
    ],
    ids=lambda value: value.__name__ if callable(value) else value.partition(" ")[0],
)  # fmt: skip
def test_one_mistake_makes_it_another_network(make, mistake, told):
    module = getattr(unseen, make)()
    mistake(module)
    net = zoo.adopt(module, example=(2, 3, SIZE, SIZE))
    assert net.recognized is None
    assert net.spec.family == "graph"
    near = (
        NEAR[make].replace(", concat_order='main_pool'", "") if mistake is dropout else NEAR[make]
    )
    assert net.notes[-1].startswith(near + told)


def test_other_networks_are_not_even_compared():
    """They cost a count of layers."""
    assert not list(
        similar(
            zoo.adopt(
                nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), example=(2, 3, 8, 8)
            ).graph
        )
    )
    found = [entry.family for entry in similar(zoo.spec("shufflenet_v2_1.5x").graph)]
    assert "shufflenet_v2" in found
    assert len(found) <= len(zoo.list_models()) / 20


@pytest.mark.sweep(quick=["resnet9", "shufflenet_v1*"])
@pytest.mark.parametrize(
    "name", ["resnet9", "shufflenet_v1_0.5x_g8", "shufflenet_v2_0.5x", "shufflenet_v2_plus_small"]
)
def test_files_that_we_exported(name, tmp_path):
    spec = zoo.spec(name, image_size=32)
    zoo.export(zoo.create(spec, backend="numpy"), tmp_path / "net.onnx")
    shape = (2, 3, 32, 32)
    net = zoo.adopt(tmp_path / "net.onnx", example=shape)
    assert net.spec == spec
    as_it_came = zoo.adopt(tmp_path / "net.onnx", example=shape, recognize=False)
    assert (as_it_came.spec.family, as_it_came.recognized) == ("graph", None)
    zoo.export(zoo.create(spec, backend="numpy"), tmp_path / "folded.onnx", optimize=True)
    assert zoo.adopt(tmp_path / "folded.onnx", example=shape).recognized is None


class Rows(nn.Module):
    """Arrays of other shapes than ours have them: of rows, and repeated along axes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.rows = nn.Conv1d(1, 1, 3, padding=1)
        self.scale = nn.Parameter(torch.rand(8) + 0.5)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = (self.conv(x).permute(0, 2, 3, 1) * self.scale).permute(0, 3, 1, 2)
        x = x.relu().mean((2, 3), keepdim=True)
        x = x * self.rows(x.flatten(1)[:, None]).reshape(x.shape)
        return self.fc(self.norm(x.permute(0, 2, 3, 1)).flatten(1))


def test_arrays_have_the_shapes_of_their_own_code(tmp_path):
    """In files of it, and in the module that is judged."""
    module = Rows()
    net = zoo.adopt(module, example=(2, 3, 8, 8))
    assert net["rows.weight"].shape != module.rows.weight.shape
    torch.save(Rows().state_dict(), tmp_path / "later.pth")
    later = zoo.load_weights(tmp_path / "later.pth", model=net)
    assert not np.array_equal(later["rows.weight"], net["rows.weight"])
    module.load_state_dict(
        {n: torch.tensor(a) for n, a in net.names.write(net.graph, dict(later)).items()}
    )
    assert agreement(module, later, "torch", np.random.default_rng(0), 8) < 5e-6
    report = zoo.parity(net, backends=["original"], level="training")
    assert not report.failures


def test_ranks_are_no_other_function(rng):
    """And what only looks alike stays: rows of windows, which are not one to an image."""
    graph = zoo.adopt(Rows(), example=(2, 3, 8, 8)).graph
    ours = with_our_ranks(graph)
    kinds = [type(node.op).__name__ for node in ours.nodes]
    assert kinds.index("Permute") < kinds.index("Mul")
    assert ours.by_name["norm"].op == graph.by_name["norm"].op
    assert [len(g.shapes()["norm"]) for g in (graph, ours)] == [4, 2]
    assert ours.by_name["scale"].op.shape == (8, 1, 1)
    weights = randomize(graph, 1)
    x = rng.standard_normal((2, 3, 8, 8))
    run = backends.load("numpy").predict
    (there,), (here,) = (
        run(zoo.create(GraphSpec.of(g, "g"), backend="numpy", weights={
            name: array.reshape(g.parameters[name].shape) for name, array in weights.items()
        }), x)
        for g in (graph, ours)
    )  # fmt: skip
    assert np.abs(here - there).max() < 1e-12 * np.abs(there).max()

    class Windows(Rows):
        def forward(self, x):
            windows = self.conv(x).unfold(2, 3, 3).unfold(3, 3, 3).permute(0, 2, 3, 1, 4, 5)
            rows = windows.mean((4, 5)).flatten(0, 2)[:, None]
            return self.fc(self.norm(rows).flatten(1)).reshape(-1, 4, 5).mean(1)

    graph = zoo.adopt(Windows(), example=(2, 3, 8, 8)).graph
    assert with_our_ranks(graph) == graph
