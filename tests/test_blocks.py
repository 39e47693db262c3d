"""How blocks are written: defaults that are left out, arguments of classes, lines of a method."""

from __future__ import annotations

import importlib
import inspect

import pytest
from catalog_rows import EACH_KIND
from operator_table import TABLE, network

import zoo
from zoo.arch.graph import shape_read
from zoo.blocks import Layer, write
from zoo.blocks.arguments import Place, choose
from zoo.blocks.idioms import REQUIRED
from zoo.blocks.layout import Call, call, flat, lay
from zoo.blocks.names import family, tell_apart

BACKENDS = ["torch", "mindspore"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("row", TABLE)
def test_what_is_left_out_is_the_frameworks_default(backend, row):
    module = importlib.import_module(f"backends.{backend}.operators")
    framework = importlib.import_module({"torch": "torch.nn", "mindspore": "mindspore.nn"}[backend])
    graph = network(TABLE[row], (9, 9))
    node = graph.by_name["tested"]
    entry = module.OPERATORS[type(node.op)](node.op, shape_read(node, graph.shapes()))
    if not isinstance(entry, Layer):
        return
    home = framework if entry.name.startswith("nn.") else module.layers
    kind = getattr(home, entry.name.removeprefix("nn."))
    signature = inspect.signature(kind.__init__)
    if "args" in signature.parameters:  # a subclass of a layer
        signature = inspect.signature(kind.__bases__[0].__init__)
    for argument in entry.arguments:
        if argument.default is not REQUIRED:
            assert signature.parameters[argument.keyword].default == argument.default
    positional = [a for a in entry.arguments if a.keyword is None]
    assert len(signature.parameters) > len(positional)


def arguments(places, read=None, made=None):
    found = choose([Place(*place) for place in places], read, made)
    return (
        [(p.name, None if p.default is REQUIRED else p.default) for p in found.parameters],
        found.local,
        [found.text(tuple(place[2])) for place in places],
    )


# Places (label, child, values in each block), channels read and made → arguments, locals, texts.
CHOSEN = {
    "what never varies is written": (
        [("groups", "conv", (3, 3))], None, None, [], [], ["3"],
    ),
    "what varies together is one argument": (
        [("stride", "a", (1, 2), 1), ("stride", "b", (1, 2), 1)], None, None,
        [("stride", 1)], [], ["stride", "stride"],
    ),
    "a default that is none everywhere is none": (
        [("stride", "a", (1, 2), 1), ("stride", "b", (1, 2))], None, None,
        [("stride", None)], [], ["stride", "stride"],
    ),
    "half of the channels": (
        [("in_channels", "a", (8, 20)), ("out_channels", "a", (4, 10))], (8, 20), (8, 20),
        [("channels", None)], [], ["channels", "channels // 2"],
    ),
    "what the other branch leaves": (
        [("in_channels", "a", (8, 20)), ("out_channels", "a", (16, 21))], (8, 20), (24, 41),
        [("in_channels", None), ("out_channels", None)], [],
        ["in_channels", "out_channels - in_channels"],
    ),
    "what is used again has a name": (
        [("out_channels", "a", (4, 10)), ("in_channels", "b", (4, 10))], (8, 20), (8, 20),
        [("channels", None)], [("mid_channels", "channels // 2")],
        ["mid_channels", "mid_channels"],
    ),
    "padding follows the kernel": (
        [("kernel_size", "a", (1, 5)), ("padding", "a", (0, 2), 0)], None, None,
        [("kernel_size", None)], [], ["kernel_size", "kernel_size // 2"],
    ),
    "numbers of two kinds do not follow each other": (
        [("stride", "a", (2, 4)), ("kernel_size", "a", (1, 2))], None, None,
        [("stride", None), ("kernel_size", None)], [], ["stride", "kernel_size"],
    ),
    "one label twice": (
        [("groups", "a", (1, 3)), ("groups", "b", (4, 5))], None, None,
        [("groups", None), ("b_groups", None)], [], ["groups", "b_groups"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHOSEN)
def test_arguments(case):
    places, read, made, *expected = CHOSEN[case]
    assert list(arguments(places, read, made)) == expected


def test_calls_are_broken_where_they_are_too_long():
    short = call("f", "a", b="c")
    assert list(lay("x = ", short)) == ["x = f(a, b=c)"]
    long = Call("function", tuple((None, f"argument_{i}") for i in range(6)))
    assert [len(line) for line in lay("x = ", long, indent=8)] == [21, 82, 9]
    inner = call("g", long, "z" * 40)
    assert list(lay("", inner)) == ["g(", f"    {flat(long)},", f"    {'z' * 40},", ")"]


def test_names():
    assert family("shufflenet_v2_plus") == "ShuffleNetV2Plus"
    assert family("resnet9") == "ResNet9"
    words = [["Down", "Shortcut"], [], ["Down", "SE"], ["SE"]]
    assert tell_apart("AUnit", words) == ["AShortcutUnit", "AUnit", "ADownUnit", "ASEUnit"]
    assert tell_apart("A", [["Down"], ["Down"]]) == ["A", "A2"]


@pytest.mark.sweep(quick=["resnet9-*", "*v1_0.5x_g3-*", "*v2_0.5x-*", "*v2_50-*", "*plus_small-*"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", EACH_KIND)
def test_every_network_is_few_classes_and_short_lines(backend, name):
    idioms = importlib.import_module(f"backends.{backend}.operators").IDIOMS
    text = write(zoo.spec(name).graph, idioms).text
    lines = text.splitlines()
    assert max(map(len, lines)) <= 88
    assert text.count("\nclass ") <= 24
    compile(text, name, "exec")
