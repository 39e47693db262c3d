"""Conversions between conventions: exact or refused, and the way back is the inverse."""

from __future__ import annotations

import dataclasses
import itertools
import math
import typing

import numpy as np
import pytest
from conftest import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import backends
import weights
import zoo
from zoo.arch.builder import GraphBuilder
from zoo.arch.operators import ChannelPermute
from zoo.arch.spec import Conventions, Spec
from zoo.errors import ConventionError, SpecError
from zoo.families.shufflenet_v1 import ShuffleNetV1Conventions, ShuffleNetV1Spec
from zoo.families.shufflenet_v2 import ShuffleNetV2Conventions, ShuffleNetV2Spec
from zoo.passes import convert_conventions, match_channels, match_weights

EXACT = 1e-12
"""Relative error in float64; 2e-15 is measured. Sums are taken in another order, nothing else."""


def run(graph, arrays, size):
    numpy = backends.load("numpy")
    model = numpy.build(graph)
    numpy.set_parameters(model, arrays)
    x = np.random.default_rng(0).standard_normal((2, graph.in_channels, size, size))
    return model(x)


def error(a, b):
    return np.abs(a - b).max() / np.abs(a).max()


def assert_same(some, other):
    assert list(some) == list(other)
    for name, array in some.items():
        assert array.dtype == other[name].dtype, name
        assert np.array_equal(array, other[name]), name


def assert_converts(source, target, size, seed=0):
    """Exactly the same function, there and back bit by bit, and not the same without permuting."""
    arrays = weights.randomize(source.graph, seed)
    before = {name: array.copy() for name, array in arrays.items()}
    found = convert_conventions(source, target, arrays)
    assert {n: a.shape for n, a in found.items()} == {
        n: p.shape for n, p in target.graph.parameters.items()
    }
    expected = run(source.graph, arrays, size)
    assert error(expected, run(target.graph, found, size)) < EXACT
    assert_same(convert_conventions(target, source, found), arrays)
    assert_same(arrays, before)
    moved = [n for n, a in arrays.items() if not np.array_equal(a, found[n])]
    if moved:
        unpermuted = found | arrays
        assert error(expected, run(target.graph, unpermuted, size)) > 1e-3
    return moved


SMALL_IMAGES = ("_cifar", "_tiny")
WIDTHS, WIDTHS_V2 = (
    [
        name
        for name in zoo.list_models()
        if type(zoo.spec(name)) is family and not name.endswith(SMALL_IMAGES)
    ]
    for family in (ShuffleNetV1Spec, ShuffleNetV2Spec)
)
# Shuffle order: not where a bottleneck's channels divide unevenly among the groups (shared facts;
# g4's stage 3 has 136 / 4 = 34 channels a group, of which its four readers cannot take the same).
OTHER_ORDER = {
    "shufflenet_v1_0.5x_g8": "stage2.1.expand.conv: group 0 must read (1, 1, 1, 1, 1, 1, 0, 0) "
    "channels of the groups of stage2.1.compress.conv; that of the source reads "
    "(1, 1, 1, 0, 1, 1, 1, 0), and no other group fits",
    "shufflenet_v1_1.0x_g8": "stage2.1.expand.conv: group 0 must read (2, 2, 2, 2, 1, 1, 1, 1) "
    "channels of the groups of stage2.1.compress.conv; that of the source reads "
    "(2, 1, 2, 1, 2, 1, 2, 1), and no other group fits",
    "shufflenet_v1_1.5x_g8": "stage2.1.expand.conv: group 0 must read (3, 3, 2, 2, 2, 2, 2, 2) "
    "channels of the groups of stage2.1.compress.conv; that of the source reads "
    "(3, 2, 2, 2, 3, 2, 2, 2), and no other group fits",
    "shufflenet_v1_1.0x_g4": "stage3.0.expand.conv: group 0 must read (9, 9, 8, 8) "
    "channels of the groups of stage3.0.compress.conv; that of the source reads "
    "(9, 8, 9, 8), and no other group fits",
}  # fmt: skip
FREE = [
    dict(shuffle_position="before_depthwise"),
    dict(relu_position="after_concat"),
    dict(first_unit_shuffle=False),
    dict(concat_order="main_pool"),
    dict(concat_order="main_pool", shuffle_position="before_depthwise", first_unit_shuffle=False),
]


def assert_there_and_back(source, target):
    """The way back is the inverse, on the graphs alone."""
    there = match_channels(source.graph, target.graph)
    back = match_channels(target.graph, source.graph)
    for node, order in there.items():
        for one, other in ((order.read, back[node].read), (order.made, back[node].made)):
            assert np.array_equal(one[other], np.arange(len(one))), node


@pytest.mark.sweep(quick=["*0.5x_g3", "*1.0x_g1", "*1.0x_g4", "*1.0x_g8"])
@pytest.mark.parametrize("name", WIDTHS)
def test_every_width(name):
    source = zoo.spec(name)
    for change in FREE:
        assert_there_and_back(source, source.replace(**change))
    for order, position in itertools.product(("gn", "ng"), ("before", "after")):
        target = source.replace(shuffle_order=order, shuffle_position=f"{position}_depthwise")
        if order == "gn" and name in OTHER_ORDER:
            with pytest.raises(ConventionError) as refused:
                match_channels(source.graph, target.graph)
            assert str(refused.value) == OTHER_ORDER[name]
        else:
            match_channels(source.graph, target.graph)


@pytest.mark.parametrize(
    ("width", "possible"),
    [(0.5, (False, False, True)), (1.0, (False, True, True)), (1.5, (False, False, True)),
     (2.0, (True, True, True))],
)  # fmt: skip
def test_the_shuffle_orders_of_eight_groups_stage_by_stage(width, possible):
    spec = zoo.spec("shufflenet_v1_1.0x_g8", width=width)
    for channels, expected in zip(spec.stage_channels, possible, strict=True):
        stage = spec.replace(stage_channels=(channels,), stage_repeats=(2,))
        other = stage.replace(shuffle_order="gn")
        if expected:
            match_channels(stage.graph, other.graph)
        else:
            with pytest.raises(ConventionError, match=r"stage2\.1\.expand\.conv: group 0 must"):
                match_channels(stage.graph, other.graph)


# The shuffle of V2: not where the branches of a stage's first unit are no halves. megvii's shuffle
# leaves the next unit every other channel of either, the others' the second half of the longer.
UNEVEN = {
    "shufflenet_v2_1.0x": (46, 12),
    "shufflenet_v2_1.5x": (76, 12),
    "shufflenet_v2_2.0x": (110, 12),
}


def without_residual(spec):
    """Return the network whose units add nothing: a residual ties what passes by from afar."""
    return dataclasses.replace(spec, residual=False)


@pytest.mark.sweep(quick=["*v2_0.5x", "*v2_1.0x", "*v2_50"])
@pytest.mark.parametrize(
    "name",
    WIDTHS_V2,
)
def test_every_width_of_v2(name):
    """On the graphs alone: the weights of SE-ShuffleNet V2-164 are half a gigabyte."""
    published = zoo.spec(name)
    halves = without_residual(published.replace(conventions="torchvision"))
    assert_there_and_back(halves, halves.replace(shuffle="start"))
    if name == "shufflenet_v2_0.5x":  # each stage doubles the channels: these are halves too
        for preset in ("pytorchcv", "torchvision"):
            assert_there_and_back(published, published.replace(conventions=preset))
    if name in UNEVEN:
        with pytest.raises(ConventionError) as refused:
            match_channels(published.graph, published.replace(conventions="pytorchcv").graph)
        main, shortcut = UNEVEN[name]
        assert str(refused.value) == (
            f"stage2.1.compress.conv: reads {main} channels of relu(stage2.0.expand.bn), "
            f"{shortcut} of relu(stage2.0.shortcut.expand.bn), must read relu(stage2.0.expand.bn)"
        )
    hard = [dict(stem="tiny"), dict(stem="cifar"), dict(pool_padding="SAME_UPPER")]
    if name != "shufflenet_v2_0.5x":
        hard.append(dict(stride_2_split="asymmetric"))
    for change in hard:
        with pytest.raises(ConventionError):
            match_channels(halves.graph, halves.replace(**change).graph)


@pytest.mark.exhaustive
def test_a_residual_ties_what_passes_by_to_the_shuffle():
    spec = zoo.spec("se_shufflenet_v2_164")
    for channels, repeats in zip(spec.stage_channels, spec.stage_repeats, strict=True):
        stage = spec.replace(
            stage_channels=(channels,), stage_repeats=(repeats,), stage_strides=(2,)
        )
        with pytest.raises(ConventionError, match=r"^stage2\.\d\.compress\.conv: must read other "):
            match_channels(stage.graph, stage.replace(shuffle="start").graph)
        few = stage.replace(stage_repeats=(4,))
        assert_there_and_back(few, few.replace(shuffle="start"))


def tiny_v2(**changes):
    fields = dict(
        stem_channels=(6,), stage_channels=(20, 40), stage_repeats=(4, 2), stage_strides=(2, 2),
        last_channels=12, num_classes=7, image_size=32,
    )  # fmt: skip
    return zoo.spec("shufflenet_v2_1.0x", **(fields | changes))


@pytest.mark.parametrize(
    ("source", "change"),
    [
        (zoo.spec("shufflenet_v2_0.5x", num_classes=20), "torchvision"),
        (zoo.spec("shufflenet_v2_0.5x", num_classes=20), "pytorchcv"),
        (zoo.spec("shufflenet_v2_0.5x_cifar", conventions="pytorchcv"), "torchvision"),
        (zoo.spec("shufflenet_v2_1.0x", num_classes=20, conventions="torchvision"), "start"),
        (tiny_v2(conventions="torchvision", squeeze_excite=True), "start"),
        (tiny_v2(conventions="torchvision", squeeze_excite=True, residual=True), "start"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_code_bases_of_v2(source, change):
    target = (
        source.replace(shuffle=change) if change == "start" else source.replace(conventions=change)
    )
    moved = assert_converts(source, target, min(source.image_size, 64))
    same = source.conventions.shuffle == target.conventions.shuffle
    assert bool(moved) == (not same)


@pytest.mark.sweep(quick=["0.5x_g3-*", "1.0x_g1-*", "1.0x_g3-mindcv-*", "0.5x_g8-*"])
@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("0.5x_g3", "megvii", "paper"),
        ("1.0x_g3", "megvii", "mmpretrain"),
        ("1.5x_g3", "megvii", "pytorchcv"),
        ("2.0x_g3", "paper", "pytorchcv"),
        ("1.0x_g1", "megvii", "pytorchcv"),
        ("1.0x_g2", "megvii", "pytorchcv"),
        ("1.0x_g4", "paper", "pytorchcv"),
        ("0.5x_g8", "paper", "pytorchcv"),
        ("2.0x_g8", "megvii", "pytorchcv"),
        ("1.0x_g3", "mindcv", "mindspore_tutorial"),
    ],
)
def test_code_bases(name, before, after):
    source = zoo.spec(f"shufflenet_v1_{name}", conventions=before, num_classes=20)
    target = source.replace(conventions=after)
    moved = assert_converts(source, target, 64)
    assert bool(moved) == (before != "mindcv")


@pytest.mark.parametrize("change", [*FREE, dict(shuffle_order="gn")], ids=str)
def test_each_convention(change):
    source = zoo.spec("shufflenet_v1_0.5x_g3", num_classes=20)
    moved = assert_converts(source, source.replace(**change), 64)
    assert bool(moved) == (change != dict(relu_position="after_concat"))
    if "shuffle_position" in change and "concat_order" not in change:  # nothing else needs to move
        assert {name.split(".", 2)[2] for name in moved} == {
            f"depthwise.{role}" for role in ("conv.weight", "bn.weight", "bn.bias",
                                             "bn.running_mean", "bn.running_var")
        }  # fmt: skip


@pytest.mark.parametrize("groups", [2, 3])
def test_the_cifar_form(groups):
    source = zoo.spec(f"shufflenet_v1_1.0x_g{groups}_cifar")
    change = dict(
        shuffle_order="ng", shuffle_position="after_depthwise", concat_order="pool_main",
        first_unit_shuffle=True, relu_position="before_concat",
    )  # fmt: skip
    assert assert_converts(source, source.replace(**change), 32)


def test_dtype_partial_weights_and_image_size():
    source = zoo.spec("shufflenet_v1_0.5x_g3")
    target = source.replace(conventions="pytorchcv", image_size=64)
    arrays = {n: a.astype(np.float64) for n, a in weights.randomize(source.graph).items()}
    found = convert_conventions(source, target, arrays)
    assert {a.dtype for a in found.values()} == {np.dtype(np.float64)}
    assert not found["classifier.bias"].any()
    some = ["stage2.1.expand.conv.weight", "stage2.1.expand.bn.bias"]
    part = convert_conventions(source, target, {n: arrays[n] for n in some})
    assert_same(part, {n: found[n] for n in some})
    back = convert_conventions(target, source.replace(classifier_bias=True), found)
    del found["classifier.bias"]
    part = convert_conventions(target, source.replace(classifier_bias=True), found)
    assert_same(part, {n: a for n, a in back.items() if n != "classifier.bias"})


REFUSED = [
    (dict(pool_padding="SAME_UPPER"), "pool_padding (='symmetric') to 'SAME_UPPER': "
     "stem.pool: padding (=(1, 1, 1, 1)) must be 'SAME_UPPER'"),
    (dict(bn_eps=1e-3, bn_momentum=0.01), "bn_eps (=1e-05) to 0.001: "
     "stem.bn: eps (=1e-05) must be 0.001"),
    (dict(depthwise_relu=True), "depthwise_relu (=False) to True: "
     "stage2.0.expand.conv: reads stage2.0.depthwise.bn, must read relu(stage2.0.depthwise.bn)"),
    (dict(first_unit_grouped=True), "first_unit_grouped (=False) to True: "
     "stage2.0.compress.conv: groups (=1) must be 3"),
    (dict(bottleneck_of="unit"), "bottleneck_of (='stage') to 'unit': "
     "stage2.0.compress.conv: out_channels (=30) must be 27"),
    (dict(stem="cifar"), "stem (='imagenet') to 'cifar': "
     "stem.conv: kernel_size (=(3, 3)) must be (1, 1)"),
    (dict(pool_padding="SAME_UPPER", classifier_bias=True, shuffle_order="gn", bn_eps=1e-3),
     "bn_eps (=1e-05) to 0.001: stem.bn: eps (=1e-05) must be 0.001\n"
     "  pool_padding (='symmetric') to 'SAME_UPPER': "
     "stem.pool: padding (=(1, 1, 1, 1)) must be 'SAME_UPPER'"),
]  # fmt: skip
REFUSED_V2 = [
    (dict(pool_padding="SAME_UPPER"), "pool_padding (='symmetric') to 'SAME_UPPER': "
     "stem.pool: padding (=(1, 1, 1, 1)) must be 'SAME_UPPER'"),
    (dict(stride_2_split="symmetric", bn_eps=1e-3), "bn_eps (=1e-05) to 0.001: "
     "stem.bn: eps (=1e-05) must be 0.001\n"
     "  stride_2_split (='asymmetric') to 'symmetric': "
     "stage2.0.expand.conv: out_channels (=14) must be 10"),
    (dict(shuffle="end"), "shuffle (='start') to 'end': "
     "stage2.1.compress.conv: reads 7 channels of relu(stage2.0.expand.bn), "
     "3 of relu(stage2.0.shortcut.expand.bn), must read 9 channels of relu(stage2.0.expand.bn), "
     "1 of relu(stage2.0.shortcut.expand.bn)"),
    (dict(stem="tiny"), "stem (='imagenet') to 'tiny': "
     "stem.conv: stride (=(2, 2)) must be (1, 1)"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), REFUSED, ids=[str(c) for c, _ in REFUSED])
def test_refusals(change, reason):
    source = zoo.spec("shufflenet_v1_0.5x_g3")
    arrays = weights.randomize(source.graph)
    with pytest.raises(ConventionError) as refused:
        convert_conventions(source, source.replace(**change), arrays)
    assert str(refused.value) == (f"megvii cannot become custom by permuting weights:\n  {reason}")


@pytest.mark.parametrize(("change", "reason"), REFUSED_V2, ids=[str(c) for c, _ in REFUSED_V2])
def test_refusals_of_v2(change, reason):
    source = tiny_v2()
    with pytest.raises(ConventionError) as refused:
        convert_conventions(source, source.replace(**change), weights.randomize(source.graph))
    assert str(refused.value).partition(" by ")[2] == f"permuting weights:\n  {reason}"


def test_code_bases_that_are_not_the_same_function():
    source = zoo.spec("shufflenet_v1_0.5x_g8", conventions="mindcv")
    with pytest.raises(ConventionError) as refused:
        convert_conventions(source, source.replace(conventions="mmpretrain"), {})
    assert str(refused.value) == (
        "mindcv cannot become mmpretrain by permuting weights:\n"
        f"  shuffle_order (='ng') to 'gn': {OTHER_ORDER['shufflenet_v1_0.5x_g8']}\n"
        "  pool_padding (='SAME_UPPER') to 'symmetric': "
        "stem.pool: padding (='SAME_UPPER') must be (1, 1, 1, 1)"
    )


def test_a_bias_is_left_out_only_if_it_is_zero():
    source = zoo.spec("shufflenet_v1_0.5x_g3", conventions="pytorchcv")
    target = source.replace(classifier_bias=False)
    arrays = weights.randomize(source.graph)
    with pytest.raises(ConventionError) as refused:
        convert_conventions(source, target, arrays)
    assert str(refused.value) == (
        "pytorchcv cannot become custom by permuting weights:\n"
        "  classifier_bias (=True) to False: classifier.bias: must be zero to be left out"
    )
    arrays["classifier.bias"][:] = 0
    found = convert_conventions(source, target, arrays)
    assert_same(convert_conventions(target, source, found), arrays)


def test_only_conventions_can_be_converted():
    source = zoo.spec("shufflenet_v1_0.5x_g3")
    with pytest.raises(SpecError) as refused:
        convert_conventions(source, source.replace(num_classes=10), {})
    assert str(refused.value) == (
        "num_classes (=1000) must be that of the target (=10): only conventions can be converted"
    )
    with pytest.raises(SpecError, match=r"^stem_channels \(=12\) must be that of the target \(=24"):
        convert_conventions(source, zoo.spec("shufflenet_v1_1.0x_g3"), {})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyConventions(Conventions):
    first: bool = False
    second: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(Spec):
    family = "toy"
    presets = {"plain": ToyConventions()}  # noqa: RUF012
    conventions_type = ToyConventions
    conventions: ToyConventions = ToyConventions()

    def expand(self):
        g = GraphBuilder(3, 8)
        both = self.conventions.first and self.conventions.second
        return g.build(g.conv(g.input, 4, kernel_size=3 if both else 1))


def test_blame_for_a_combination_and_for_another_family():
    with pytest.raises(ConventionError) as refused:
        convert_conventions(Toy(), Toy().replace(first=True, second=True), {})
    assert str(refused.value) == (
        "plain cannot become custom by permuting weights:\n"
        "  first (=False) to True and second (=False) to True: "
        "conv: kernel_size (=(1, 1)) must be (3, 3)"
    )
    with pytest.raises(SpecError, match=r"^a toy cannot become a shufflenet_v1$"):
        convert_conventions(Toy(), zoo.spec("shufflenet_v1_0.5x_g3"), {})


HARD = ("pool_padding", "bn_eps", "depthwise_relu", "bottleneck_of", "stem")


@st.composite
def conventions(draw, family=ShuffleNetV1Conventions):
    hints = typing.get_type_hints(family)
    drawn = {}
    for name, hint in hints.items():
        rare = 8 if name in HARD or name == "first_unit_grouped" else 1
        choices = typing.get_args(hint) or {bool: (False, True), float: (1e-5, 1e-3)}[hint]
        drawn[name] = draw(st.sampled_from([choices[0]] * (rare - 1) + list(choices)))
    return family(**drawn)


@st.composite
def pairs(draw):
    groups = draw(st.integers(1, 4))
    sizes = itertools.accumulate(draw(st.lists(st.integers(1, 5), min_size=2, max_size=3)))
    stem, *stages = (4 * groups * size for size in sizes)
    spec = ShuffleNetV1Spec(
        groups=groups, stem_channels=stem, stage_channels=tuple(stages), num_classes=7,
        stage_repeats=tuple(draw(st.integers(1, 3)) for _ in stages), image_size=32,
    )  # fmt: skip
    return tuple(spec.replace(conventions=draw(conventions())) for _ in range(2))


@st.composite
def pairs_of_v2(draw):
    stem = channels = 2 * draw(st.integers(1, 4))
    stages = []
    for _ in range(draw(st.integers(1, 3))):
        channels += draw(st.sampled_from([channels, channels, 2, 6, 10]))
        stages.append(channels)
    spec = ShuffleNetV2Spec(
        stem_channels=(stem,), stage_channels=tuple(stages), stage_strides=(2,) * len(stages),
        stage_repeats=tuple(draw(st.integers(1, 5)) for _ in stages), last_channels=6,
        num_classes=7, image_size=32, squeeze_excite=draw(st.booleans()),
        residual=draw(st.booleans()),
    )  # fmt: skip
    drawn = (draw(conventions(ShuffleNetV2Conventions)) for _ in range(2))
    return tuple(spec.replace(conventions=c) for c in drawn)


def expected_of_v2(source, target):
    a, b = source.conventions, target.conventions
    read = (*source.stem_channels, *source.stage_channels)
    doubling = all(after == 2 * before for before, after in itertools.pairwise(read))
    pooled = a.stem != "cifar"
    if a.bn_eps != b.bn_eps or a.stem != b.stem or (pooled and a.pool_padding != b.pool_padding):
        return False
    if a.stride_2_split != b.stride_2_split and not doubling:
        return False
    halves = doubling or a.stride_2_split == "symmetric"
    if a.shuffle == b.shuffle or (halves and not source.residual):
        return True
    return None


def expected_of(source, target):
    """Tell by arithmetic whether a conversion exists; None where only a search can tell."""
    a, b, groups = source.conventions, target.conventions, source.groups
    if any(getattr(a, field) != getattr(b, field) for field in HARD):
        return False
    if groups == 1:
        return True
    if a.first_unit_grouped != b.first_unit_grouped:
        return False
    if a.first_unit_grouped and a.first_unit_shuffle != b.first_unit_shuffle:
        return False
    # One order is the inverse permutation of the other: group k reads from group j what j reads
    # from k. Up to three groups that is as much either way.
    return True if groups <= 3 or a.shuffle_order == b.shuffle_order else None


def assert_exact_or_refused(source, target, seed, expected):
    arrays = weights.randomize(source.graph, seed)
    if not target.conventions.classifier_bias and "classifier.bias" in arrays:
        arrays["classifier.bias"][:] = 0
    try:
        found = convert_conventions(source, target, arrays)
    except ConventionError:
        assert expected(source, target) is not True
        with pytest.raises(ConventionError):
            match_channels(target.graph, source.graph)
        return
    assert expected(source, target) is not False
    before = run(source.graph, arrays, 32)
    assume(before.any())  # a network of a few channels may be dead, and shows nothing
    assert error(before, run(target.graph, found, 32)) < EXACT
    assert_same(convert_conventions(target, source, found), arrays)


@settings(max_examples=examples(120), deadline=None)
@given(specs=pairs(), seed=st.integers(0, 2**32))
def test_random_conventions_are_converted_exactly_or_refused(specs, seed):
    assert_exact_or_refused(*specs, seed, expected_of)


@settings(max_examples=examples(120), deadline=None)
@given(specs=pairs_of_v2(), seed=st.integers(0, 2**32))
def test_random_conventions_of_v2_are_converted_exactly_or_refused(specs, seed):
    assert_exact_or_refused(*specs, seed, expected_of_v2)


def permute(g, x, order, name="permute"):
    return g.add_node(name, lambda: ChannelPermute(indices=tuple(order)), x)


def chain(groups, orders):
    """Three convolutions in groups, with permutations between them; the ends keep their order."""
    g = GraphBuilder(4, 3)
    x = g.conv(g.input, 4, groups=groups[0], name="a")
    x = g.conv(permute(g, x, orders[0], "p"), 4, groups=groups[1], name="b")
    return g.build(g.conv(permute(g, x, orders[1], "q"), 4, groups=groups[2], name="c"))


def exists(groups, source, target):
    """Try all orders of the channels of ``a`` and ``b`` whether some makes up for the permutes."""

    def block(channel, node):
        return channel * groups[node] // 4

    def pairs_groups(read, made, node):
        paired = {(block(i, node), block(j, node)) for i, j in [*enumerate(read), *enumerate(made)]}
        return len(paired) == groups[node]

    def read_by(made, port):  # how the channels that the next convolution reads correspond
        return [source[port].index(made[target[port][i]]) for i in range(4)]

    ends = range(4)
    for a in itertools.permutations(range(4)):
        if not pairs_groups(ends, a, 0):
            continue
        for b in itertools.permutations(range(4)):
            if pairs_groups(read_by(a, 0), b, 1) and pairs_groups(read_by(b, 1), ends, 2):
                return True
    return False


ORDERS = st.permutations(range(4))


@settings(max_examples=examples(150), deadline=None)
@given(
    groups=st.tuples(*[st.sampled_from([1, 2, 4])] * 3),
    source=st.tuples(ORDERS, ORDERS),
    target=st.tuples(ORDERS, ORDERS),
)
def test_a_refusal_is_a_proof(groups, source, target):
    one, other = chain(groups, source), chain(groups, target)
    arrays = weights.randomize(one)
    try:
        found = match_weights(one, other, arrays)
    except ConventionError:
        assert not exists(groups, source, target)
        return
    assert exists(groups, source, target)
    assert error(run(one, arrays, 3), run(other, found, 3)) < EXACT
    assert_same(match_weights(other, one, found), arrays)


def se_net(late):
    """A permutation before or after squeeze and excitation, and the operators not met so far."""
    g = GraphBuilder(3, 8)
    order = np.random.default_rng(0).permutation(12)
    x = g.hard_swish(g.conv_bn(g.input, 12, kernel_size=3, bias=True))
    x = x if late else permute(g, x, order)
    with g.scope("se"):
        gate = g.relu(g.conv(g.global_avg_pool(x), 5, bias=True, name="reduce"))
        gate = g.sigmoid(g.conv(gate, 12, bias=True, name="expand"))
        x = g.mul(x, gate)
    x = permute(g, x, order) if late else x
    x = g.max_pool(x, kernel_size=2, stride=2, padding=(0, 0, 0, 0))
    y = g.conv(x, 12, groups=3, kernel_size=3, name="grouped")
    x = g.add(*((x, y) if late else (y, x)))
    x = g.concat((g.slice(x, 0, 7), g.slice(x, 7, 12, name="rest")))
    wide = g.conv(x, 24, groups=12, bias=True, name="wide")
    x = g.dropout(g.flatten(g.global_avg_pool(wide, "last")), 0.5 if late else 0.1)
    return g.build(g.linear(x, 4, bias=True, name="head"))


def test_all_operators():
    early, late = se_net(False), se_net(True)
    arrays = weights.randomize(early)
    found = match_weights(early, late, arrays)
    assert error(run(early, arrays, 8), run(late, found, 8)) < EXACT
    assert_same(match_weights(late, early, found), arrays)
    assert error(run(early, arrays, 8), run(late, arrays, 8)) > 1e-3


def test_groups_change_places():
    # The depthwise start takes the network's order of channels to the groups of b.
    one, other = chain((4, 2, 1), ((0, 1, 2, 3),) * 2), chain((4, 2, 1), ((2, 3, 0, 1),) * 2)
    found = match_channels(one, other)
    assert found["a"].made.tolist() == [0, 1, 2, 3]
    assert found["b"].read.tolist() == [2, 3, 0, 1]
    assert sorted(found["b"].made[:2]) == [2, 3]
    arrays = weights.randomize(one)
    changed = match_weights(one, other, arrays)
    assert error(run(one, arrays, 3), run(other, changed, 3)) < EXACT


def test_channels_that_depend_on_several_of_one_node_stay():
    def graph(order, name):
        g = GraphBuilder(4, 4)
        x = g.conv(g.input, 4)
        y = g.add(x, permute(g, x, order))
        flat = g.flatten(g.avg_pool(permute(g, y, name, "late"), kernel_size=2, stride=2,
                                    padding=(0, 0, 0, 0)))  # fmt: skip
        return g.build(g.linear(flat, 3, bias=False, name="head"))

    same = graph((1, 2, 3, 0), (0, 1, 2, 3))
    assert math.prod(same.shapes()["flatten"]) == 16
    arrays = weights.randomize(same)
    assert_same(match_weights(same, same, arrays), arrays)
    for other, node in [
        (graph((3, 0, 1, 2), (0, 1, 2, 3)), "add"),
        (graph((1, 2, 3, 0), (1, 0, 2, 3)), "pool"),
    ]:
        with pytest.raises(ConventionError) as refused:
            match_weights(same, other, arrays)
        assert str(refused.value) == (
            f"{node}: ties several channels of one node together, which is converted only where "
            f"none of them moves"
        )


def test_nodes_and_outputs_must_be_the_same():
    def graph(make):
        g = GraphBuilder(4, 4)
        return g.build(*make(g, g.conv(g.input, 4)))

    plain = graph(lambda g, x: [x])
    for make, text in [
        (lambda g, x: [g.sigmoid(x)], "sigmoid: is no node of the source"),
        (lambda g, x: [g.relu(x)], "outputs[0]: reads conv, must read relu(conv)"),
        (lambda g, x: [x, x], "outputs: channels (=[4]) must be [4, 4]"),
        (lambda g, x: [g.input], "conv: is no node of the target"),
    ]:
        other = graph(make) if "target" not in text else graph(make).select(["input"])
        with pytest.raises(ConventionError) as refused:
            match_channels(plain, other)
        assert str(refused.value) == text
    pooled = graph(lambda g, x: [g.max_pool(x, kernel_size=2, stride=2, padding=(0,) * 4)])
    averaged = graph(lambda g, x: [g.avg_pool(x, kernel_size=2, stride=2, padding=(0,) * 4)])
    with pytest.raises(ConventionError, match=r"^pool: operator \(=MaxPool2d\) must be AvgPool2d$"):
        match_channels(pooled, averaged)
