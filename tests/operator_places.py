"""Every place that has to know every operator, and what it knows."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from abc import ABC
from collections.abc import Callable, Collection, Mapping

from operator_table import TABLE

from zoo.arch import Operator, operators
from zoo.arch.builder import GraphBuilder
from zoo.arch.operators import (
    ELU,
    GELU,
    AddScalar,
    ChannelPermute,
    Clamp,
    ConcatAlong,
    ConvTranspose2d,
    Exp,
    Expand,
    GroupNorm,
    Index,
    LeakyReLU,
    MatMul,
    Mish,
    MulScalar,
    Narrow,
    Normalize,
    Pad2d,
    Pow,
    PReLU,
    Reduce,
    Roll,
    Softmax,
    Tanh,
    Upsample,
)

Kinds = Collection[type[Operator]]


def kinds() -> set[type[Operator]]:
    """Return all operators: the classes in `zoo.arch.operators`, without their bases."""
    modules = [
        importlib.import_module(f"zoo.arch.operators.{m.name}")
        for m in pkgutil.iter_modules(operators.__path__)
    ]
    return {
        kind
        for module in modules
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, Operator) and ABC not in kind.__bases__
    } - {Operator}


def missing(places: Mapping[str, Callable[[], Kinds]], known: Kinds) -> list[str]:
    """Return what each place forgets, and what it has that is no operator."""
    found = []
    for place, has in places.items():
        there = set(has())
        found += sorted(f"{place}: has no {kind.__name__}" for kind in set(known) - there)
        found += sorted(
            f"{place}: has {kind.__name__}, which is no operator" for kind in there - set(known)
        )
    return found


WRITTEN_OUT = {
    "group_norm": (GroupNorm(num_groups=4, num_channels=64, eps=1e-5), 1),
    "normalize": (Normalize(dim=2, eps=1e-5), 1),
    "softmax": (Softmax(dim=2), 1),
    "roll": (Roll(shifts=(1,), dims=(1,)), 1),
    "index": (Index(dim=2, indices=(1, 0)), 1),
    "narrow": (Narrow(dim=2, start=1, stop=3, step=1), 1),
    "concat_along": (ConcatAlong(dim=2), 2),
}
"""Operators that `GraphBuilder.apply` takes as they are, and how many inputs they have."""


def _built() -> Kinds:
    """Build a graph by every method of the builder."""
    g = GraphBuilder(12, 8)
    x = g.batch_norm(g.conv(g.input, 12))
    g.max_pool(x, kernel_size=3, stride=2, padding="SAME_UPPER", name="max_pool")
    g.avg_pool(x, kernel_size=3, stride=2, padding="SAME_UPPER", name="avg_pool")
    g.relu(x)
    g.relu6(x)
    g.hard_swish(x)
    g.silu(x)
    g.adaptive_avg_pool(x, (3, 2))
    g.stochastic_depth(x, 0.2)
    g.hard_sigmoid(x)
    g.channel_shuffle(x, 3, "gn")
    g.concat([g.slice(x, 0, 6), x])
    g.mul(g.add(x, x), g.sigmoid(x))
    g.linear(g.flatten(g.dropout(g.global_avg_pool(x), 0.2)), 4, bias=True, name="linear")
    for op in (
        GELU(approximate="tanh"), LeakyReLU(negative_slope=0.1), PReLU(num_parameters=12), Tanh(),
        Exp(), Pow(exponent=-0.5),
        ELU(alpha=0.5), Mish(), Clamp(min_val=-1, max_val=None), AddScalar(value=1.5),
        MulScalar(value=0.5),
    ):  # fmt: skip
        x = g.apply(op, x, name=type(op).__name__)
    y = g.layer_norm(g.permute(x, 0, 2, 3, 1))
    y = g.add(g.reshape(y, 64, 12), g.weight(64, 12, name="position"), name="placed")
    g.attention(*[g.reshape(y, 64, 12, name=n) for n in "qkv"], scale=0.5)
    for name, (op, inputs) in WRITTEN_OUT.items():
        g.apply(op, *[y] * inputs, name=name)
    g.apply(MatMul(), y, g.permute(y, 0, 2, 1, name="turned"), name="matmul")
    for op in (
        Reduce(kind="amax", dim=(1,), keepdim=True), Pad2d(sides=(1, 1, 1, 1), mode="reflect"),
        Upsample(size=None, scale_factor=(2, 2), mode="nearest", align_corners=False),
        ConvTranspose2d(
            in_channels=1, out_channels=12, kernel_size=(2, 2), stride=(2, 2), padding=(0, 0),
            output_padding=(0, 0), dilation=(1, 1), groups=1, bias=False,
        ),
    ):  # fmt: skip
        x = g.apply(op, x, name=type(op).__name__)
    # Only passes make permutations, of shuffles.
    return {type(node.op) for node in g.build("linear").nodes} | {ChannelPermute, Expand}


def _named() -> Kinds:
    return [kind for kind in kinds() if kind in vars(operators).values()]


def _realized(backend: str) -> Callable[[], Kinds]:
    return lambda: set(importlib.import_module(f"backends.{backend}.operators").OPERATORS)


def _mutated() -> Kinds:
    from zoo.proof.mutants.catalog import own

    return {mutation.op for mutation in own()}


def _workbench() -> Kinds:
    from zoo.proof.mutants.workbench import workbench

    return {type(node.op) for node in workbench().nodes}


PLACES: dict[str, Callable[[], Kinds]] = {
    "tests/operator_table.py": lambda: {type(op) for op in TABLE.values()},
    "zoo/arch/operators/__init__.py": _named,  # where backends find them
    "zoo/arch/builder.py": _built,
    "backends/numpy/operators.py": _realized("numpy"),
    "backends/torch/operators.py": _realized("torch"),
    "backends/mindspore/operators.py": _realized("mindspore"),
    "backends/onnx/operators.py": _realized("onnx"),  # OpenVINO runs what it writes
    "zoo/proof/mutants/": _mutated,
    "zoo/proof/mutants/workbench.py": _workbench,
}
"""Place → the operators that it knows. A new table over operators is to be added here."""
