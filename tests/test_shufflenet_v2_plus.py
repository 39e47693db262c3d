"""ShuffleNet V2+: its structure, its two dialects, and what is recognized."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from catalog_rows import SHORT
from conftest import BACKENDS, FRAMEWORKS

import backends
import zoo
from weights import randomize
from weights.dialects import find_dialect
from weights.dialects.dialect import layer_patterns
from weights.recognize import recognize
from zoo.arch.builder import GraphBuilder
from zoo.arch.operators import HardSigmoid, HardSwish, ReLU
from zoo.families.shufflenet_v2_plus import ShuffleNetV2PlusSpec
from zoo.proof.measure import relative_maximum

MODELS = zoo.list_models("shufflenet_v2_plus_*")
SMALL = "shufflenet_v2_plus_small"
DIALECTS = ("megvii", "zoo", "zoo_mindspore")
# Every kind of unit, with and without squeeze and excitation; channels that tell each other apart.
TINY = zoo.spec(SMALL, **SHORT[SMALL], in_channels=2)
# One of each kind of name that the authors' own network prints.
LITERAL = (
    "first_conv.0.weight", "first_conv.1.running_var",
    "features.0.branch_main.0.weight", "features.0.branch_main.6.bias",
    "features.0.branch_proj.0.weight", "features.0.branch_proj.3.running_mean",
    "features.2.branch_main.0.weight", "features.2.branch_main.13.running_var",
    "features.8.branch_main.8.SE_opr.1.weight", "features.8.branch_main.8.SE_opr.2.running_mean",
    "features.8.branch_main.8.SE_opr.4.weight", "features.18.branch_main.12.weight",
    "features.18.branch_main.15.SE_opr.2.bias", "conv_last.0.weight", "conv_last.1.weight",
    "LastSE.SE_opr.1.weight", "LastSE.SE_opr.2.weight", "LastSE.SE_opr.4.weight",
    "fc.0.weight", "classifier.0.weight",
)  # fmt: skip


def dialect_of(name):
    return find_dialect(name, "shufflenet_v2_plus")[0]


def written_in(name, spec, seed=0):
    return dialect_of(name).write(spec.graph, randomize(spec.graph, seed))


def test_hard_activations_by_hand():
    g = GraphBuilder(1, 1)
    graph = g.build(g.hard_sigmoid(g.input), g.hard_swish(g.input))
    x = np.float32([-4, -3, -1.5, 0, 3, 4]).reshape(-1, 1, 1, 1)
    expected = {"hard_sigmoid": [0, 0, 0.25, 0.5, 1, 1], "hard_swish": [0, 0, -0.375, 0, 3, 4]}
    for name in BACKENDS:
        values, _ = backends.load(name).forward(graph, {}, x, training=False, dtype="float32")
        for node, wanted in expected.items():
            np.testing.assert_allclose(values[node].ravel(), wanted, rtol=1e-7, err_msg=name)


def test_structure():
    nodes = zoo.spec(SMALL).graph.by_name
    # The kinds as the authors' list has them: [0, 0, 3, 1, 1, 1, 0, 0, 2, 0, 2, 1, ...].
    depthwise = {
        name: node.op.kernel_size[0]
        for name, node in nodes.items()
        if name.endswith(".depthwise.conv") and "shortcut" not in name
    }
    assert [depthwise[f"stage2.{i}.depthwise.conv"] for i in (0, 1, 3)] == [3, 3, 5]
    assert [depthwise[f"stage2.2.xception.{i}.depthwise.conv"] for i in range(3)] == [3] * 3
    assert [depthwise[f"stage3.{i}.depthwise.conv"] for i in range(4)] == [5, 5, 3, 3]
    assert [depthwise[f"stage4.{i}.depthwise.conv"] for i in range(8)] == [7, 3, 7, 5, 5, 3, 7, 3]
    assert [depthwise[f"stage5.{i}.depthwise.conv"] for i in (0, 1, 3)] == [7, 5, 7]
    assert len(depthwise) == 20 + 2 * 2
    assert nodes["stage4.0.shortcut.depthwise.conv"].op.kernel_size == (7, 7)
    for kind, stages in ((ReLU, {"stage2"}), (HardSwish, {"stem", "stage3", "stage4", "stage5"})):
        found = {n.partition(".")[0] for n, node in nodes.items() if type(node.op) is kind}
        squeezed = {"stage4", "stage5", "last"} if kind is ReLU else {"last", "hard_swish"}
        assert found == stages | squeezed
    gates = [n for n, node in nodes.items() if isinstance(node.op, HardSigmoid)]
    assert len(gates) == 8 + 4 + 1
    assert nodes["stage4.0.se.squeeze"].op.out_channels == (208 - 104) // 4
    assert not any("pool" in name for name in nodes if name.startswith("stem"))
    assert nodes["stage2.1.shuffle"].op.indices(6) == (0, 2, 4, 1, 3, 5)  # the even ones pass


def test_specs_as_json_and_dropout():
    for spec in (*map(zoo.spec, MODELS), TINY):
        assert zoo.spec_from_json(spec.to_json()) == spec
    dropped = zoo.spec(SMALL, dropout=0.2)
    assert list(dropped.graph.parameters) == list(zoo.spec(SMALL).graph.parameters)
    assert dropped.graph.by_name["classifier"].inputs == ("dropout",)


KIND = "units: a kind (="
REFUSED = [
    (dict(units=("3x3",)),
     "units (=('3x3',)) must be a list with one kind for each of the 11 units of stage_repeats "
     "(=(2, 3, 4, 2))"),
    (dict(units="3x3"), "units (='3x3') must be a list with one kind for each of the 11 units"),
    (dict(units=("9x9",) * 11), f"{KIND}'9x9') must be one of 3x3, 5x5, 7x7, xception"),
    (dict(units=([],) * 11), f"{KIND}[]) must be one of 3x3, 5x5, 7x7, xception"),
    (dict(units=(*("3x3",) * 5, *("xception",) * 6)),
     "units: the first of stage 4 cannot be of the kind 'xception', whose three depthwise "
     "convolutions would each halve the map"),
    (dict(stem_channels=0), "stem_channels (=0) must be a whole number of at least 1"),
    (dict(last_channels=-1), "last_channels (=-1) must be a whole number of at least 1"),
    (dict(dropout=1), "dropout (=1) must be in [0, 1)"),
    (dict(stage_repeats=(2, 3)),
     "stage_channels (=(16, 36, 76, 156)) and stage_repeats (=(2, 3)) must have one entry a stage"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_bad_values(change, message):
    with pytest.raises(zoo.SpecError) as error:
        TINY.replace(**change)
    assert str(error.value).startswith(message)


def test_tables_cover_every_layer_once():
    for name in DIALECTS:
        rules = dialect_of(name).rules
        ours, theirs = zip(*rules, strict=True)
        assert set(ours) == set(layer_patterns(zoo.spec(SMALL).graph))
        assert len(set(ours)) == len(set(theirs)) == len(rules)
        names = dialect_of(name).names(zoo.spec(SMALL).graph)
        assert list(names.values()) == list(zoo.spec(SMALL).graph.parameters)
    assert set(LITERAL) <= set(dialect_of("megvii").names(zoo.spec(SMALL).graph))


@pytest.mark.sweep(quick=["tiny-*", "*small-megvii"])
@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("spec", [*map(zoo.spec, MODELS), TINY], ids=[*MODELS, "tiny"])
def test_a_network_is_recognized_by_names_and_shapes(name, spec):
    spec = spec.replace(classifier_bias=spec is TINY)
    arrays = written_in(name, spec)
    found = recognize({f"module.{n}": a for n, a in arrays.items()})
    assert found.spec.replace(image_size=spec.image_size) == spec
    assert found.dialect is dialect_of(name)
    assert "every name begins with 'module.'" in found.notes
    for canonical, array in randomize(spec.graph).items():
        assert np.array_equal(found.weights[canonical], array)
    again = found.dialect.write(spec.graph, found.weights)
    assert all(np.array_equal(again[n], a) for n, a in arrays.items())


def test_the_kind_of_a_unit_decides_what_its_names_mean():
    found = recognize(written_in("megvii", TINY)).weights
    theirs = written_in("megvii", TINY)
    for i, ours in enumerate(("stage2.0.compress.conv", "stage2.1.xception.0.depthwise.conv")):
        same = theirs[f"features.{i}.branch_main.0.weight"]
        assert np.array_equal(found[f"{ours}.weight"], same)


def test_what_does_not_fit_is_listed_in_their_names():
    arrays = written_in("megvii", zoo.spec(SMALL))
    arrays["features.18.branch_main.12.weight"] = np.ones((3, 3))
    del arrays["LastSE.SE_opr.2.bias"]
    with pytest.raises(zoo.WeightsError) as error:
        recognize(arrays)
    assert str(error.value) == (
        f"2 of {len(arrays)} arrays do not fit {SMALL} in dialect megvii:\n"
        "    features.18.branch_main.12.weight: shape (3, 3) must be (208, 208, 1, 1)\n"
        "    LastSE.SE_opr.2.bias: missing"
    )


def test_neither_taken_for_a_v2_nor_a_v2_for_it():
    for name in ("shufflenet_v2_1.0x", "shufflenet_v2_50", "se_shufflenet_v2_164"):
        shapes = {n: p.shape for n, p in zoo.spec(name).graph.parameters.items()}
        skeleton = dialect_of("zoo").skeleton(shapes)
        with pytest.raises(zoo.SpecError, match="the layers are not those of a shufflenet_v2_plus"):
            ShuffleNetV2PlusSpec.from_shapes(
                skeleton.outer, skeleton.units, zoo.spec(SMALL).conventions
            )


@pytest.mark.exhaustive
def test_files_go_there_and_back(tmp_path, rng, graph_mode):
    spec = replace(TINY, in_channels=3)
    x = rng.standard_normal((2, 3, 64, 64)).astype(np.float32)
    model = zoo.create(spec, backend="torch", weights=randomize(spec.graph)).eval()
    (expected,) = backends.load("torch").predict(model, x)
    zoo.save(model, tmp_path / "model.safetensors")
    zoo.convert(tmp_path / "model.safetensors", tmp_path / "megvii.pth", to_dialect="megvii")
    zoo.convert(tmp_path / "megvii.pth", tmp_path / "own.ckpt")
    for name in FRAMEWORKS:
        loaded = zoo.load(tmp_path / "own.ckpt", backend=name)
        loaded = loaded.eval() if name == "torch" else loaded
        assert relative_maximum(backends.load(name).predict(loaded, x)[0], expected) < 5e-6
