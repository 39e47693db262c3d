"""Names of code bases: tables that cover the networks, both directions, and what is recognized."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zoo
from weights import randomize
from weights.dialects import dialects, find_dialect, merge_pieces
from weights.dialects.dialect import Dialect, layer_patterns
from weights.dialects.rules import Rule
from weights.recognize import recognize
from zoo.arch.builder import GraphBuilder
from zoo.families.registry import family_type

FAMILIES = ("shufflenet_v1", "shufflenet_v2")
DIALECTS = {(d.name, d.family): d for d in dialects() if d.family in FAMILIES}
V1, V2 = ({n: d for (n, of), d in DIALECTS.items() if of == family} for family in FAMILIES)
IDS = ["-".join(key) for key in DIALECTS]
MODEL, MODEL_V2 = "shufflenet_v1_0.5x_g3", "shufflenet_v2_1.0x"
MODELS = dict(zip(FAMILIES, (MODEL, MODEL_V2), strict=True))

# From ../shared facts: names that the code bases themselves print, one of each kind.
LITERAL_V1 = {
    "megvii": [
        "first_conv.0.weight", "first_conv.1.running_var", "features.0.branch_main_1.0.weight",
        "features.4.branch_main_1.4.bias", "features.15.branch_main_2.1.running_mean",
        "classifier.0.weight",
    ],
    "mindcv": [
        "first_conv.1.gamma", "features.0.branch_main_1.0.weight",
        "features.4.branch_main_2.1.beta", "features.15.branch_main_2.3.moving_variance",
        "classifier.weight",
    ],
    "mindspore_tutorial": [
        "first_conv.0.weight", "features.0.branch_main_1.0.convs.0.weight",
        "features.1.branch_main_1.0.convs.2.weight", "features.15.branch_main_2.2.convs.1.weight",
        "features.3.branch_main_2.0.weight", "classifier.bias",
    ],
    "mmpretrain": [
        "backbone.conv1.conv.weight", "backbone.layers.0.0.g_conv_1x1_compress.conv.weight",
        "backbone.layers.1.7.depthwise_conv3x3_bn.bn.running_var",
        "backbone.layers.2.3.g_conv_1x1_expand.bn.bias", "head.fc.bias",
    ],
    "pytorchcv": [
        "features.init_block.conv.weight", "features.stage1.unit1.compress_conv1.weight",
        "features.stage2.unit8.dw_bn2.running_mean", "features.stage3.unit4.expand_bn3.weight",
        "output.weight", "output.bias",
    ],
    "kuangliu": [
        "conv1.weight", "bn1.running_var", "layer1.0.conv1.weight", "layer2.7.bn3.bias",
        "layer3.3.conv3.weight", "linear.bias",
    ],
    "zoo": [
        "stem.conv.weight", "stage2.0.expand.bn.running_var", "classifier.weight",
    ],
    "zoo_mindspore": [
        "stem.bn.gamma", "stage4.3.expand.bn.moving_variance", "classifier.weight",
    ],
}  # fmt: skip
LITERAL_V2 = {
    "megvii": [
        "first_conv.0.weight", "first_conv.1.running_var", "features.0.branch_main.0.weight",
        "features.0.branch_proj.0.weight", "features.0.branch_proj.3.running_mean",
        "features.4.branch_main.4.bias", "features.12.branch_proj.2.weight",
        "features.15.branch_main.6.running_var", "conv_last.1.weight", "classifier.0.weight",
    ],
    "mindcv": [
        "first_conv.1.gamma", "features.0.branch_main.0.weight", "features.0.branch_proj.3.beta",
        "features.15.branch_main.6.moving_variance", "conv_last.1.moving_mean",
        "classifier.weight",
    ],
    "torchvision": [
        "conv1.0.weight", "conv1.1.running_var", "stage2.0.branch1.0.weight",
        "stage2.0.branch1.3.bias", "stage3.7.branch2.4.running_mean", "stage4.3.branch2.6.weight",
        "conv5.0.weight", "conv5.1.running_mean", "fc.weight", "fc.bias",
    ],
    "mmpretrain": [
        "backbone.conv1.conv.weight", "backbone.layers.0.0.branch1.0.conv.weight",
        "backbone.layers.0.0.branch1.1.bn.running_var", "backbone.layers.1.7.branch2.1.bn.bias",
        "backbone.layers.2.3.branch2.2.conv.weight", "backbone.layers.3.bn.weight", "head.fc.bias",
    ],
    "pytorchcv": [
        "features.init_block.conv.conv.weight", "features.stage1.unit1.conv1.conv.weight",
        "features.stage1.unit1.shortcut_dconv.bn.weight", "features.final_block.bn.running_var",
        "features.stage3.unit1.shortcut_conv.conv.weight", "output.weight", "output.bias",
        "features.stage2.unit8.dconv.bn.running_mean", "features.stage3.unit4.conv2.bn.weight",
    ],
    "zoo": [
        "stem.conv.weight", "stage2.0.shortcut.expand.bn.running_var", "last.bn.weight",
        "classifier.weight",
    ],
    "zoo_mindspore": [
        "stem.bn.gamma", "stage4.0.shortcut.depthwise.bn.moving_variance", "last.bn.beta",
    ],
}  # fmt: skip
LITERAL = {
    (name, family): names
    for family, literal in zip(FAMILIES, (LITERAL_V1, LITERAL_V2), strict=True)
    for name, names in literal.items()
}


def spec_for(dialect, **overrides):
    """Return a network of a dialect, with its code base's conventions."""
    model = MODELS[dialect.family]
    if dialect.conventions == "kuangliu":
        model = "shufflenet_v1_1.0x_g2_cifar"
    elif dialect.conventions is not None:
        overrides["conventions"] = dialect.conventions
    return zoo.spec(model, **overrides)


def drawn(spec, seed=0):
    return randomize(spec.graph, seed)


def test_tables_cover_every_layer_once():
    """Those of code bases the layers of their networks, our own all layers of the catalog."""
    for dialect in dialects():
        if not family_type(dialect.family).told_by_shapes:  # names are whatever they came with
            continue
        rules = [Rule(*rule) for rule in dialect.rules]
        ours = {re.sub(r"^stage\d+", "stage{stage}", rule.canonical) for rule in rules}
        for kind in {rule.kind for rule in rules}:
            table = [rule for rule in rules if rule.kind in (kind, "")]
            names = {rule.canonical for rule in table}
            assert len(names) == len({rule.pattern for rule in table}) == len(table), dialect.name
        networks = [
            set(layer_patterns(zoo.spec(name).graph))
            for name in zoo.list_models()
            if zoo.spec(name).family == dialect.family
        ]
        assert any(network <= ours for network in networks), dialect.name
        assert ours <= set().union(*networks), dialect.name
        if dialect.conventions is None:
            assert ours == set().union(*networks), dialect.name


@pytest.mark.parametrize("key", DIALECTS, ids=IDS)
def test_names_are_those_that_the_code_bases_print(key):
    dialect = DIALECTS[key]
    spec = spec_for(dialect)
    assert set(dict(dialect.rules)) >= set(layer_patterns(spec.graph))
    names = dialect.names(spec.graph)
    assert list(names.values()) == list(spec.graph.parameters)
    written = dialect.write(spec.graph, drawn(spec))
    for literal in LITERAL[key]:
        assert literal in written, literal
    assert set(LITERAL) == set(DIALECTS)


@pytest.mark.sweep(quick=["False-*", "True-megvii-*", "True-zoo*"])
@pytest.mark.parametrize("key", DIALECTS, ids=IDS)
@pytest.mark.parametrize("split", [False, True])
def test_a_network_is_recognized_by_names_and_shapes(key, split):
    dialect = DIALECTS[key]
    spec = spec_for(dialect, num_classes=7, in_channels=2)
    weights = drawn(spec)
    told = None if dialect.conventions else spec.conventions
    written = dialect.write(spec.graph, weights, split=split)
    found = recognize({f"module.net.{n}": a for n, a in written.items()}, conventions=told)
    assert found.spec == spec
    assert "every name begins with 'module.net.'" in found.notes
    if not split:
        assert found.dialect is dialect
    for canonical, array in weights.items():
        assert np.array_equal(found.weights[canonical], array)


@pytest.mark.exhaustive
def test_recognized_networks_are_named_as_in_the_catalog():
    for model in zoo.list_models():
        spec = zoo.spec(model, num_classes=5)
        shapes = {name: p.shape for name, p in spec.graph.parameters.items()}
        arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
        found = recognize(arrays, conventions=spec.conventions)
        assert found.spec == spec, model  # the image size of the CIFAR ones included


@st.composite
def specs_of_v1(draw, dialect):
    """Networks of any groups, channels and repeats, in the conventions of a code base."""
    groups = draw(st.sampled_from([1, 2, 3, 4, 8]))
    unit = 4 * groups  # what channels have to be divisible by, in any conventions
    channels = [unit * draw(st.integers(1, 3))]
    for _ in range(draw(st.integers(1, 3))):
        channels.append(channels[-1] + unit * draw(st.integers(1, 3)))
    presets = sorted(zoo.spec(MODEL).presets)
    return zoo.spec(
        "shufflenet_v1_1.0x_g1",
        groups=groups,
        stem_channels=channels[0],
        stage_channels=tuple(channels[1:]),
        stage_repeats=tuple(draw(st.integers(1, 3)) for _ in channels[1:]),
        num_classes=draw(st.integers(1, 12)),
        in_channels=draw(st.integers(1, 4)),
        image_size=64,
        conventions=dialect.conventions or draw(st.sampled_from(presets)),
    )


@st.composite
def specs_of_v2(draw, dialect):
    """Networks of any channels and repeats, with either split; what only ours can have, of ours."""
    ours = dialect.conventions is None
    spec = zoo.spec(MODEL_V2)
    conventions = spec.preset(dialect.conventions or draw(st.sampled_from(sorted(spec.presets))))
    stems = draw(st.lists(st.integers(1, 9), min_size=1, max_size=5 if ours else 1))
    channels = [stems[-1]]
    for _ in range(draw(st.sampled_from([3, 4, 1, 2]))):
        more = 2 * draw(st.integers(1, 6)) + channels[-1] % 2
        channels.append(channels[-1] + draw(st.sampled_from([more, channels[-1]])))
    squeeze_excite = ours and draw(st.booleans())
    stages = len(channels) - 1
    return spec.replace(
        stem_channels=tuple(stems),
        stage_channels=tuple(channels[1:]),
        stage_repeats=tuple(draw(st.integers(1, 3)) for _ in range(stages)),
        # No file of another code base tells these: the paper's are taken.
        stage_strides=(1, 2, 2, 2) if stages == 4 else (2,) * stages,
        last_channels=draw(st.integers(1, 12)),
        squeeze_excite=squeeze_excite,
        residual=squeeze_excite,
        num_classes=draw(st.integers(1, 12)),
        in_channels=draw(st.integers(1, 4)),
        image_size=64,
        conventions=conventions,
    )


SPECS = dict(zip(FAMILIES, (specs_of_v1, specs_of_v2), strict=True))


def specs(dialect):
    """Networks of a dialect's family in the conventions of its code base."""
    return SPECS[dialect.family](dialect)


@pytest.mark.parametrize("key", DIALECTS, ids=IDS)
@settings(max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_there_and_back_is_exact_for_any_network(key, data):
    dialect = DIALECTS[key]
    spec = data.draw(specs(dialect))
    weights = drawn(spec, data.draw(st.integers(0, 9)))
    written = dialect.write(spec.graph, weights, split=data.draw(st.booleans()))
    found = recognize(written, dialect=dialect.name, conventions=spec.conventions)
    assert found.dialect is dialect
    assert found.spec.replace(image_size=64) == spec
    assert list(found.weights) == list(weights)
    assert all(np.array_equal(found.weights[n], a) for n, a in weights.items())
    again = dialect.write(spec.graph, found.weights)
    assert all(np.array_equal(again[n], a) for n, a in dialect.write(spec.graph, weights).items())


MEGVII, MINDCV = V1["megvii"], V1["mindcv"]


def megvii(**changes):
    """Return the arrays of a network in megvii's names, some of them changed (None: left out)."""
    arrays = MEGVII.write(zoo.spec(MODEL).graph, drawn(zoo.spec(MODEL))) | changes
    return {name: array for name, array in arrays.items() if array is not None}


EXPAND = "features.3.branch_main_2.0.weight"


def rejected(arrays, **told):
    with pytest.raises(zoo.WeightsError) as error:
        recognize(arrays, **told)
    return str(error.value)


def test_what_does_not_fit_is_listed_in_their_names():
    text = rejected(megvii(**{EXPAND: np.ones((3, 3)), "first_conv.1.bias": None}))
    assert text == (
        "2 of 245 arrays do not fit shufflenet_v1_0.5x_g3 in dialect megvii:\n"
        f"    {EXPAND}: shape (3, 3) must be (120, 10, 1, 1)\n"
        "    first_conv.1.bias: missing"
    )
    # Another network was expected, but this one is nearer: that is what the message speaks of.
    text = rejected(megvii(**{EXPAND: None}), like=zoo.spec("shufflenet_v1_1.0x_g3"))
    assert text == (f"1 of 245 arrays do not fit {MODEL} in dialect megvii:\n    {EXPAND}: missing")


def test_names_of_nobody_and_of_several():
    text = rejected({"encoder.weight": np.ones(3), "decoder.weight": np.ones(3)})
    assert text.startswith(
        "2 names (encoder.weight, decoder.weight, …) are of no known dialect (megvii, mindcv, "
    )
    ours, theirs = list(drawn(zoo.spec(MODEL)).items()), list(megvii().items())
    text = rejected(dict(theirs[:100] + ours[100:]))
    assert text.startswith(
        "146 of 246 names are of dialect zoo for shufflenet_v1, 100 of dialect megvii for "
        "shufflenet_v1 (mixed dialects); not of zoo:\n    first_conv.0.weight\n"
    )
    assert text.endswith("    … and 80 more")
    text = rejected(megvii(), dialect="mindcv")
    assert text.startswith("165 of 246 names are of dialect mindcv for shufflenet_v1")


def test_mixed_roles_are_not_taken_for_weights():
    arrays = MINDCV.write(zoo.spec(MODEL).graph, drawn(zoo.spec(MODEL)))
    arrays["first_conv.1.weight"] = arrays.pop("first_conv.1.gamma")
    text = rejected(arrays)
    assert "first_conv.1.gamma: missing" in text
    assert "first_conv.1.weight: unexpected" in text


def test_conventions_that_names_do_not_tell_are_asked_for():
    text = rejected(drawn(zoo.spec(MODEL)))
    assert text.startswith(
        "the arrays are those of shufflenet_v1_0.5x_g3 in dialect zoo, whose names do not tell the "
        "conventions; say which it is (model= or conventions=):\n"
        "    conventions='megvii': shuffle_order='ng', shuffle_position='after_depthwise', "
    )
    candidates = re.findall(r"conventions='(\w+)'", text)
    assert candidates == ["megvii", "mindcv", "paper", "mmpretrain", "pytorchcv"]
    for preset in candidates:
        found = recognize(drawn(zoo.spec(MODEL)), conventions=preset)
        assert found.spec.conventions.concat_order == zoo.spec(
            MODEL, conventions=preset
        ).conventions.concat_order  # fmt: skip
    # A bias in the classifier is seen, and so is the small stem.
    biased = drawn(zoo.spec(MODEL, conventions="pytorchcv"))
    assert recognize(biased, conventions="megvii").spec.conventions.classifier_bias
    assert recognize(drawn(zoo.spec("shufflenet_v1_1.0x_g3_cifar"))).spec.preset_name == "kuangliu"


def test_what_is_not_a_weight_is_set_aside_and_told():
    arrays = MINDCV.write(zoo.spec(MODEL).graph, drawn(zoo.spec(MODEL)))
    extra = {f"moments.{name}": array for name, array in arrays.items()}
    extra |= {"global_step": np.array(7), "learning_rate": np.float32([0.1])}
    found = recognize(extra | arrays)
    assert found.dialect is MINDCV
    assert found.notes == (
        "246 arrays under 'moments.' are copies of the weights (an optimizer's, or an average): "
        "not read",
        "'global_step' is a single number, not a weight: not read",
        "'learning_rate' is a single number, not a weight: not read",
    )
    counted = megvii(**{"first_conv.1.num_batches_tracked": np.array(3)})
    assert recognize(counted).notes == ("1 counters num_batches_tracked: not weights, not read",)


SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 7, 12, 36, 120]), max_size=5).map(tuple)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_the_names_and_shapes_nothing_else_than_a_weights_error(data):
    """Arrays of a file that somebody has tampered with: dropped, renamed, of any shape."""
    dialect = DIALECTS[data.draw(st.sampled_from(list(DIALECTS)))]
    spec = data.draw(specs(dialect))
    arrays = dialect.write(spec.graph, drawn(spec), split=data.draw(st.booleans()))
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(sorted(arrays)))
        change = data.draw(st.sampled_from(["drop", "rename", "reshape", "number"]))
        array = arrays.pop(name)
        if change == "rename":
            arrays[data.draw(st.text(max_size=5)) + name] = array
        elif change == "reshape":
            arrays[name] = np.broadcast_to(np.float32(1), data.draw(SHAPES))
        elif change == "number":
            digits = data.draw(st.sampled_from(["0", "7", "-1", "99999999999999999999", "٣"]))
            arrays[re.sub(r"\d+", digits, name, count=1)] = array
    preset = data.draw(st.sampled_from([None, spec.conventions]))
    try:
        found = recognize(arrays, conventions=preset)
    except zoo.WeightsError:
        return
    assert all(found.weights[n].shape == p.shape for n, p in found.spec.graph.parameters.items())


@pytest.mark.parametrize("number", ["1" * 5000, "\u0663"], ids=["5000 digits", "Arabic digits"])
def test_a_number_that_no_layer_has_is_a_name_like_any_other(number):
    spec = zoo.spec("shufflenet_v1_0.5x_g3")
    arrays = randomize(spec.graph)
    name = f"stage2.{number}.expand.conv.weight"
    arrays[name] = np.ones((2, 2, 1, 1), np.float32)
    with pytest.raises(zoo.WeightsError) as error:
        recognize(arrays, conventions="megvii")
    assert str(error.value) == (
        "246 of 247 names are of dialect zoo for shufflenet_v1; not of zoo:\n    " + name
    )


def test_split_convolutions_must_be_whole():
    arrays = {"a.convs.0.weight": np.ones((2, 3)), "a.convs.2.weight": np.ones((2, 3))}
    with pytest.raises(zoo.WeightsError) as error:
        merge_pieces(arrays)
    assert str(error.value) == "a.convs.1.weight: missing, while a.convs.2.weight is there"
    arrays = {"a.convs.0.weight": np.ones((2, 3)), "a.convs.1.weight": np.ones((2, 4))}
    with pytest.raises(zoo.WeightsError) as error:
        merge_pieces(arrays)
    assert str(error.value) == (
        "a.convs.*.weight: the pieces must have one shape (shapes [(2, 3), (2, 4)])"
    )


def test_a_dialect_is_found_by_name():
    with pytest.raises(zoo.UnknownNameError, match="unknown dialect 'megvi'; did you mean 'megvii"):
        find_dialect("megvi")
    assert [d.family for d in find_dialect("mmpretrain")] == list(FAMILIES)
    assert find_dialect("mmpretrain", "shufflenet_v2") == [V2["mmpretrain"]]
    with pytest.raises(zoo.UnknownNameError) as error:
        find_dialect("kuangliu", "shufflenet_v2")
    assert str(error.value) == (
        "unknown shufflenet_v2 dialect 'kuangliu'; known: megvii, mindcv, mmpretrain, pytorchcv, "
        "torchvision, zoo, zoo_mindspore"
    )


# ---------------------------------------------------------------------------------------------
# Families beside each other


def megvii_v2(**changes):
    spec = zoo.spec(MODEL_V2)
    arrays = V2["megvii"].write(spec.graph, drawn(spec)) | changes
    return {name: array for name, array in arrays.items() if array is not None}


def test_what_does_not_fit_is_told_for_the_nearest_family():
    projected = "features.4.branch_proj.2.weight"
    text = rejected(megvii_v2(**{projected: np.ones((3, 3))}))
    assert text == (
        "1 of 281 arrays do not fit shufflenet_v2_1.0x in dialect megvii:\n"
        f"    {projected}: shape (3, 3) must be (116, 116, 1, 1)"
    )
    text = rejected(megvii_v2(**{"features.4.branch_main_1.0.weight": np.ones((3, 3))}))
    assert text == (
        "281 of 282 names are of dialect megvii for shufflenet_v2, 1 of dialect megvii for "
        "shufflenet_v1 (mixed dialects); not of megvii:\n    features.4.branch_main_1.0.weight"
    )
    canonical = drawn(zoo.spec(MODEL))
    del canonical["stage3.0.expand.bn.bias"]  # V2's table knows all of V1's canonical names too
    text = rejected(canonical)
    assert text == (
        f"1 of 245 arrays do not fit {MODEL} in dialect zoo:\n    stage3.0.expand.bn.bias: missing"
    )
    assert rejected(canonical, conventions="paper") == text


def test_a_network_of_another_family_than_expected_is_still_recognized():
    for arrays, other in ((megvii(), MODEL_V2), (megvii_v2(), MODEL)):
        found = recognize(arrays, like=zoo.spec(other))
        assert found.spec.family != zoo.spec(other).family
        assert found.spec.preset_name == "megvii"
    text = rejected(megvii(**{EXPAND: None}), like=zoo.spec(MODEL_V2))
    assert text == f"1 of 245 arrays do not fit {MODEL} in dialect megvii:\n    {EXPAND}: missing"


def test_conventions_of_another_family_are_refused():
    with pytest.raises(zoo.UnknownNameError) as error:
        recognize(megvii_v2(), conventions="paper")
    assert str(error.value).startswith(
        "unknown shufflenet_v2 preset 'paper'; known: megvii, mindcv"
    )
    with pytest.raises(zoo.SpecError, match=r"must be ShuffleNetV2Conventions"):
        recognize(megvii_v2(), conventions=zoo.spec(MODEL).conventions)


def test_what_no_array_tells_is_what_was_expected():
    """Strides and the residual change the function, and no shape."""
    spec = zoo.spec(
        MODEL_V2, stem_channels=(4, 6), stage_channels=(12, 24, 48), stage_repeats=(2, 1, 1),
        last_channels=8, squeeze_excite=True, stage_strides=(1, 2, 1), image_size=64, dropout=0.1,
    )  # fmt: skip
    arrays = drawn(spec)
    alone = recognize(arrays, conventions="megvii").spec
    assert (alone.stage_strides, alone.residual) == ((2, 2, 2), True)
    found = recognize(arrays, like=spec)
    assert found.spec == spec.replace(image_size=224, dropout=0.0)
    assert list(found.weights) == list(spec.graph.parameters)
    # Expectations that the arrays contradict are none.
    assert recognize(arrays, like=spec.replace(last_channels=9)).spec.last_channels == 8


def test_layers_that_a_code_base_does_not_have():
    spec = zoo.spec("se_shufflenet_v2_164")
    with pytest.raises(zoo.WeightsError) as error:
        V2["torchvision"].names(spec.graph)
    assert str(error.value) == (
        "dialect torchvision has no name for stem.0.conv: no shufflenet_v2 of its code base has "
        "such a layer"
    )


@pytest.mark.parametrize(("width", "last"), [(1.5, 1553), (2.0, 2153)])
def test_last_convolutions_as_wide_as_pytorchcv_has_them(width, last):
    spec = zoo.spec(MODEL_V2, width=width, last_channels=last, conventions="pytorchcv")
    shapes = {name: p.shape for name, p in spec.graph.parameters.items()}
    arrays = {
        theirs: np.broadcast_to(np.float32(0), shapes[ours])
        for theirs, ours in V2["pytorchcv"].names(spec.graph).items()
    }
    assert recognize(arrays).spec == spec


def test_a_long_stem_is_read_in_its_order():
    """Files keep no order, and 10 comes before 2 in the alphabet."""
    channels = tuple(range(4, 28, 2))
    spec = zoo.spec("shufflenet_v2_0.5x", stem_channels=channels, conventions="torchvision")
    weights = drawn(spec)
    shuffled = dict(sorted(weights.items(), reverse=True))
    assert recognize(shuffled, conventions="torchvision").spec.stem_channels == channels


def test_numbers_that_the_network_counts(rng):
    """A layer has another name in each kind of unit, and the last one a number of the units."""
    spec = zoo.spec("mobilenet_v2", stage_repeats=(1, 1, 2, 1, 1, 1, 1), image_size=64)
    (theirs,) = find_dialect("torchvision", "mobilenet_v2")
    names = {ours: name for name, ours in theirs.names(spec.graph).items()}
    assert names["stage1.0.project.conv.weight"] == "features.1.conv.1.weight"
    assert names["stage3.1.project.conv.weight"] == "features.4.conv.2.weight"
    assert names["last.bn.bias"] == "features.9.1.bias"
    written = theirs.write(spec.graph, drawn(spec))
    order = [list(written)[i] for i in rng.permutation(len(written))]
    with pytest.raises(zoo.WeightsError, match="do not fit mobilenet_v2_"):
        recognize(written)  # strides are no shapes: of other rows than the catalog's, say which
    found = recognize({name: written[name] for name in order}, like=spec)
    assert found.dialect is theirs
    assert found.spec == spec


def test_units_of_two_kinds_are_no_units():
    rules = [("stage{stage}.{unit}.conv", f"layers.{{flat:{kind}}}.{kind}") for kind in "ab"]
    rest = {"source": "", "framework": "torch", "conventions": None}
    both = Dialect(name="both", family="graph", rules=tuple(rules), **rest)
    g = GraphBuilder(3, 8)
    with g.scope("stage1.0"):
        graph = g.build(g.conv(g.input, 4))
    with pytest.raises(zoo.WeightsError, match=r"^dialect both: stage1\.0 is a unit of two kinds"):
        both.names(graph)


@pytest.mark.parametrize("name", ["efficientnet_b4", "efficientnet_b5"])
@pytest.mark.parametrize("peer", ["torchvision", "timm"])
def test_a_code_base_may_follow_another_preset_from_some_depth_on(peer, name):
    """torchvision's batch norms have another eps from B5 on, timm's have not; names are silent."""
    spec = zoo.spec(name, conventions="timm")
    (dialect,) = find_dialect(peer, spec.family)
    shapes = {ours: parameter.shape for ours, parameter in spec.graph.parameters.items()}
    arrays = {
        theirs: np.broadcast_to(np.float32(0), shapes[ours])
        for theirs, ours in dialect.names(spec.graph).items()
    }
    other = (peer, name) == ("torchvision", "efficientnet_b5")
    found = recognize(arrays).spec
    assert found == spec.replace(conventions="torchvision_b5" if other else "torchvision")
