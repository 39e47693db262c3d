"""Stems: one rule of what networks leave out for small images, in every family that halves them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import typing

import pytest
import torch
import torchvision
from catalog_rows import EACH_FAMILY, SHORT
from conftest import BACKENDS

import zoo
from zoo.arch.later import LATER, stated
from zoo.arch.operators import Conv2d
from zoo.families import stages
from zoo.families.graph import GraphSpec
from zoo.families.mobilenet_v2 import ROWS as ROWS_OF_V2
from zoo.families.registry import FAMILIES, base_model, family_type, kinds
from zoo.families.stems import LEFT_OUT, StemConventions, strides, with_stem_of

SIZES = {"imagenet": 224, "tiny": 64, "cifar": 32}
# Of each stem, the kernel of the first convolution, where it is not always 3×3. ResNets' 7×7 and
# ShuffleNet V1's 3×3 are other ones where nothing halves, and ConvNeXt's patch is as large as its
# stride.
OTHER_KERNELS = {
    "shufflenet_v1_0.5x_g3": (3, 3, 1),
    "resnet18": (7, 7, 3),
    "resnet50": (7, 7, 3),
    "squeezenet1_0": (7, 7, 7),
    "densenet121": (7, 7, 3),
    "convnext_atto": (4, 2, 1),
}
NAMES = (
    *OTHER_KERNELS,
    "shufflenet_v2_0.5x", "se_shufflenet_v2_164", "shufflenet_v2_plus_small", "shufflenet_v2_large",
    "mobilenet_v1_0.25x", "mobilenet_v2_0.35x",
    "mobilenet_v3_large_0.75x", "mobilenet_v3_small_1.0x",  # whose first unit halves
    "mobilenet_v4_conv_small_0.5x", "mobilenet_v4_conv_medium_1.0x",
    "mnasnet_0.5x", "mnasnet_a1_0.5x", "efficientnet_b0", "efficientnet_lite0", "squeezenet1_1",
    "ghostnet_0.5x",  # whose units have another layer where they halve
    "regnet_x_200mf", "regnet_x_400mf_tv",  # whose first unit makes as many channels as it reads
)  # fmt: skip
WITHOUT = {"resnet9", "vgg", "graph"}
# Of the first network of each family, as before there were stems: files state them.
HASHES = {
    "shufflenet_v1_1.0x_g1": "f0395132ba65b9df",
    "shufflenet_v2_0.5x": "0fb8bf0dfc529a6f",
    "shufflenet_v2_plus_small": "0004f2e45bec6539",
    "shufflenet_v2_large": "281611438570ff65",
    "resnet9": "d27bf7ea9efab693",
    "resnet18": "0a6190c36fe03a9f",
    "mobilenet_v1_0.25x": "6805a9f527a4d339",
    "mobilenet_v2_0.35x": "75d8ba8ff76ffd86",
    "mobilenet_v3_large_0.75x": "6d0e29c2f3890cb1",
    "mnasnet_0.5x": "117d8fa8dcffe590",
    "mnasnet_a1_0.5x": "57b93d57aa661ec1",
    "ghostnet_0.5x": "296dc607344a1475",
    "efficientnet_b0": "ef9257a47b36cc56",
    "squeezenet1_0": "0e2e2d4b9a302d41",
    "vgg11": "1a0ea80afee74502",
    "densenet121": "cb3b2b968bdf58ea",
    "regnet_x_200mf": "988abfbf9ad88fb0",
    "convnext_atto": "c9e2b14ab044d027",
}


def arrays(spec):
    return {name: parameter.shape for name, parameter in spec.graph.parameters.items()}


def with_stem(name, stem, **options):
    return zoo.spec(name, stem=stem, image_size=SIZES[stem], **options)


def last_side(spec):
    """Return the side of the last map that is more than a pixel."""
    maps = [shape for shape in spec.graph.shapes().values() if len(shape) == 4 and shape[2] > 1]
    return maps[-1][2]


def test_every_family_is_here():
    has = {f for f in FAMILIES if hasattr(family_type(f).conventions_type, "stem")}
    assert has == {zoo.spec(name).family for name in NAMES} == {*FAMILIES} - WITHOUT
    for family in has:
        hints = typing.get_type_hints(family_type(family).conventions_type)
        assert typing.get_args(hints["stem"]) == tuple(SIZES) == tuple(LEFT_OUT)


@pytest.mark.parametrize("name", NAMES)
def test_a_stem_leaves_out_the_first_halvings(name):
    specs = {stem: with_stem(name, stem) for stem in SIZES}
    first = {
        stem: next(n.op for n in spec.graph.nodes if isinstance(n.op, Conv2d))
        for stem, spec in specs.items()
    }
    assert tuple(op.kernel_size[0] for op in first.values()) == OTHER_KERNELS.get(name, (3, 3, 3))
    if zoo.spec(name).family == "squeezenet":  # it halves four times, and pads less
        sides = {"squeezenet1_0": (13, 7, 6), "squeezenet1_1": (13, 7, 7)}[name]
    else:
        sides = (7, 4, 4)  # of 224, 64 and 32 pixels, 1 of 32, 16 and 8
    assert tuple(map(last_side, specs.values())) == sides
    # Layers with weights stay: those of one stem fit the others.
    shapes = {stem: arrays(spec) for stem, spec in specs.items()}
    (conv, *_) = shapes["imagenet"]
    for stem, found in shapes.items():
        assert found.keys() == shapes["imagenet"].keys()
        other = {key for key in found if found[key] != shapes["imagenet"][key]}
        same_kernel = first[stem].kernel_size == first["imagenet"].kernel_size
        assert other == (set() if same_kernel else {conv}), stem


def test_strides():
    assert strides("imagenet", (2, 1, 2)) == (2, 1, 2)
    assert strides("tiny", (2, 1, 2)) == (1, 1, 2)
    assert strides("cifar", (2, 1, 2, 2)) == (1, 1, 1, 2)
    assert strides("cifar", (1, 1)) == (1, 1)


def test_units_at_stride_1_are_those_of_stride_1():
    """MobileNetV3's first adds what it read where nothing halves; paddings are then all one."""
    small = with_stem("mobilenet_v3_small_1.0x", "cifar", conventions="mindcv")
    assert "stage1.0.add" in small.graph.by_name
    assert "stage1.0.add" not in zoo.spec("mobilenet_v3_small_1.0x").graph.by_name
    spec = with_stem("efficientnet_b0", "cifar", padding="SAME_UPPER")
    same = [n.name for n in spec.graph.nodes if getattr(n.op, "padding", "") == "SAME_UPPER"]
    assert same == [f"stage{stage}.0.depthwise.conv" for stage in (3, 4, 6)]


@pytest.mark.parametrize("name", HASHES)
def test_hashes_are_those_of_the_files_that_there_are(name):
    spec = zoo.spec(name)
    assert spec.sha256[:16] == HASHES[name]
    if not issubclass(spec.conventions_type, StemConventions):
        return
    fields = json.loads(spec.to_json())
    assert "stem" not in fields["conventions"]
    assert zoo.spec_from_json(json.dumps(fields)) == spec == spec.replace(stem="imagenet")
    other = spec.replace(stem="cifar")
    assert json.loads(other.to_json())["conventions"]["stem"] == "cifar"
    assert other.sha256 != spec.sha256
    assert zoo.spec_from_json(other.to_json()) == other
    assert "stem='cifar'" in other.conventions_told
    assert base_model(other) == name


def test_only_what_came_later_is_left_out():
    @dataclasses.dataclass(frozen=True)
    class Thing:
        always: int = 1
        now: int = dataclasses.field(default=2, metadata=LATER)

    assert stated(Thing()) == {"always": 1}
    assert stated(Thing(now=3)) == {"always": 1, "now": 3}


def test_a_default_of_its_own_is_stated():
    """Networks of no family start otherwise: what they start from is in their JSON either way."""
    spec = GraphSpec.of(zoo.spec("resnet9").graph, "net")
    for initialization in ("fan_in", "damped"):
        own = spec.replace(initialization=initialization)
        assert json.loads(own.to_json())["initialization"] == initialization
        assert zoo.spec_from_json(own.to_json()) == own


def few_units(name):
    """Return a network with few units, and with them whatever a stem changes."""
    return zoo.spec(name, **SHORT[name]).replace(stem="cifar", image_size=32)


@pytest.mark.sweep(quick=["mobilenet_v2"])
@pytest.mark.parametrize("family", sorted({*EACH_FAMILY} - WITHOUT))
def test_forward_on_every_backend(family):
    report = zoo.parity(few_units(EACH_FAMILY[family]), backends=BACKENDS, level="forward")
    assert report.passed, str(report)


@pytest.mark.exhaustive
def test_the_form_for_inference():
    spec = few_units("mobilenet_v3_small_0.5x")
    report = zoo.parity(spec, backends=BACKENDS, optimize=True, level="forward")
    assert report.passed, str(report)


BAD = [
    ("mobilenet_v2_1.0x", {"stem": "x"}, "stem (='x') must be one of imagenet, tiny, cifar"),
    ("shufflenet_v1_1.0x_g3", {"stem": 2}, "stem (=2) must be one of imagenet, tiny, cifar"),
    ("vgg11", {"stem": "cifar"}, "unknown vgg override 'stem'; known: adaptive_pool, "),
    ("resnet9", {"stem": "cifar"}, "unknown resnet9 override 'stem'; known: bn_eps, "),
]


@pytest.mark.parametrize(("name", "options", "message"), BAD)
def test_what_is_no_stem_is_refused(name, options, message):
    with pytest.raises(zoo.ZooError) as error:
        zoo.create(name, backend="numpy", **options)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_of_weights_tell_the_network_and_what_is_known_its_stem(name):
    for stem in ("tiny", "cifar"):
        spec = with_stem(name, stem, num_classes=10)
        _, outer, units = stages._shapes(spec)
        found = type(spec).from_shapes(outer, units, spec.conventions)
        same = {field: getattr(spec, field) for field in spec.weightless}
        assert dataclasses.replace(found, **same) == spec


@pytest.mark.parametrize("name", ["ghostnet_0.5x", "regnet_x_400mf_tv"])
def test_files_keep_it(name, tmp_path):
    net = zoo.create(name, stem="cifar", image_size=32, num_classes=10)
    zoo.save(net, tmp_path / "net.safetensors")
    again = zoo.load(tmp_path / "net.safetensors").eval()
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(net.eval()(x), again(x))
    assert zoo.load_weights(tmp_path / "net.safetensors").spec == with_stem(
        name, "cifar", num_classes=10
    )


def of_torchvision():
    """Return MobileNetV2 0.35x of torchvision's own code, asked for CIFAR's stem.

    Its second row is at stride 1 and makes as many channels as it reads, and so adds.
    """
    torch.manual_seed(0)
    rows = [[*row[:3], 1 if i == 1 else row[3]] for i, row in enumerate(ROWS_OF_V2)]
    module = torchvision.models.MobileNetV2(10, width_mult=0.35, inverted_residual_setting=rows)
    module.features[0][0].stride = (1, 1)
    return module


@pytest.mark.exhaustive
def test_a_live_network_of_others_is_recognized():
    net = zoo.adopt(of_torchvision().eval(), example=torch.randn(1, 3, 32, 32))
    assert net.spec == with_stem("mobilenet_v2_0.35x", "cifar", num_classes=10)


def test_files_of_others_are_of_the_stem_that_is_said(tmp_path):
    """No name and no shape tells a stride."""
    name, said = "mobilenet_v2_0.35x", {"stem": "cifar", "image_size": 32}
    module = of_torchvision()
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the statistics of the one batch, so that values do not vanish
    theirs, ours = tmp_path / "theirs.pth", tmp_path / "ours.pth"
    module(torch.randn(16, 3, 32, 32))
    torch.save(module.eval().state_dict(), theirs)
    x = torch.randn(2, 3, 32, 32)
    logits = module(x)

    def error(net):
        return ((net.eval()(x) - logits).abs().max() / logits.abs().max()).item()

    assert zoo.load_weights(theirs).spec.conventions.stem == "imagenet"  # as its published ones
    assert zoo.load_weights(theirs, model=zoo.spec(name, **said)).spec.conventions.stem == "cifar"
    for made in (
        zoo.load(theirs, **said),
        zoo.create(theirs, **said),
        zoo.create(name, weights=theirs, **said),
        zoo.create(zoo.load_weights(theirs), **said),
    ):
        assert error(made) < 1e-5
    assert error(zoo.load(theirs)) > 0.1
    zoo.save(made, ours)
    zoo.convert(ours, theirs, to_dialect="torchvision", force=True)
    again, state = torch.load(theirs), module.state_dict()
    assert again.keys() == {key for key in state if "num_batches" not in key}
    assert all(torch.equal(state[key], array) for key, array in again.items())
    with pytest.raises(zoo.ConventionError) as error:  # what is known is another function
        zoo.load(ours, stem="tiny")
    assert "stem (='cifar') to 'tiny': stage2.0.depthwise.conv: stride" in str(error.value)


def test_the_shapes_stay_where_other_numbers_are_drawn():
    """MobileNetV3's first unit adds with it, so that what is added starts from less."""
    spec = with_stem("mobilenet_v3_small_1.0x", "cifar")
    assert with_stem_of(spec, spec.replace(stem="imagenet")) == spec
    resnet = with_stem("resnet18", "cifar")
    assert with_stem_of(resnet, resnet.replace(stem="imagenet")).conventions.stem == "imagenet"


@pytest.mark.exhaustive
def test_each_kind_has_every_stem():
    """No network of the catalog is refused one; this takes a graph each, and one for each kind."""
    for family, stem in itertools.product(sorted({*FAMILIES} - WITHOUT), ("tiny", "cifar")):
        for entry in kinds(family):
            assert entry.replace(stem=stem, image_size=SIZES[stem]).graph.nodes
