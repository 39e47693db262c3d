"""Specs: names, overrides, JSON, hashes, presets."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import zoo
from zoo.families.shufflenet_v1 import PRESETS

NAMES = zoo.list_models()
EIGHT = [f"shufflenet_v1_{w}x_g{g}" for w in ("0.5", "1.0", "1.5", "2.0") for g in (3, 8)]
WIDTHS = ("0.5x", "1.0x", "1.5x", "2.0x")


def test_the_catalog_is_complete_and_sorted():
    papers = [f"shufflenet_v1_1.0x_g{g}" for g in (1, 2, 4)]
    cifar = [f"shufflenet_v1_{base}_cifar" for base in ("1.0x_g2", "1.0x_g3", "0.5x_g3")]
    v2 = [f"shufflenet_v2_{w}{stem}" for w in WIDTHS for stem in ("", "_tiny", "_cifar")]
    plus = [f"shufflenet_v2_plus_{size}" for size in ("small", "medium", "large")]
    others = ["shufflenet_v2_50", "se_shufflenet_v2_164", "shufflenet_v2_large"]
    assert zoo.list_models("*shufflenet*") == sorted(EIGHT + papers + cifar + v2 + plus + others)
    depths = [f"resnet{layers}" for layers in (18, 34, 50, 101, 152)]
    wider = [f"resnext101_{groups}d" for groups in ("32x4", "32x8", "64x4")]
    wider += ["resnext50_32x4d", "resnext152_64x4d", "wide_resnet50_2", "wide_resnet101_2"]
    small = ["resnet9", "resnet18_tiny", "resnet18_cifar"]
    assert zoo.list_models("*resne*") == sorted(depths + wider + small)
    vggs = [f"vgg{layers}{norm}" for layers in (11, 13, 16, 19) for norm in ("", "_bn")]
    assert zoo.list_models("vgg*") == vggs
    assert zoo.list_models("densenet*") == [f"densenet{n}" for n in (121, 161, 169, 201)]
    assert (len(zoo.list_models("regnet_x_*")), len(zoo.list_models("regnet_y_*"))) == (13, 15)
    assert sorted(NAMES) == NAMES
    assert zoo.list_models("*g8") == [n for n in NAMES if n.endswith("g8")]


def test_presets():
    assert set(PRESETS) == {
        "megvii", "mindcv", "mindspore_tutorial", "paper", "mmpretrain", "pytorchcv", "kuangliu",
    }  # fmt: skip
    assert all(zoo.spec(name).preset_name == "megvii" for name in EIGHT)
    assert zoo.spec("shufflenet_v1_1.0x_g2_cifar").preset_name == "kuangliu"
    assert zoo.spec("shufflenet_v2_1.0x_tiny").preset_name == "custom"
    assert zoo.spec("shufflenet_v2_1.0x_tiny").conventions_told == "megvii, stem='tiny'"


@pytest.mark.parametrize("name", [EIGHT[0], "shufflenet_v2_1.0x"])
def test_each_preset_is_another_function(name):
    presets = zoo.spec(name).presets
    assert len({zoo.spec(name, conventions=preset).graph for preset in presets}) == len(presets)


SMALL = [name for name in NAMES if name not in ("shufflenet_v2_50", "se_shufflenet_v2_164")]
OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "num_classes": st.integers(1, 50),
        "in_channels": st.integers(1, 5),
        "image_size": st.integers(16, 96),
        "conventions": st.integers(0, 9),
        "classifier_bias": st.booleans(),
        "bn_eps": st.sampled_from([1e-3, 1e-5]),
    },
)


@settings(max_examples=50, deadline=None)
@given(name=st.sampled_from(SMALL), overrides=OVERRIDES)
def test_json_round_trip(name, overrides):
    if "conventions" in overrides:
        presets = sorted(zoo.spec(name).presets)
        overrides["conventions"] = presets[overrides["conventions"] % len(presets)]
    try:
        spec = zoo.spec(name, **overrides)
    except zoo.GraphError:  # kuangliu's bottleneck does not fit every group
        reject()
    again = zoo.spec_from_json(spec.to_json())
    assert again == spec
    assert hash(again) == hash(spec)
    assert again.sha256 == spec.sha256
    assert again.graph == spec.graph
    assert (spec.sha256 == zoo.spec(name).sha256) == (spec == zoo.spec(name))


def test_the_hash_is_stable():
    # Files carry it: if this changes, JSON_VERSION has to change too.
    sha256 = zoo.spec("shufflenet_v1_1.0x_g3").sha256
    assert sha256 == "9db133ae51178ffe1547eabdea8295893a3fad66d3ea42b00e4e6a1db240580b"


def test_specs_are_frozen_and_hold_the_channel_table():
    spec = zoo.spec("shufflenet_v1_2.0x_g3", num_classes=10)
    assert (spec.stem_channels, spec.stage_channels, spec.stage_repeats) == (
        48, (480, 960, 1920), (4, 8, 4),
    )  # fmt: skip
    assert (spec.width, spec.groups, spec.num_classes) == (2.0, 3, 10)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.groups = 4
    assert zoo.spec(spec, width=0.5).stage_channels == (120, 240, 480)
    assert zoo.spec(spec, width=1.5, groups=8).stage_channels == (576, 1152, 2304)


G3, V2 = "shufflenet_v1_1.0x_g3", "shufflenet_v2_1.0x"
V4 = "mobilenet_v4_conv_medium_1.0x"
WRONG = [
    ((V2,), {"dropout": 1.0}, zoo.SpecError, "dropout (=1.0) must be in [0, 1)"),
    (("resnet9",), {"dropout": "much"}, zoo.SpecError, "dropout (='much') must be in [0, 1)"),
    ((V2,), {"width": 3.0}, zoo.SpecError, "width (=3.0) must be one of 0.5, 1.0, 1.5, 2.0"),
    ((V2,), {"stage_strides": (2, 2)}, zoo.SpecError,
     "stage_channels (=(116, 232, 464)), stage_repeats (=(4, 8, 4)) and stage_strides (=(2, 2)) "
     "must have one entry a stage"),
    ((V4,), {"unit_kinds": "conv"}, zoo.SpecError, "unit_kinds (='conv') must be a list"),
    ((V4,), {"unit_kinds": ("conv",)}, zoo.SpecError,
     "unit_kinds (=('conv',)) must have one entry a unit, 23"),
    ((V4,), {"unit_kinds": ("ffn",) * 23}, zoo.SpecError,
     "stage1.0: kind (='ffn') must be one of conv, fused, universal"),
    ((V4,), {"unit_kernels": (-1,) * 23}, zoo.SpecError,
     "kernel of a unit (=-1) must be a whole number of at least 0"),
    ((V4,), {"unit_start_kernels": (3,) * 23}, zoo.SpecError,
     "stage1.0: kernels (=(3, 3)) of a fused unit must be 0 and another number"),
    ((V4,), {"unit_start_kernels": (0,) * 23, "unit_kernels": (3, 0) + (1,) * 21}, zoo.SpecError,
     "stage2.0: stride (=2) must be 1 where there is no kernel"),
    (("shuflenet_v1_1.0_g3",), {}, zoo.UnknownNameError,
     "unknown model 'shuflenet_v1_1.0_g3'; did you mean 'shufflenet_v1_1.0x_g3' or "),
    ((3,), {}, zoo.SpecError, "model must be a name or a spec, not int"),
    ((G3,), {"num_clases": 10}, zoo.UnknownNameError,
     "unknown shufflenet_v1 override 'num_clases'; did you mean 'num_classes'"),
    ((G3,), {"conventions": "mindvc"}, zoo.UnknownNameError,
     "unknown shufflenet_v1 preset 'mindvc'; did you mean 'mindcv'?"),
    ((G3,), {"shuffle_order": "nn"}, zoo.SpecError,
     "shuffle_order (='nn') must be one of gn, ng"),
    ((G3,), {"classifier_bias": "yes"}, zoo.SpecError,
     "classifier_bias (='yes') must be True or False"),
    ((G3,), {"bn_eps": 0.0}, zoo.SpecError, "bn_eps (=0.0) must be positive"),
    ((G3,), {"bn_momentum": 2}, zoo.SpecError, "bn_momentum (=2) must be in (0, 1]"),
    ((G3,), {"num_classes": -1}, zoo.SpecError,
     "num_classes (=-1) must be a whole number of at least 0"),
    ((G3,), {"num_classes": 1.5}, zoo.SpecError,
     "num_classes (=1.5) must be a whole number of at least 0"),
    ((G3,), {"stage_channels": 240}, zoo.SpecError,
     "stage_channels (=240) must be a list of whole numbers"),
    ((G3,), {"stage_repeats": (4, 8)}, zoo.SpecError,
     "stage_channels (=(240, 480, 960)) and stage_repeats (=(4, 8)) must have one entry a stage"),
    ((G3,), {"stage_repeats": (4, 10**9, 4)}, zoo.SpecError,
     "stage_repeats (=(4, 1000000000, 4)) must be at most 1000 in all"),
    ((G3,), {"width": 3.0}, zoo.SpecError,
     "width (=3.0) with groups (=3) must be one of 1.0x g1, "),
    ((G3,), {"groups": 7}, zoo.GraphError,
     "stage2.0.shuffle: channels (=60) must be divisible by groups (=7)"),
    ((G3,), {"groups": 7, "conventions": "kuangliu"}, zoo.GraphError,
     "stage2.0.expand.conv: in_channels (=54) must be divisible by groups (=7)"),
    ((G3,), {"stage_channels": (20, 480, 960)}, zoo.GraphError,
     "stage2.0.shuffle: channels (=5) must be divisible by groups (=3)"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "overrides", "kind", "message"), WRONG)
def test_bad_input(args, overrides, kind, message):
    with pytest.raises(kind) as error:
        zoo.spec(*args, **overrides)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda f: f.update(version=99), zoo.SpecError, "version (=99) of the spec must be 1"),
        (
            lambda f: f.update(family="mobilenet"),
            zoo.UnknownNameError,
            "unknown family 'mobilenet'",
        ),
        (lambda f: f.update(extra=1), zoo.UnknownNameError, "unknown shufflenet_v1 field 'extra'"),
        (lambda f: f.pop("groups"), zoo.SpecError, "shufflenet_v1: the fields do not make a spec"),
        (lambda f: f.update(groups=7), zoo.GraphError, "stage2.0.shuffle: channels (=60)"),
        (lambda f: f.clear(), zoo.SpecError, "not the JSON of a spec: 'version' is missing"),
    ],
)
def test_bad_json(change, kind, message):
    fields = json.loads(zoo.spec(G3).to_json())
    change(fields)
    with pytest.raises(kind) as error:
        zoo.spec_from_json(json.dumps(fields))
    assert str(error.value).startswith(message)
    with pytest.raises(zoo.SpecError, match="not the JSON of a spec"):
        zoo.spec_from_json("{")


KINDS = ("shufflenet_v1_0.5x_g3", "shufflenet_v2_0.5x", "shufflenet_v2_plus_small", "resnet9")
OF_OTHER_TYPES = {
    "bn_eps": ("a", "bn_eps (='a') must be a number"),
    "bn_momentum": ([], "bn_momentum (=[]) must be a number"),
    "conventions": (5, "conventions (=5) must be those of "),
    "in_channels": (10**30, f"in_channels (={10**30}) must be at most 1048576"),
    "num_classes": ([1], "num_classes (=(1,)) must be a whole number of at least 0"),
    "image_size": ("x", "image_size (='x') must be a whole number of at least 1"),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("field", OF_OTHER_TYPES)
def test_values_of_other_types(name, field):
    value, message = OF_OTHER_TYPES[field]
    with pytest.raises(zoo.SpecError) as error:
        zoo.spec(name, **{field: value})
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("name", KINDS)
def test_no_value_in_json_is_a_raw_error(name):
    import json

    whole = json.loads(zoo.spec(name).to_json())
    bad = [None, [], {}, "x", -1, 1.5, [[1]], [{}], {"a": 1}, True, 10**18]
    refused = 0
    for place in (whole, whole["conventions"]):
        for key in list(place):
            kept = place[key]
            for place[key] in bad:
                try:
                    zoo.spec_from_json(json.dumps(whole))
                except zoo.ZooError:
                    refused += 1
            place[key] = kept
    assert refused > 0.8 * len(bad) * (len(whole) + len(whole["conventions"]))
